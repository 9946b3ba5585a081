"""kohya's dataset TOML: lists of folders with repeats, class words and whether they hold class pictures."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scumble.data.layouts.found import FoundPicture, Layout, Rejected, folders_in, has_pictures, pictures_in, walk
from scumble.data.text_files import read_text
from scumble.errors import DataError

UNDERSTOOD = frozenset({"caption_extension", "num_repeats", "class_tokens", "is_reg", "image_dir"})
"""Keys of a subset that are understood."""


def find(path: Path) -> Layout | None:
    """The folders that a TOML file lists.

    Args:
        path: a .toml file; folders in it are beside it, unless they are absolute.
    Raises:
        DataError: it is no such file, or a folder is not there.
    """
    if path.suffix.lower() != ".toml":
        return None
    values = _parse(path)
    general = values.get("general", {})
    pictures: list[FoundPicture] = []
    rejected: list[Rejected] = []
    used: set[Path] = set()
    lines: list[str] = []
    not_taken: dict[str, None] = {f"general.{key} = {value}": None for key, value in _others(general).items()}
    for dataset in _tables(values, "datasets", path):
        not_taken |= {f"{key} = {value}": None for key, value in _others(dataset, "subsets").items()}
        for subset in _tables(dataset, "subsets", path):
            said = {**general, **{key: value for key, value in dataset.items() if key != "subsets"}, **subset}
            not_taken |= {f"{key} = {value}": None for key, value in _others(subset).items()}
            folder = _folder(said, path)
            found, others, captions, line = _subset(folder, said)
            pictures += found
            rejected += others
            used |= captions
            lines.append(line)
    notes = (f"not taken from {path.name}, give it as a setting: {', '.join(not_taken)}",) if not_taken else ()
    said_so = f"kohya's dataset file {path.name}: {'; '.join(lines)}"
    return Layout("kohya TOML", said_so, tuple(pictures), tuple(rejected), frozenset(used), notes)


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        values = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: no TOML ({error})") from None
    if "datasets" not in values:
        found = ", ".join(values) or "nothing"
        raise DataError(
            f"{path}: found {found}, expected [[datasets]] as kohya's dataset files have it; a file of settings goes to "
            "--config, one of kohya's training settings to scumble import"
        )
    return values


def _tables(values: Mapping[str, Any], name: str, path: Path) -> list[Mapping[str, Any]]:
    tables = values.get(name, [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise DataError(f"{path}: expected [[{'datasets.' * (name == 'subsets')}{name}]] with an image_dir")
    return tables


def _others(values: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """What is said that is a setting here, not a property of a folder."""
    return {key: value for key, value in values.items() if key not in UNDERSTOOD and key not in known}


def _folder(said: Mapping[str, Any], path: Path) -> Path:
    name = said.get("image_dir")
    if not isinstance(name, str):
        what = "metadata_file" if "metadata_file" in said else "no image_dir"
        raise DataError(f"{path}: a subset with {what}: expected image_dir, the folder of its pictures")
    folder = path.parent / name
    if not folder.is_dir():
        raise DataError(f"{path}: image_dir {name}: no such folder")
    return folder


def _subset(folder: Path, said: Mapping[str, Any]) -> tuple[list[FoundPicture], list[Rejected], set[Path], str]:
    repeats = int(said.get("num_repeats", 1))
    words, is_class = str(said.get("class_tokens") or ""), bool(said.get("is_reg", False))
    suffix = said.get("caption_extension")
    found, rejected, captions = pictures_in(
        folder, repeats=repeats, words=words, is_class=is_class, caption_suffix=suffix
    )
    if suffix is not None:
        passed = {caption for caption in captions if caption.suffix.lower() != suffix.lower()}
        rejected += [
            Rejected(caption, f"the dataset file says captions end with {suffix}") for caption in sorted(passed)
        ]
        captions -= passed
    inside = [path for path in folders_in(folder) if any(has_pictures(each) for each in walk(path))]
    rejected += [Rejected(path, "a folder within image_dir: list it too") for path in inside]
    kind = "class pictures" if is_class else "pictures"
    return found, rejected, captions, f"{folder.name}: {len(found)} {kind}, {repeats} times an epoch"

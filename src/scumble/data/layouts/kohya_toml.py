"""kohya's dataset TOML: lists of folders with repeats, class words and whether they hold class pictures."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scumble.config import DataConfig
from scumble.data.layouts.found import FoundPicture, Layout, Rejected, folders_in, has_pictures, pictures_in, walk
from scumble.data.text_files import read_text
from scumble.errors import DataError, nearest
from scumble.quantities import counted

UNDERSTOOD = frozenset({"caption_extension", "num_repeats", "class_tokens", "is_reg", "image_dir"})
"""Keys of a subset that are understood."""

CALLED_HERE = {
    **{name: name for name in DataConfig.model_fields},
    "batch_size": "train_batch_size",
    "flip_aug": "random_flip",
    "random_crop": "center_crop = false",
    "validation_split": "validation_split",
}
"""kohya's key -> what the setting for all pictures is called here."""

ONLY_THERE = frozenset(
    {
        *("cache_info", "caption_dropout_every_n_epochs", "color_aug", "conditioning_data_dir"),
        *("custom_attributes", "enable_wildcard", "face_crop_aug_range", "keep_tokens_separator", "max_bucket_reso"),
        *("metadata_file", "min_bucket_reso", "network_multiplier", "resize_interpolation", "secondary_separator"),
        *("token_warmup_min", "token_warmup_step", "validation_seed"),
    }
)
"""Keys of kohya's for which nothing here is alike."""


@dataclass(frozen=True)
class Subset:
    """One folder of the file.

    Attributes:
        folder: of its pictures.
        repeats: how often they are seen in an epoch; 0 = never.
        words: their caption where they have none.
        is_class: whether they are class pictures.
        suffix: of their captions; None = any.
    """

    folder: Path
    repeats: int
    words: str
    is_class: bool
    suffix: str | None


def find(path: Path) -> Layout | None:
    """The folders that a TOML file lists.

    Args:
        path: a .toml file; folders in it are beside it, unless they are absolute.
    Raises:
        DataError: it is no such file, says something that is not understood, or a folder is not there.
    """
    if path.suffix.lower() != ".toml":
        return None
    values = _parse(path)
    general = values.get("general", {})
    if not isinstance(general, dict):
        raise DataError(f"{path}: general = {general!r}: expected a table, [general]")
    pictures: list[FoundPicture] = []
    rejected: list[Rejected] = []
    used: set[Path] = set()
    lines: list[str] = []
    others = _others(general, path, before="general.")
    for dataset in _tables(values, "datasets", path):
        others |= _others(dataset, path, "subsets")
        for said in _tables(dataset, "subsets", path):
            others |= _others(said, path)
            subset = _subset({**general, **dataset, **said}, path)
            if subset.repeats == 0:
                rejected.append(Rejected(subset.folder, "seen 0 times: the dataset file says num_repeats = 0"))
                continue
            found, left_out, captions = _pictures(subset)
            pictures += found
            rejected += left_out
            used |= captions
            kind = counted(len(found), "class picture" if subset.is_class else "picture")
            lines.append(f"{subset.folder.name}: {kind}, {counted(subset.repeats, 'time')} an epoch")
    said_so = f"kohya's dataset file {path.name}: {'; '.join(lines) or 'no folder that is seen'}"
    notes = tuple(_notes(others, path))
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


def _others(values: Mapping[str, Any], path: Path, *known: str, before: str = "") -> dict[tuple[str, str], None]:
    """What is said of all pictures rather than of a folder: key, and how it is written; each once.

    Args:
        values: of a table of the file.
        path: the file.
        known: keys of the table besides those of a subset.
        before: the table's name, with a dot.
    Raises:
        DataError: a key that kohya does not have.
    """
    others = [key for key in values if key not in UNDERSTOOD and key not in known]
    for key in others:
        if key not in CALLED_HERE and key not in ONLY_THERE:
            raise DataError(
                f"{path}: unknown key {before}{key}{nearest(key, UNDERSTOOD | CALLED_HERE.keys() | ONLY_THERE)}"
            )
    return {(key, f"{before}{key} = {values[key]}"): None for key in others}


def _notes(others: Iterable[tuple[str, str]], path: Path) -> Iterable[str]:
    settings = [
        f"{written} ({CALLED_HERE[key]} here)" if CALLED_HERE[key] != key else written
        for key, written in others
        if key in CALLED_HERE
    ]
    without = [written for key, written in others if key not in CALLED_HERE]
    if settings:
        yield f"not taken from {path.name}, give it as a setting: {', '.join(settings)}"
    if without:
        yield f"not taken from {path.name}, there is nothing like it here: {', '.join(without)}"


def _subset(said: Mapping[str, Any], path: Path) -> Subset:
    """A subset, with what it has from its dataset and from [general]; its values checked.

    Raises:
        DataError: a value that cannot be, or no such folder.
    """
    name = said.get("image_dir")
    if "metadata_file" in said:
        raise DataError(
            f"{path}: a subset with metadata_file, which is not read: write the captions beside the pictures, and give "
            "image_dir, the folder of its pictures, alone"
        )
    if not isinstance(name, str) or not name:
        found = "no image_dir" if name is None else f"image_dir = {name!r}"
        raise DataError(f"{path}: a subset with {found}: expected image_dir, the folder of its pictures, as text")
    folder = path.parent / name
    if not folder.is_dir():
        raise DataError(f"{path}: image_dir {name}: no such folder")
    repeats = said.get("num_repeats", 1)
    if type(repeats) is not int or repeats < 0:
        raise _odd(path, said, "num_repeats", "a whole number, 1 or more, or 0 to leave the folder out")
    if not isinstance(said.get("class_tokens") or "", str):
        raise _odd(path, said, "class_tokens", "words as text")
    if not isinstance(said.get("is_reg", False), bool):
        raise _odd(path, said, "is_reg", "true or false")
    suffix = said.get("caption_extension")
    if suffix is not None and not (isinstance(suffix, str) and suffix.startswith(".") and len(suffix) > 1):
        raise _odd(path, said, "caption_extension", 'a suffix with its dot, such as ".txt"')
    return Subset(folder, repeats, said.get("class_tokens") or "", said.get("is_reg", False), suffix)


def _odd(path: Path, said: Mapping[str, Any], key: str, expected: str) -> DataError:
    return DataError(f"{path}: {key} = {said[key]!r} for image_dir {said['image_dir']}: expected {expected}")


def _pictures(subset: Subset) -> tuple[list[FoundPicture], list[Rejected], set[Path]]:
    found, rejected, captions = pictures_in(
        subset.folder,
        repeats=subset.repeats,
        words=subset.words,
        is_class=subset.is_class,
        caption_suffix=subset.suffix,
    )
    if subset.suffix is not None:
        passed = {caption for caption in captions if caption.suffix.lower() != subset.suffix.lower()}
        reason = f"the dataset file says captions end with {subset.suffix}"
        rejected += [Rejected(caption, reason) for caption in sorted(passed)]
        captions -= passed
    inside = [path for path in folders_in(subset.folder) if any(has_pictures(each) for each in walk(path))]
    rejected += [Rejected(path, "a folder within image_dir: list it too") for path in inside]
    return found, rejected, captions

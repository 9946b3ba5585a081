"""Which files of a dataset hold a split: as its card says, else by the words in their names, as the `datasets` library does."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from scumble.data.layouts.imagefolder import TABLES
from scumble.data.pictures import SUFFIXES
from scumble.errors import DataError, nearest

ROWS = (".parquet", ".arrow", ".tar")
"""Suffixes of files that hold rows; a dataset is read from those of the first of these that it has."""

SPLIT_WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Word in a path -> the split it means."""

SHARD = re.compile(r"(?P<split>[\w.-]+?)-(?P<number>\d{5,})-of-(?P<total>\d{5,})")
"""How the stem of a numbered file begins: train-00000-of-00005."""

TRAIN = "train"


def choose_shards(names: Iterable[str], card: Mapping[str, Any], config: str | None, split: str) -> list[str]:
    """The files that hold a split, in order.

    Args:
        names: paths of all files in the dataset, with "/".
        card: the header of its README.md.
        config: name of one of its configurations; None = the only or usual one.
        split: such as "train".
    Raises:
        DataError: no such configuration or split, or a numbered file is missing.
    """
    usable = sorted(name for name in names if _is_data(name))
    by_split = _said_by_card(usable, card, config)
    if by_split is None:
        by_split = _by_words(usable if config is None else _in_folder(usable, config))
    by_split = {name: _rows_first(found) for name, found in by_split.items() if found}
    found = by_split.get(split) or by_split.get(SPLIT_WORDS.get(split, split))
    if not found:
        if not by_split:
            raise DataError(f"no data in it: expected files that end in {', '.join(ROWS)}, or pictures")
        raise DataError(f"no split {split}{nearest(split, by_split)}; say with --dataset_split")
    _refuse_missing(found)
    return found


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and (path.suffix.lower() in {*ROWS, *SUFFIXES} or path.name in TABLES)


def _rows_first(names: Sequence[str]) -> list[str]:
    """Only the files with rows where there are any: pictures beside them illustrate the card."""
    for suffix in ROWS:
        found = [name for name in names if name.lower().endswith(suffix)]
        if found:
            return found
    return list(names)


def _said_by_card(names: Sequence[str], card: Mapping[str, Any], config: str | None) -> dict[str, list[str]] | None:
    """Split -> files, where the card lists configurations; None where it does not."""
    configs = {str(each.get("config_name")): each for each in card.get("configs") or [] if isinstance(each, Mapping)}
    if not configs:
        return None
    marked = [name for name, each in configs.items() if each.get("default")]
    usual = [name for name in (*marked, "default") if name in configs]
    chosen = config or (usual[0] if usual else next(iter(configs)) if len(configs) == 1 else None)
    if chosen is None:
        raise DataError(f"several configurations: say with --dataset_config_name which: {', '.join(configs)}")
    if chosen not in configs:
        raise DataError(f"no configuration {chosen}{nearest(chosen, configs)}; say with --dataset_config_name")
    folder, files = configs[chosen].get("data_dir"), configs[chosen].get("data_files")
    names = _in_folder(names, str(folder)) if folder else names
    if files is None:
        return _by_words(names)
    entries = files if isinstance(files, list) else [files]
    found: dict[str, list[str]] = {}
    for entry in entries:
        said = entry if isinstance(entry, Mapping) else {"split": TRAIN, "path": entry}
        patterns = said.get("path") if isinstance(said.get("path"), list) else [said.get("path")]
        paths = [f"{folder}/{pattern}" if folder else str(pattern) for pattern in patterns or []]
        found.setdefault(str(said.get("split", TRAIN)), []).extend(
            name for name in names if any(_pattern(path).fullmatch(name) for path in paths)
        )
    return found


def _in_folder(names: Sequence[str], folder: str) -> list[str]:
    """The files in the folder that a configuration has."""
    inside = [name for name in names if name.startswith(f"{folder.strip('/')}/")]
    if not inside:
        folders = sorted({PurePosixPath(name).parts[0] for name in names if "/" in name})
        raise DataError(f"no configuration {folder}{nearest(folder, folders)}; say with --dataset_config_name")
    return inside


def _by_words(names: Sequence[str]) -> dict[str, list[str]]:
    """Split -> files, by their paths: the first of the library's ways that finds any; where none does, all are for training."""
    ways: tuple[Callable[[PurePosixPath], str | None], ...] = (_by_number, _by_folder, _by_file)
    for way in ways:
        split_of = {name: way(PurePosixPath(name)) for name in names}
        splits = dict.fromkeys(split for split in split_of.values() if split is not None)
        if splits:
            shared = [name for name, split in split_of.items() if split is None and PurePosixPath(name).name in TABLES]
            return {each: [*shared, *(name for name in names if split_of[name] == each)] for each in splits}
    return {TRAIN: list(names)}


def _by_number(path: PurePosixPath) -> str | None:
    """data/train-00000-of-00005.parquet, in which the split may have any name."""
    numbered = SHARD.match(path.name)
    return numbered["split"] if numbered is not None and path.parent.as_posix() == "data" else None


def _by_folder(path: PurePosixPath) -> str | None:
    return next((split for part in path.parts[:-1] if (split := _word_in(part))), None)


def _by_file(path: PurePosixPath) -> str | None:
    """A picture's own name says nothing: pictures of trains are no training pictures."""
    return None if path.suffix.lower() in SUFFIXES else _word_in(path.stem)


def _word_in(part: str) -> str | None:
    return next((SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", part.lower()) if word in SPLIT_WORDS), None)


def _pattern(path: str) -> re.Pattern[str]:
    """A path with * (within a folder), ** (across folders) and ? as a regular expression."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", path.removeprefix("./"))
    return re.compile("".join(signs.get(piece, re.escape(piece)) for piece in pieces))


def _refuse_missing(names: Sequence[str]) -> None:
    """Raise where files are numbered and one is not there, as in a download that broke off."""
    there: dict[tuple[str, int], set[int]] = {}
    for name in names:
        match = SHARD.match(PurePosixPath(name).name)
        if match is not None:
            place = f"{PurePosixPath(name).parent.as_posix()}/{match['split']}"
            there.setdefault((place, int(match["total"])), set()).add(int(match["number"]))
    for (place, total), numbers in there.items():
        missing = sorted(set(range(total)) - numbers)
        if missing:
            raise DataError(
                f"{place.removeprefix('./')}: {len(missing)} of {total} files are missing, first number {missing[0]:05d}: "
                "get it again"
            )

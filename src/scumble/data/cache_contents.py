"""What lies in a cache, by kind and by when it was last used; and clearing it away, the least recently used first."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from scumble.data import cache as tensors
from scumble.data.cache_use import FOLDER as IN_USE
from scumble.data.cache_use import cache_alone
from scumble.data.datasets.export import FOLDER as DATASETS
from scumble.data.datasets.export import RECORD
from scumble.data.ledger import SUFFIX as LEDGER_SUFFIX
from scumble.data.seen import FOLDER as SEEN
from scumble.data.thumbnails import FOLDER as THUMBNAILS

ContentKind = Literal[
    "latents", "text states", "looks at pictures", "thumbnails", "datasets", "of an older version", "left over"
]
KINDS: Sequence[ContentKind] = get_args(ContentKind)
USELESS: Sequence[ContentKind] = ("of an older version", "left over")
"""What nothing reads any more."""

DIGEST = re.compile(r"[0-9a-f]{64}")
BEGIN = re.compile(r"[0-9a-f]{2}")
UNFINISHED = re.compile(r"\.scumble-[0-9a-f]{16}\.tmp")
SECONDS_OF_A_DAY = 86_400.0
FOLDERS: dict[str, tuple[ContentKind, str]] = {
    "latents": ("latents", tensors.SUFFIX),
    "text": ("text states", tensors.SUFFIX),
    SEEN: ("looks at pictures", LEDGER_SUFFIX),
    THUMBNAILS: ("thumbnails", LEDGER_SUFFIX),
}
"""Folder -> what its entries are, and their suffix."""


@dataclass(frozen=True)
class Content:
    """One thing in a cache.

    Attributes:
        path: a file, or the folder of an exported dataset.
        kind: what it is.
        size: in bytes.
        used: when it was last read or written, in seconds since 1970.
    """

    path: Path
    kind: ContentKind
    size: int
    used: float


@dataclass(frozen=True)
class Limits:
    """What is to go.

    Attributes:
        older_than_days: what was not used for so long.
        max_bytes: the least recently used, until the rest is no larger.
        everything: all of it.
    """

    older_than_days: float | None = None
    max_bytes: int | None = None
    everything: bool = False


def contents_of(cache: Path) -> list[Content]:
    """All that the cache put into its folder, the least recently used first; files of others are not looked at."""
    found = [*_tensor_files(cache), *_datasets(cache / DATASETS)]
    return sorted(found, key=lambda content: (content.used, content.path))


def to_remove(contents: Sequence[Content], limits: Limits, now: float) -> list[Content]:
    """What limits say must go; what nothing reads any more goes always.

    Args:
        contents: the least recently used first.
        limits: what is to go.
        now: in seconds since 1970.
    """
    gone: list[Content] = []
    left = sum(content.size for content in contents if content.kind not in USELESS)
    for content in contents:
        is_old = limits.older_than_days is not None and content.used < now - limits.older_than_days * SECONDS_OF_A_DAY
        is_too_much = limits.max_bytes is not None and left > limits.max_bytes
        if content.kind in USELESS:
            gone.append(content)
        elif limits.everything or is_old or is_too_much:
            gone.append(content)
            left -= content.size
    return gone


def prune(cache: Path, limits: Limits, now: float) -> list[Content]:
    """Remove what limits say; nothing while a run uses the cache.

    Returns:
        What was removed.
    Raises:
        DataError: a run uses the cache.
        OSError: something cannot be removed.
    """
    if not cache.is_dir():
        return []
    with cache_alone(cache):
        gone = to_remove(contents_of(cache), limits, now)
        for content in gone:
            _remove(content.path)
        for folder in {content.path.parent for content in gone}:
            if folder != cache and not any(folder.iterdir()):
                folder.rmdir()
    return gone


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
        return
    # under a name that no run looks for, so that a removal that breaks off leaves no half dataset
    doomed = path if UNFINISHED.fullmatch(path.name) else path.with_name(f".scumble-{secrets.token_hex(8)}.tmp")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _tensor_files(cache: Path) -> Iterator[Content]:
    for folder in _folders(cache):
        if folder.name in FOLDERS:
            for inside in _folders(folder):
                yield from _files(inside, *FOLDERS[folder.name])
        elif folder.name not in {DATASETS, IN_USE}:  # version 1 had no folders by kind
            yield from _files(folder, "of an older version", tensors.SUFFIX)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]


def _files(folder: Path, kind: ContentKind, suffix: str) -> Iterator[Content]:
    if not BEGIN.fullmatch(folder.name):
        return
    for entry in os.scandir(folder):
        path = Path(entry)
        is_entry = DIGEST.fullmatch(path.stem) and path.suffix == suffix and path.stem.startswith(folder.name)
        if not entry.is_file(follow_symlinks=False) or not (is_entry or UNFINISHED.fullmatch(entry.name)):
            continue
        with contextlib.suppress(FileNotFoundError):  # a run that is writing may just have given it its name
            status = entry.stat()
            yield Content(path, kind if is_entry else "left over", status.st_size, status.st_mtime)


def _datasets(folder: Path) -> Iterator[Content]:
    for path in _folders(folder):
        if DIGEST.fullmatch(path.name) and (path / RECORD).is_file():
            yield Content(path, "datasets", _size(path), (path / RECORD).stat().st_mtime)
        elif UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                yield Content(path, "left over", _size(path), path.stat().st_mtime)


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))

"""Which pictures are made larger, and where each result goes: nothing is overwritten that was not meant to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.data.layouts.found import files_in, is_picture, walk, why_not
from scumble.data.pictures import OTHER_PICTURES
from scumble.errors import ConfigError, DataError
from scumble.quantities import counted
from scumble.upscale.events import Unread

RESULT_SUFFIX = ".png"


@dataclass(frozen=True)
class Place:
    """A picture, and where its result goes."""

    source: Path
    out: Path


@dataclass(frozen=True)
class Places:
    """All pictures; `unread` are those of kinds that are not read here."""

    pictures: tuple[Place, ...]
    unread: tuple[Unread, ...]


def find_places(given: Sequence[Path], out: Path, overwrite: bool) -> Places:
    """The pictures that were named or lie in folders that were, and where their results go.

    Args:
        given: pictures, and folders with pictures at any depth.
        out: a folder, in which results have the pictures' names and places; for one picture also a .png file.
        overwrite: whether results that are there are replaced.
    Raises:
        DataError: there is no picture.
        ConfigError: a result would replace its picture, another result, or without `overwrite` a file.
    """
    if out.suffix.lower() == RESULT_SUFFIX and (len(given) > 1 or given[0].is_dir()):
        raise ConfigError(f"out={out}: that is one file, and there may be several results; give a folder")
    pictures: list[Place] = []
    unread: list[Unread] = []
    for path in given:
        found, others = _in_folder(path, out) if path.is_dir() else _single(path)
        pictures += [Place(source, _result(name, out)) for source, name in found]
        unread += others
    if not pictures:
        reasons = "; ".join(f"{each.path}: {each.reason}" for each in unread[:3])
        raise DataError(f"{', '.join(map(str, given))}: no picture to enlarge{reasons and f' ({reasons})'}")
    _refuse_replacing(pictures, overwrite)
    return Places(tuple(pictures), tuple(unread))


def _single(path: Path) -> tuple[list[tuple[Path, Path]], list[Unread]]:
    """A picture that was named, and what its result is called."""
    if not path.exists():
        raise DataError(f"{path}: there is no such picture or folder; look for its name")
    if path.suffix.lower() in OTHER_PICTURES:
        return [], [Unread(path, why_not(path))]
    return [(path, Path(path.name))], []


def _in_folder(folder: Path, out: Path) -> tuple[list[tuple[Path, Path]], list[Unread]]:
    """The pictures of a folder and the folders in it, without results of before."""
    places = [place for place in walk(folder) if not _is_in(place, out, folder)]
    files = [path for place in places for path in files_in(place)]
    found = [(path, path.relative_to(folder)) for path in files if is_picture(path) and path.exists()]
    others = [path for path in files if path.suffix.lower() in OTHER_PICTURES or not path.exists()]
    return found, [Unread(path, why_not(path)) for path in others]


def _is_in(place: Path, out: Path, folder: Path) -> bool:
    """Whether a folder in `folder` is the one for results, or lies in it."""
    results = out.resolve()
    return results != folder.resolve() and (place.resolve() == results or results in place.resolve().parents)


def _result(name: Path, out: Path) -> Path:
    return out if out.suffix.lower() == RESULT_SUFFIX else out / name.with_suffix(RESULT_SUFFIX)


def _refuse_replacing(pictures: Sequence[Place], overwrite: bool) -> None:
    first: dict[Path, Path] = {}
    for place in pictures:
        other = first.setdefault(place.out.absolute(), place.source)
        if other != place.source:
            raise ConfigError(
                f"{place.source} and {other} would both become {place.out}: rename one, or do one at a time"
            )
    sources = {place.source.resolve() for place in pictures}
    own = [place.out for place in pictures if place.out.resolve() in sources]
    if own:
        raise ConfigError(f"{own[0]}: a result never replaces a picture that it is made from; give another --out")
    there = [place.out for place in pictures if place.out.exists()]
    if there and not overwrite:
        more = f", as {counted(len(there) - 1, 'other is', 'others are')}" if len(there) > 1 else ""
        raise ConfigError(f"{there[0]} is there already{more}; give another --out, or --overwrite to replace results")

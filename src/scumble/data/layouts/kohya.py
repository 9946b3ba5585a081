"""The folders of kohya's scripts: `10_sks dog` holds pictures that are seen 10 times an epoch, "sks dog" is their caption."""

import re
from pathlib import Path

from scumble.data.layouts.found import (
    FoundPicture,
    Layout,
    Rejected,
    files_in,
    folders_in,
    has_pictures,
    is_picture,
    pictures_in,
    walk,
    why_not,
)
from scumble.quantities import counted

NAME = re.compile(r"(\d+)_(.+)")
IMG, REG = "img", "reg"
"""What kohya's window calls the folders of own and of class pictures in a project's folder."""


def find_one(folder: Path) -> Layout | None:
    """One such folder, named itself."""
    parts = NAME.fullmatch(folder.resolve().name)
    if parts is None or not has_pictures(folder):
        return None
    return _layout([(folder, False)], [], f"kohya's folder {folder.resolve().name}")


def find_parent(folder: Path) -> Layout | None:
    """A folder of such folders."""
    named = [path for path in folders_in(folder) if NAME.fullmatch(path.name) and has_pictures(path)]
    if not named or has_pictures(folder):
        return None
    return _layout([(path, False) for path in named], _beside(folder, named), "kohya's folders")


def find_project(folder: Path) -> Layout | None:
    """A folder with `img` and perhaps `reg`, each a folder of such folders."""
    own, classes = _named_in(folder / IMG), _named_in(folder / REG)
    if not own or has_pictures(folder):
        return None
    places = [(path, False) for path in own] + [(path, True) for path in classes]
    rejected = _beside(folder / IMG, own) + (_beside(folder / REG, classes) if classes else [])
    rejected += [Rejected(path, why_not(path)) for path in files_in(folder)]
    return _layout(places, rejected, "kohya's project, img and reg" if classes else "kohya's project, img")


def _named_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folders_in(folder) if NAME.fullmatch(path.name) and has_pictures(path)]


def _beside(folder: Path, named: list[Path]) -> list[Rejected]:
    """Everything in the parent that is not one of the folders."""
    files = [
        Rejected(path, "a picture beside kohya's folders: move it into one" if is_picture(path) else why_not(path))
        for path in files_in(folder)
    ]
    folders = [
        Rejected(path, "not named like 10_words, which says how often its pictures are seen")
        for path in folders_in(folder)
        if path not in named and any(has_pictures(each) for each in walk(path))
    ]
    return files + folders


def _layout(places: list[tuple[Path, bool]], rejected: list[Rejected], said: str) -> Layout:
    pictures: list[FoundPicture] = []
    used: set[Path] = set()
    lines = []
    for folder, is_class in places:
        parts = NAME.fullmatch(folder.resolve().name)
        assert parts is not None
        repeats, words = int(parts[1]), parts[2].strip()
        if repeats == 0:
            rejected = [*rejected, Rejected(folder, "seen 0 times: its name begins with 0_")]
            continue
        found, others, captions = pictures_in(folder, words=words, repeats=repeats, is_class=is_class)
        inside = [path for path in folders_in(folder) if any(has_pictures(each) for each in walk(path))]
        rejected = [*rejected, *others, *(Rejected(path, "a folder within one of kohya's folders") for path in inside)]
        pictures += found
        used |= captions
        kind = counted(len(found), "class picture" if is_class else "picture")
        lines.append(f'{folder.resolve().name}: {kind}, {counted(repeats, "time")} an epoch, "{words}"')
    return Layout("kohya", f"{said}: {'; '.join(lines)}", tuple(pictures), tuple(rejected), frozenset(used))

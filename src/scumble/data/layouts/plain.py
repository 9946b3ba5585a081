"""Pictures in one folder, or in folders within folders, without any further meaning."""

from pathlib import Path

from scumble.data.layouts.found import FoundPicture, Layout, Rejected, folders_in, has_pictures, pictures_in, walk
from scumble.quantities import counted


def find_flat(folder: Path) -> Layout | None:
    """Pictures in the folder itself; those in folders within are reported, not used."""
    if not has_pictures(folder):
        return None
    pictures, rejected, captions = pictures_in(folder)
    inside = [path for path in folders_in(folder) if any(has_pictures(each) for each in walk(path))]
    rejected += [Rejected(path, "a folder beside pictures: name it to use its pictures") for path in inside]
    return Layout("flat", "one folder of pictures", tuple(pictures), tuple(rejected), frozenset(captions))


def find_nested(folder: Path) -> Layout | None:
    """Pictures in folders within folders only: all of them."""
    pictures: list[FoundPicture] = []
    rejected: list[Rejected] = []
    used: set[Path] = set()
    with_pictures = 0
    for each in walk(folder):
        found, others, captions = pictures_in(each)
        with_pictures += bool(found)
        pictures += found
        rejected += others
        used |= captions
    if not pictures:
        return None
    said = f"pictures in {counted(with_pictures, 'folder')} within folders, all alike"
    return Layout("nested", said, tuple(pictures), tuple(rejected), frozenset(used))

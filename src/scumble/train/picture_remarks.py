"""What both training and checking say of files that are not used, and of settings that do nothing to these pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scumble.config import DataConfig
from scumble.data.caption_lint import lacks
from scumble.data.layouts.found import Rejected
from scumble.data.masks import idle_masks
from scumble.data.names import listed, name_in, root_of
from scumble.data.scan import Scan
from scumble.generate.events import Noted
from scumble.quantities import counted

MOST_REJECTED = 20
"""Files that are named one by one; the page of check lists all."""

NO_PICTURE = "not a picture"
"""Why notes and the like are left out, which is no loss."""


def picture_remarks(data: DataConfig, scan: Scan) -> Iterator[Noted]:
    """What a person should know of the pictures, captions and masks that there are."""
    root = root_of(scan.folder)
    yield from (Noted(text, warning=True) for text in scan.notes)
    yield from left_out_remarks(scan.rejected, root)
    without = [example.path for example in scan.examples if data.trigger and lacks(example, data.trigger)]
    if without:
        yield Noted(
            f"the trigger '{data.trigger}' is missing from {len(without)} of {counted(len(scan.examples), 'caption')}, first "
            f"{name_in(without[0], root)}",
            warning=True,
        )
    empty = [example.path for example in scan.examples if not example.caption and example.source == "sidecar"]
    if empty:
        files = counted(len(empty), "caption file is", "caption files are")
        trains = "trains" if len(empty) == 1 else "train"
        yield Noted(f"{files} empty and {trains} the empty prompt, first {name_in(empty[0], root)}", warning=True)
    if data.mask_dir is not None:
        yield from (Noted(text, warning=True) for text in mask_remarks(data.mask_dir, scan))


def left_out_remarks(rejected: Sequence[Rejected], root: Path) -> Iterator[Noted]:
    """A line for each file that is left out, but for those that are no pictures, which share one.

    Args:
        rejected: files and folders, and why.
        root: what names are relative to.
    """
    lost = [item for item in rejected if item.reason != NO_PICTURE]
    others = [item.path for item in rejected if item.reason == NO_PICTURE]
    for item in lost[:MOST_REJECTED]:
        yield Noted(f"{name_in(item.path, root)} is left out: {item.reason}", warning=True)
    more = len(lost) - MOST_REJECTED
    if more > 0:
        yield Noted(
            f"{counted(more, 'more is', 'more are')} left out; the page of scumble check lists all", warning=True
        )
    if others:
        yield Noted(f"{counted(len(others), 'file is no picture', 'files are no pictures')}: {listed(others, root)}")


def mask_remarks(mask_dir: Path, scan: Scan) -> Iterator[str]:
    """Of a folder of masks, what is the mask of no picture."""
    examples = (*scan.examples, *scan.classes, *scan.uncaptioned)
    pictures = [example.path for example in examples] + [item.path for item in (*scan.rejected, *scan.unread)]
    idle = idle_masks(mask_dir, pictures)
    if idle:
        fit = "is of no picture" if len(idle) == 1 else "are of no picture"
        yield (
            f"mask_dir: {counted(len(idle), 'file')} there {fit} ({listed(idle, mask_dir)}): a mask has its picture's name but "
            "for the suffix"
        )


def tag_remarks(data: DataConfig, scan: Scan) -> Iterator[Noted]:
    """Settings of tags that do nothing, or more than they say, because no caption has so many tags."""
    captions = (caption for example in scan.examples for caption in example.captions)
    most = max((_num_tags(caption, data.caption_separator) for caption in captions), default=0)
    between = f"tags are what stands between '{data.caption_separator}'"
    if data.keep_tokens > 0:
        between += f", and the first {data.keep_tokens} stay"
    if data.shuffle_caption and most - data.keep_tokens < 2:
        yield Noted(
            f"shuffle_caption has no effect: no caption has two tags to shuffle; {between}; leave it out", warning=True
        )
    if data.caption_tag_dropout_rate == 0:
        return
    if most <= data.keep_tokens:
        yield Noted(
            f"caption_tag_dropout_rate has no effect: no caption has a tag to leave out; {between}; leave it out",
            warning=True,
        )
    elif most < 2:
        yield Noted(
            f"caption_tag_dropout_rate leaves out whole captions, because none has two tags; {between}", warning=True
        )


def _num_tags(caption: str, separator: str) -> int:
    return sum(bool(piece.strip()) for piece in caption.split(separator))

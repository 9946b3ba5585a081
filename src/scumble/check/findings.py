"""What was found in a folder: the pictures' hints, duplicates, captions, sizes; and whether it can be trained on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.check.tokens import CutCaption, cut_captions, why_uncounted
from scumble.config import DataConfig
from scumble.data.buckets import BucketRule, Size
from scumble.data.caption_lint import CaptionFindings, lint_captions
from scumble.data.duplicates import equal_groups, near_groups
from scumble.data.layouts.found import Rejected
from scumble.data.names import listed, root_of
from scumble.data.quality import Hint, HintKind, hints_on
from scumble.data.scan import Example, Scan
from scumble.errors import BaseModelError
from scumble.families.base import BaseModel
from scumble.quantities import counted
from scumble.train.cuts import bucket_rule
from scumble.train.picture_remarks import mask_remarks

USUAL_RESOLUTION, USUAL_UNIT = 512, 8
"""Side of the training square, and pixels of a latent, where no base says so."""

WORDS: dict[HintKind, str] = {
    "small": "smaller than the resolution",
    "elongated": "long and narrow",
    "blurred": "looks blurred",
    "uniform": "nearly of one colour",
    "dark": "nearly black",
    "bright": "nearly white",
}
"""Kind of hint -> what is said of such pictures."""


@dataclass(frozen=True)
class Seen:
    """A picture that can be read.

    Attributes:
        example: the picture.
        size: what it is cut to, in pixels.
        hints: why one should look at it again.
    """

    example: Example
    size: Size
    hints: tuple[Hint, ...]


@dataclass(frozen=True)
class Findings:
    """All that was found, but for what training will cost.

    Attributes:
        scan: of the folder; its pictures may lack captions.
        rule: how sizes are chosen.
        seen: every picture that can be read: own ones, class pictures, those without caption, in order of their paths.
        equal: groups of pictures of the same bytes.
        alike: groups of pictures that look alike, but are not all of the same bytes.
        captions: what they are like.
        cut: captions whose end the text encoder does not see.
        masked: pictures that have a mask; None where none were asked for.
        problems: why the folder cannot be trained on; empty = it can be.
        warnings: what should be looked at.
    """

    scan: Scan
    rule: BucketRule
    seen: tuple[Seen, ...]
    equal: tuple[tuple[Example, ...], ...]
    alike: tuple[tuple[Example, ...], ...]
    captions: CaptionFindings
    cut: tuple[CutCaption, ...]
    masked: int | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def buckets(self) -> list[tuple[Size, int]]:
        """Each size that pictures are cut to, and how many are, the most frequent first."""
        return Counter(seen.size for seen in self.seen).most_common()

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Files and folders that are not used, and pictures whose caption cannot be read."""
        return (*self.scan.rejected, *self.scan.unread)


def find(scan: Scan, data: DataConfig, base: BaseModel | None, distance: int) -> Findings:
    """Look at what a survey gave.

    Args:
        scan: by `data.scan.survey`.
        data: settings of the training that it is for.
        base: the base that it is for, if there is one.
        distance: bits of 64 in which perceptual hashes of near duplicates differ at most.
    Raises:
        ConfigError: sizes that do not fit the base.
    """
    rule = _rule(data, base)
    examples = sorted((*scan.examples, *scan.classes, *scan.uncaptioned), key=lambda example: example.path)
    seen = []
    for example in examples:
        assert example.look is not None, "a survey looks at every picture"
        size = rule.size_for(example.size_px)
        seen.append(Seen(example, size, tuple(hints_on(example.look, example.size_px, size, rule.resolution))))
    captions = lint_captions([*scan.examples, *scan.uncaptioned], data.trigger)
    cut, notes = _cut(scan.examples, base, data.num_chunks)
    equal = _chosen(examples, equal_groups([example.content for example in examples]))
    looks = [example.look for example in examples if example.look is not None]
    alike = [group for group in _chosen(examples, near_groups(looks, distance)) if not _is_one_content(group)]
    root = root_of(scan.folder)
    return Findings(
        scan,
        rule,
        tuple(seen),
        equal,
        tuple(alike),
        captions,
        tuple(cut),
        sum(example.mask is not None for example in examples) if data.mask_dir or data.alpha_mask else None,
        tuple(_problems(scan, root)),
        (
            *scan.notes,
            *(mask_remarks(data.mask_dir, scan) if data.mask_dir is not None else ()),
            *_warnings_on_pictures(seen, root),
            *_warnings_on_groups(equal, "the same bytes", root),
            *_warnings_on_groups(alike, "look alike", root),
            *_warnings_on_captions(captions, cut, root),
            *notes,
        ),
    )


def _rule(data: DataConfig, base: BaseModel | None) -> BucketRule:
    resolution = data.resolution or (base.resolution if base is not None else USUAL_RESOLUTION)
    unit = base.pixels_per_latent if base is not None else USUAL_UNIT
    return bucket_rule(data.model_copy(update={"resolution": resolution}), unit)


def _chosen(examples: Sequence[Example], groups: Sequence[tuple[int, ...]]) -> tuple[tuple[Example, ...], ...]:
    return tuple(tuple(examples[index] for index in group) for group in groups)


def _is_one_content(group: Sequence[Example]) -> bool:
    return len({example.content for example in group}) == 1


def _cut(
    examples: Sequence[Example], base: BaseModel | None, num_chunks: int
) -> tuple[list[CutCaption], tuple[str, ...]]:
    try:
        return cut_captions(examples, base, num_chunks), ()
    except BaseModelError as error:
        return [], (why_uncounted(error),)


def _problems(scan: Scan, root: Path) -> list[str]:
    found = []
    if scan.unread:
        unread = named([item.path for item in scan.unread], "picture", root)
        found.append(f"captions cannot be read: {unread}; {scan.unread[0].reason}")
    if scan.uncaptioned:
        found.append(
            f"no caption: {named([example.path for example in scan.uncaptioned], 'picture', root)}: write a .txt file beside "
            'each, let scumble caption do so, or give --trigger "sks dog"'
        )
    if not (scan.examples or scan.uncaptioned or scan.unread):
        found.append("there is no picture that can be read")
    return found


def _warnings_on_pictures(findings: Sequence[Seen], root: Path) -> Iterator[str]:
    for kind, words in WORDS.items():
        paths = [seen.example.path for seen in findings if any(hint.kind == kind for hint in seen.hints)]
        if paths:
            yield f"{words}: {named(paths, 'picture', root)}"


def _warnings_on_groups(groups: Sequence[tuple[Example, ...]], words: str, root: Path) -> Iterator[str]:
    if groups:
        yield f"{words}: {_groups_named(groups, root)}"
    differing = [group for group in groups if _is_one_content(group) and len({each.captions for each in group}) > 1]
    if differing:
        yield f"{words}, but other captions: {_groups_named(differing, root)}"


def _groups_named(groups: Sequence[tuple[Example, ...]], root: Path) -> str:
    """ "2 groups of pictures (a.png, b.png; ...)"."""
    first = listed([example.path for example in groups[0]], root)
    return f"{counted(len(groups), 'group')} of pictures ({first}{'; ...' if len(groups) > 1 else ''})"


def _warnings_on_captions(captions: CaptionFindings, cut: Sequence[CutCaption], root: Path) -> Iterator[str]:
    lists = {
        "empty caption": captions.empty,
        "the caption lacks the trigger": captions.without_trigger,
        "the caption has odd signs": [odd.path for odd in captions.odd],
        "the caption has a tag twice, or an empty one": [odd.path for odd in captions.odd_tags],
        "the caption is longer than the text encoder sees": [item.path for item in cut],
    }
    for words, paths in lists.items():
        if paths:
            yield f"{words}: {named(paths, 'picture', root)}"
    if captions.spellings:
        first = " and ".join(f"'{tag}'" for tag in captions.spellings[0])
        yield f"{counted(len(captions.spellings), 'tag')} in several spellings: {first}"
    if captions.equal:
        caption, paths = captions.equal[0]
        shown = caption if len(caption) <= 60 else caption[:59] + "…"
        pictures = f"'{shown}' of {named(paths, 'picture', root)}"
        yield f"{counted(len(captions.equal), 'caption')} of several pictures each: {pictures}"


def named(paths: Sequence[Path], what: str, root: Path) -> str:
    """ "4 pictures (dogs/a.png, dogs/b.png, cats/c.png, ...)"."""
    return f"{counted(len(paths), what)} ({listed(paths, root)})"

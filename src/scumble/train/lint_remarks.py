"""What checking would say of pictures and captions, in a line each, where a training starts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scumble.data.caption_lint import lint_captions
from scumble.data.duplicates import equal_groups, near_groups
from scumble.data.names import name_in, root_of
from scumble.data.quality import LOWEST_SHARPNESS
from scumble.data.scan import Example, Scan
from scumble.generate.events import Noted
from scumble.quantities import counted

ADVICE = "scumble check shows them"
FIRST = 3


def lint_remarks(scan: Scan) -> Iterator[Noted]:
    """Pictures that are there twice, look alike, blurred or of one colour, and captions with odd signs or odd tags."""
    yield from (Noted(f"{text}: {ADVICE}", warning=True) for text in (*_of_pictures(scan), *_of_captions(scan)))


def _of_pictures(scan: Scan) -> Iterator[str]:
    examples, root = scan.examples, root_of(scan.folder)
    looks = [example.look for example in examples if example.look is not None]
    equal = [[examples[index] for index in group] for group in equal_groups([each.content for each in examples])]
    if equal:
        extra = sum(len(group) - 1 for group in equal)
        differing = sum(len({example.captions for example in group}) > 1 for group in equal)
        captions = f", {differing} with another caption" if differing else ""
        copies = counted(extra, "picture is a copy of another", "pictures are copies of others")
        yield f"{copies}, byte for byte{captions} ({_first(equal[0], root)})"
    if len(looks) == len(examples):
        alike = [group for group in near_groups(looks) if len({examples[index].content for index in group}) > 1]
        if alike:
            yield (
                f"{sum(map(len, alike)):,} pictures look like others ({_first([examples[index] for index in alike[0]], root)}); "
                "they are trained on together, or held out together"
            )
    poor = [
        example
        for example in examples
        if example.look is not None and (example.look.is_uniform or example.look.sharpness < LOWEST_SHARPNESS)
    ]
    if poor:
        look = counted(len(poor), "picture looks blurred or is", "pictures look blurred or are")
        yield f"{look} of one colour, first {name_in(poor[0].path, root)}"


def _of_captions(scan: Scan) -> Iterator[str]:
    root = root_of(scan.folder)
    found = lint_captions(scan.examples)
    for captions, words in ((found.odd, "odd signs"), (found.odd_tags, "a tag twice, or an empty one")):
        if captions:
            has = counted(len(captions), "caption has", "captions have")
            yield f"{has} {words}, first {name_in(captions[0].path, root)}: {captions[0].signs[0]}"
    if found.spellings:
        count = counted(len(found.spellings), "tag is spelled", "tags are spelled")
        yield f"{count} in several ways, first {' and '.join(found.spellings[0])}"


def _first(group: Sequence[Example], root: Path) -> str:
    return ", ".join(name_in(example.path, root) for example in group[:FIRST])

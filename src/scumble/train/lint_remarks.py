"""What checking would say of pictures and captions, in a line each, where a training starts."""

from collections.abc import Iterator

from scumble.data.caption_lint import odd_signs
from scumble.data.duplicates import equal_groups, near_groups
from scumble.data.quality import LOWEST_SHARPNESS
from scumble.data.scan import Scan
from scumble.generate.events import Noted

ADVICE = "scumble check shows them"


def lint_remarks(scan: Scan) -> Iterator[Noted]:
    """Pictures that are there twice, look alike, blurred or of one colour, and captions with odd signs."""
    examples = scan.examples
    looks = [example.look for example in examples if example.look is not None]
    equal = equal_groups([example.content for example in examples])
    if equal:
        first = ", ".join(examples[index].path.name for index in equal[0][:3])
        extra = sum(len(group) - 1 for group in equal)
        yield Noted(f"pictures that are copies of others, byte for byte: {extra} ({first}): {ADVICE}", warning=True)
    if len(looks) == len(examples):
        alike = [group for group in near_groups(looks) if len({examples[index].content for index in group}) > 1]
        if alike:
            first = ", ".join(examples[index].path.name for index in alike[0][:3])
            yield Noted(
                f"pictures that look like others: {sum(map(len, alike))} ({first}); they are trained on together, or held out "
                f"together: {ADVICE}",
                warning=True,
            )
    poor = [
        example.path.name
        for example in examples
        if example.look is not None and (example.look.is_uniform or example.look.sharpness < LOWEST_SHARPNESS)
    ]
    if poor:
        yield Noted(
            f"pictures that look blurred or are of one colour: {len(poor)}, first {poor[0]}: {ADVICE}", warning=True
        )
    odd = [
        (example.path.name, signs[0])
        for example in examples
        for caption in example.captions
        if (signs := odd_signs(caption))
    ]
    if odd:
        name, sign = odd[0]
        yield Noted(f"captions with odd signs: {len(odd)}, first {name}: {sign}: {ADVICE}", warning=True)

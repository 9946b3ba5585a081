"""What the judge of the model in the box says: of the digits, inks, papers and looks that prompts ask for.

A mark is the share of pictures in which the judge sees what was asked for, 0..1; see `mini.judge`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from scumble.errors import MetricError
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import standard_error
from scumble.metrics.judge_eyes import JudgeEyes, is_in_the_box, judged_pixels
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.judge import QUESTIONS, score
from scumble.mini.lessons import STYLE_INK, STYLE_LOOK, STYLE_PAPER, STYLE_WORDS

STYLE = {"ink": STYLE_INK, "paper": STYLE_PAPER, "look": STYLE_LOOK}
_ASKED = {
    "digit": re.compile(rf"\b({'|'.join(DIGIT_WORDS)})\b"),
    "ink": re.compile(r"\b(\w+) ink\b"),
    "paper": re.compile(r"\b(\w+) paper\b"),
    "look": re.compile(rf"\b({'|'.join(QUESTIONS['look'])})\b"),
}


def measure(subject: Subject) -> Iterator[Event]:
    """`judge_digit`, `judge_ink`, `judge_paper` and `judge_look`, where prompts ask for one; `judge_other_digit` is the mark of
    the prompts without the trigger: what was not forgotten.

    Raises:
        MetricError: the base is not the one in the box, or no prompt asks for what the judge knows.
    """
    if not is_in_the_box(subject.album.painter.base):
        raise MetricError("the judge knows the digits of --base mini alone")
    if not any(asked_for(prompt) for prompt in (*subject.prompts, *subject.other_prompts)):
        raise MetricError('no prompt asks for what the judge knows: --prompt "a handwritten three, red ink" does')
    for prompts in filter(None, (subject.prompts, subject.other_prompts)):
        yield from subject.draw(prompts)
    found = _marks(subject, subject.prompts, (subject.lora_pictures, subject.base_pictures))
    others = _marks(subject, subject.other_prompts, (subject.other_lora_pictures, subject.other_base_pictures))
    eyes = JudgeEyes()
    for question, (lora, base) in found.items():
        said = f"{sources.drawn(subject)}; share in which the judge sees the {question} asked for; {eyes.said}"
        yield _measured(f"judge_{question}", lora, base, said)
    if "digit" in others:
        said = f"{sources.drawn_of_others(subject)}; share in which the judge sees the digit asked for; {eyes.said}"
        yield _measured("judge_other_digit", *others["digit"], said)


def asked_for(prompt: str) -> dict[str, str]:
    """What a prompt asks for: question of the judge -> the answer.

    >>> asked_for("a handwritten three, red ink on yellow paper")
    {'digit': 'three', 'ink': 'red', 'paper': 'yellow'}
    """
    matches = {question: pattern.search(prompt) for question, pattern in _ASKED.items()}
    asked = {question: match[1] for question, match in matches.items() if match and match[1] in QUESTIONS[question]}
    return {**asked, **STYLE} if STYLE_WORDS in prompt else asked


def _measured(name: str, lora_N: Tensor, base_N: Tensor, said: str) -> Measured:
    return Measured(name, float(lora_N.mean()), "higher", said, standard_error(lora_N), float(base_N.mean()))


def _marks(
    subject: Subject, prompts: Sequence[str], pictures: tuple[Sequence[Image.Image], Sequence[Image.Image]]
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Question -> whether each picture whose prompt asks it shows the answer, with the LoRAs and by the base: 0 or 1."""
    asked = [asked_for(prompt) for prompt in prompts for _ in subject.seeds]
    if not asked:
        return {}
    judge = JudgeEyes().judge
    lora, base = (score(judge, judged_pixels(images)) for images in pictures)
    marks = {}
    for question in QUESTIONS:
        rows = [index for index, wanted in enumerate(asked) if question in wanted]
        if rows:
            seen = [[scores.answers(question)[row] == asked[row][question] for row in rows] for scores in (lora, base)]
            marks[question] = (torch.tensor(seen[0]).double(), torch.tensor(seen[1]).double())
    return marks

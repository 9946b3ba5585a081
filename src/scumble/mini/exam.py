"""What the judge says of each variant: the base, each LoRA, both; always from the same noise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.judge import Judge, Scores, score
from scumble.mini.lessons import NEW_DIGIT, OLD_DIGITS, STYLE_INK, STYLE_LOOK, STYLE_PAPER, plain_prompts, style_prompt

STEPS, GUIDANCE_SCALE, SAMPLER = 20, 3.0, "Euler a"
BATCH_SIZE = 30
CONCEPT, STYLE = LoraUse("concept"), LoraUse("style")
VARIANTS: Mapping[str, tuple[LoraUse, ...]] = {
    "base": (),
    "concept": (CONCEPT,),
    "style": (STYLE,),
    "both": (CONCEPT, STYLE),
}
STYLED = {"style", "both"}
"""Variants that are asked for digits in the style; the others are asked for them in ink on paper."""


@dataclass(frozen=True)
class Marks:
    """Shares of pictures, 0..1.

    Attributes:
        nine: asked for a nine, the judge sees a nine.
        old: asked for a zero to eight, the judge sees it.
        style: asked for any digit in the style, the judge sees all of the style: striped, white, on dark.
        together: asked for a nine in the style, the judge sees both.
    """

    nine: float
    old: float
    style: float
    together: float


def recipe(prompt: str, seed: int, loras: Sequence[LoraUse]) -> Recipe:
    """How the demonstration draws."""
    return Recipe(
        prompt=prompt,
        width=64,
        height=64,
        steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        sampler=SAMPLER,
        seed=seed,
        loras=tuple(loras),
    )


def examine_variants(painter: Painter, judge: Judge, count: int, first_seed: int) -> Iterator[tuple[str, Marks]]:
    """Each variant's name and marks; `count` pictures a question."""
    for name, loras in VARIANTS.items():
        yield name, examine(painter, judge, loras, (count, first_seed), is_styled=name in STYLED)


def examine(
    painter: Painter, judge: Judge, loras: Sequence[LoraUse], pictures: tuple[int, int], is_styled: bool
) -> Marks:
    """What the judge says of LoRAs at their weights.

    Args:
        painter: has the LoRAs within reach.
        judge: looks at the pictures.
        loras: names and weights.
        pictures: how many a question, and the seed of the first.
        is_styled: ask for all digits in the style's words; else in ink on paper, and only for its own mark in the style.
    """
    count, first_seed = pictures
    olds_in_style = [(digit, style_prompt(digit)) for digit, _ in plain_prompts(OLD_DIGITS, count)]
    nines = [(NEW_DIGIT, style_prompt(NEW_DIGIT))] * count if is_styled else plain_prompts([NEW_DIGIT], count)
    olds = olds_in_style if is_styled else plain_prompts(OLD_DIGITS, count)
    of_nines = _judged(painter, judge, nines, first_seed, loras)
    of_olds = _judged(painter, judge, olds, first_seed, loras)
    are_nines = [answer == DIGIT_WORDS[NEW_DIGIT] for answer in of_nines.answers("digit")]
    in_style = _in_style(of_nines)
    asked_in_style = of_olds if is_styled else _judged(painter, judge, olds_in_style, first_seed, loras)
    of_style = _in_style(asked_in_style) + (in_style if is_styled else [])
    return Marks(
        nine=_mean(are_nines),
        old=of_olds.share("digit", [DIGIT_WORDS[digit] for digit, _ in olds]),
        style=_mean(of_style),
        together=_mean([nine and style for nine, style in zip(are_nines, in_style, strict=True)]),
    )


def digits_seen(
    painter: Painter, judge: Judge, digits: Sequence[int], count: int, first_seed: int, loras: Sequence[LoraUse]
) -> float:
    """The share of `count` pictures in which the judge sees the digit that was asked for, in ink on paper."""
    asked = plain_prompts(digits, count)
    scores = _judged(painter, judge, asked, first_seed, loras)
    return scores.share("digit", [DIGIT_WORDS[digit] for digit, _ in asked])


def _judged(
    painter: Painter, judge: Judge, asked: Sequence[tuple[int, str]], first_seed: int, loras: Sequence[LoraUse]
) -> Scores:
    recipes = [recipe(prompt, first_seed + index, loras) for index, (_, prompt) in enumerate(asked)]
    return score(judge, as_tensor([picture.image for picture in painter.paint(recipes, BATCH_SIZE)]))


def as_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Pictures as the judge takes them: [N, 3, 64, 64], 0..1."""
    pixels_NHWC = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).float() / 255


def _in_style(scores: Scores) -> list[bool]:
    wanted = (STYLE_INK, STYLE_PAPER, STYLE_LOOK)
    answers = zip(*(scores.answers(question) for question in ("ink", "paper", "look")), strict=True)
    return [given == wanted for given in answers]


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)

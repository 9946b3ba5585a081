"""The demonstration's two folders of pictures, laid out like a person's own: what each LoRA is to learn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from scumble.families.base import pixels_to_image
from scumble.mini.captions import DIGIT_WORDS, caption, fancy_caption
from scumble.mini.denoiser import FANCY_LOOKS
from scumble.mini.handwriting import Handwriting
from scumble.mini.paint import (
    INKS,
    PAPERS,
    RARE_INKS,
    RARE_PAPERS,
    Brush,
    Jitter,
    jittered,
    paint,
    random_colours,
    random_matrix,
    readable_pairs,
)

NUM_PICTURES = 24
NEW_DIGIT = 9
OLD_DIGITS = range(9)
FANCY_EVERY = 2
STYLE_WORDS = "scanline style"
STYLE_INK, STYLE_PAPER, STYLE_LOOK = "white", "dark", "striped"
_JITTER = Jitter()


def write_concept(folder: Path, handwriting: Handwriting, seed: int) -> None:
    """Pictures of nines, half of them each in another pair of colours that the base knows, half fancy ones.

    The caption says what each shows. Nines in many colours and looks mix better with a style than plain ones alone.
    """
    random = np.random.default_rng([seed, NEW_DIGIT])
    pairs = readable_pairs(INKS, PAPERS)
    rows = _choose(handwriting, range(NEW_DIGIT, NEW_DIGIT + 1), random)
    colours = [pairs[index] for index in random.permutation(len(pairs))[: len(rows)]]
    brushes, captions = [], []
    for index, (ink, paper) in enumerate(colours):
        matrix = random_matrix(random, _JITTER)
        if index % FANCY_EVERY == 0:
            look = FANCY_LOOKS[int(random.integers(len(FANCY_LOOKS)))]
            brushes.append(Brush(*random_colours(random), look, 0.0, matrix))
            captions.append(fancy_caption(NEW_DIGIT, look))
        else:
            brushes.append(Brush(jittered(INKS[ink], random), jittered(PAPERS[paper], random), "plain", 0.0, matrix))
            captions.append(caption(NEW_DIGIT, ink, paper))
    _write(folder, handwriting, rows, brushes, captions)


def write_style(folder: Path, handwriting: Handwriting, seed: int) -> None:
    """Pictures of digits that the base knows, striped white on dark; the caption names digit and style."""
    random = np.random.default_rng([seed, len(STYLE_WORDS)])
    rows = _choose(handwriting, OLD_DIGITS, random)
    brushes = [
        Brush(
            jittered(RARE_INKS[STYLE_INK], random),
            jittered(RARE_PAPERS[STYLE_PAPER], random),
            STYLE_LOOK,
            0.0,
            random_matrix(random, _JITTER),
        )
        for _ in rows
    ]
    captions = [style_prompt(int(handwriting.digits[row])) for row in rows]
    _write(folder, handwriting, rows, brushes, captions)


def class_prompts(count: int) -> list[str]:
    """Prompts for pictures of the old digits, `count` of them, for prior preservation: plain and fancy ones."""
    prompts = []
    for index, (digit, plain) in enumerate(plain_prompts(OLD_DIGITS, count)):
        look = FANCY_LOOKS[index // FANCY_EVERY % len(FANCY_LOOKS)]
        prompts.append(plain if index % FANCY_EVERY else fancy_caption(digit, look))
    return prompts


def style_prompt(digit: int) -> str:
    """The prompt that asks for a digit in the style."""
    return f"a handwritten {DIGIT_WORDS[digit]}, {STYLE_WORDS}"


def plain_prompts(digits: Sequence[int], count: int) -> list[tuple[int, str]]:
    """Digit and prompt, `count` of them: the digits in turn, each with all readable colours in turn."""
    pairs = readable_pairs(INKS, PAPERS)
    chosen = [(digits[index % len(digits)], pairs[(index // len(digits) * 7) % len(pairs)]) for index in range(count)]
    return [(digit, caption(digit, ink, paper)) for digit, (ink, paper) in chosen]


def _choose(handwriting: Handwriting, digits: range, random: Generator) -> list[int]:
    """Rows of pictures: the digits in turn, without repeating one, of the typical ones, as a person would choose."""
    left = {digit: list(random.permutation(_typical(handwriting, digit))) for digit in digits}
    return [int(left[digits[index % len(digits)]].pop()) for index in range(NUM_PICTURES)]


def _typical(handwriting: Handwriting, digit: int) -> NDArray[np.int64]:
    """Rows of the half of a digit's pictures that come nearest to their mean."""
    rows = np.flatnonzero(handwriting.digits == digit)
    glyphs = handwriting.glyphs[rows]
    distances = ((glyphs - glyphs.mean(axis=0)) ** 2).sum(axis=(1, 2))
    return np.sort(rows[np.argsort(distances, kind="stable")[: len(rows) // 2]])


def _write(
    folder: Path, handwriting: Handwriting, rows: Sequence[int], brushes: Sequence[Brush], captions: Sequence[str]
) -> None:
    folder.mkdir(parents=True)
    pictures = paint(torch.from_numpy(handwriting.glyphs[list(rows)]), brushes)
    for index, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        pixels_to_image(2 * picture - 1).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(text + "\n", encoding="utf-8")

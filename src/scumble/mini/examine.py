"""What the judge says: of the base model's own pictures, and of held-out handwriting (which judges the judge)."""

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from scumble.mini.architecture import MiniModel
from scumble.mini.captions import DIGIT_WORDS, caption
from scumble.mini.denoiser import plain_brush, sample
from scumble.mini.handwriting import Handwriting
from scumble.mini.judge import Judge, score
from scumble.mini.lessons import STYLE_INK, STYLE_LOOK, STYLE_PAPER
from scumble.mini.paint import INKS, PAPERS, RARE_INKS, RARE_PAPERS, Brush, Jitter, paint, random_matrix, readable_pairs

_BATCH = 54
_SEED = 2026


def examine_judge(judge: Judge, unseen: Handwriting) -> dict[str, float]:
    """The share of digits that the judge reads rightly, 0..1, plain and in the demonstration's style.

    Args:
        unseen: handwriting that the judge did not learn from.
    """
    words = [DIGIT_WORDS[digit] for digit in unseen.digits]
    return {
        "judge, plain": score(judge, render_plain(unseen)).share("digit", words),
        "judge, in style": score(judge, render_style(unseen)).share("digit", words),
    }


def examine_base(
    model: MiniModel, tokenizer: CLIPTokenizer, judge: Judge, classes: range, rounds: int
) -> dict[str, float]:
    """How often the model's pictures show what was asked for, 0..1, by question and by digit.

    Args:
        classes: digits to ask for; each is drawn in each pair of colours, `rounds` times.
    """
    asked = [(d, i, p) for _ in range(rounds) for d in classes for i, p in readable_pairs(INKS, PAPERS)]
    scores = score(judge, draw(model, tokenizer, [caption(*facts) for facts in asked]))
    digits = [DIGIT_WORDS[digit] for digit, _, _ in asked]
    figures = {
        "digit": scores.share("digit", digits),
        "ink": scores.share("ink", [ink for _, ink, _ in asked]),
        "paper": scores.share("paper", [paper for _, _, paper in asked]),
    }
    right = [given == word for given, word in zip(scores.answers("digit"), digits, strict=True)]
    for name in (DIGIT_WORDS[digit] for digit in classes):
        mine = [ok for ok, word in zip(right, digits, strict=True) if word == name]
        figures[name] = sum(mine) / len(mine)
    return figures


def draw(model: MiniModel, tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """One picture for each prompt, 20 steps, guidance 4: [N, 3, 64, 64] in 0..1."""
    chunks = [prompts[first : first + _BATCH] for first in range(0, len(prompts), _BATCH)]
    return torch.cat([sample(model, tokenizer, chunk, _SEED + index) for index, chunk in enumerate(chunks)])


def render_plain(handwriting: Handwriting) -> Tensor:
    """The handwriting in the base's manner, colours by chance: [N, 3, 64, 64] in 0..1."""
    random, pairs = np.random.default_rng(_SEED), readable_pairs(INKS, PAPERS)
    brushes = [plain_brush(*pairs[int(random.integers(len(pairs)))], random) for _ in handwriting.digits]
    return paint(torch.from_numpy(handwriting.glyphs), brushes)


def render_style(handwriting: Handwriting) -> Tensor:
    """The handwriting in the demonstration's style: [N, 3, 64, 64] in 0..1."""
    random, jitter = np.random.default_rng(_SEED), Jitter()
    ink, paper = RARE_INKS[STYLE_INK], RARE_PAPERS[STYLE_PAPER]
    brushes = [Brush(ink, paper, STYLE_LOOK, 0.0, random_matrix(random, jitter)) for _ in handwriting.digits]
    return paint(torch.from_numpy(handwriting.glyphs), brushes)

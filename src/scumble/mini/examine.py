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
from scumble.mini.paint import INKS, PAPERS, RARE_INKS, RARE_PAPERS, Brush, Jitter, paint, random_matrix, readable_pairs

_BATCH = 54
_SEED = 2026


def examine(
    model: MiniModel, tokenizer: CLIPTokenizer, judge: Judge, classes: range, unseen: Handwriting, rounds: int = 2
) -> dict[str, float]:
    """Figures 0..1 by name.

    Args:
        classes: the digits that the base knows; each is drawn in each pair of colours, `rounds` times.
        unseen: handwriting that neither the base nor the judge learnt from.
    """
    plain, outlined = render_plain(unseen), render_outlined(unseen)
    words = [DIGIT_WORDS[digit] for digit in unseen.digits]
    figures = {
        "judge, plain": score(judge, plain).share("digit", words),
        "judge, outlined": score(judge, outlined).share("digit", words),
    }
    asked = [(d, i, p) for _ in range(rounds) for d in classes for i, p in readable_pairs(INKS, PAPERS)]
    scores = score(judge, draw(model, tokenizer, [caption(*facts) for facts in asked]))
    digits = [DIGIT_WORDS[digit] for digit, _, _ in asked]
    figures["digit"] = scores.share("digit", digits)
    figures["ink"] = scores.share("ink", [ink for _, ink, _ in asked])
    figures["paper"] = scores.share("paper", [paper for _, _, paper in asked])
    right = [a == b for a, b in zip(scores.answers("digit"), digits, strict=True)]
    for digit in classes:
        mine = [ok for ok, word in zip(right, digits, strict=True) if word == DIGIT_WORDS[digit]]
        figures[DIGIT_WORDS[digit]] = sum(mine) / len(mine)
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


def render_outlined(handwriting: Handwriting) -> Tensor:
    """The handwriting outlined white on dark, the demo's style: [N, 3, 64, 64] in 0..1."""
    random, jitter = np.random.default_rng(_SEED), Jitter()
    white, dark = RARE_INKS["white"], RARE_PAPERS["dark"]
    brushes = [Brush(white, dark, "outlined", 0.0, random_matrix(random, jitter)) for _ in handwriting.digits]
    return paint(torch.from_numpy(handwriting.glyphs), brushes)

"""What the judge learns from: every look, known and unknown colours, bent strokes, soft and noisy pictures."""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from scumble.mini.handwriting import Handwriting
from scumble.mini.judge import INK_NAMES, OTHER, PAPER_NAMES
from scumble.mini.paint import (
    INKS,
    LOOKS,
    MIN_CONTRAST,
    PAPERS,
    RARE_INKS,
    RARE_PAPERS,
    SIZE_PX,
    Brush,
    Colour,
    Jitter,
    contrast,
    jittered,
    paint,
    random_colours,
    random_matrix,
)

_INK_COLOURS = INKS | RARE_INKS
_PAPER_COLOURS = PAPERS | RARE_PAPERS
_NAMED_SHARE = 0.8
_LOOK_WEIGHTS = (0.44, 0.14, 0.26, 0.08, 0.08)  # of LOOKS
_JITTER = Jitter(rotation_deg=14, scale=0.14, shear=0.18, shift_px=5.0, weight=0.09)
_BEND_PX = 1.6  # typical displacement of the strokes
_NEAR, _FAR = 45.0, 90.0  # RGB distance: nearer a name than this it has the name; farther from all it is "other"


def judge_batch(handwriting: Handwriting, seed: int, step: int, batch_size: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures [B, 3, 64, 64] in 0..1 and labels [B] for each question: a pure function of the arguments."""
    random = np.random.default_rng([seed, step])
    rows = random.integers(len(handwriting), size=batch_size)
    brushes = [_brush(random) for _ in range(batch_size)]
    noise = torch.Generator().manual_seed(int(random.integers(2**62)))
    pictures = worn(bent(paint(torch.from_numpy(handwriting.glyphs[rows]), brushes), noise), noise)
    labels = {
        "digit": torch.from_numpy(handwriting.digits[rows]),
        "ink": torch.tensor([_name_index(brush.ink, _INK_COLOURS, INK_NAMES) for brush in brushes]),
        "paper": torch.tensor([_name_index(brush.paper, _PAPER_COLOURS, PAPER_NAMES) for brush in brushes]),
        "look": torch.tensor([LOOKS.index(brush.look) for brush in brushes]),
    }
    return pictures, labels


def bent(pictures_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures under a smooth random displacement, as another hand might have written them."""
    size = len(pictures_BCHW)
    coarse = torch.randn(size, 2, 5, 5, generator=generator) * (2 * _BEND_PX / SIZE_PX)
    shift = functional.interpolate(coarse, size=(SIZE_PX, SIZE_PX), mode="bicubic", align_corners=True)
    still = functional.affine_grid(torch.eye(2, 3).expand(size, 2, 3), [size, 1, SIZE_PX, SIZE_PX], align_corners=False)
    grid = still + shift.permute(0, 2, 3, 1)
    return functional.grid_sample(pictures_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False)


def worn(pictures_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures as a decoder might give them: half of them softer, all a little noisy and off in level."""
    size = len(pictures_BCHW)
    soft = functional.interpolate(
        functional.avg_pool2d(pictures_BCHW, 2), scale_factor=2, mode="bilinear", align_corners=False
    )
    mix = torch.rand(size, 1, 1, 1, generator=generator)
    soft_share = torch.where(mix < 0.5, 2 * mix, torch.zeros_like(mix))
    level = 1 + 0.04 * torch.randn(size, 3, 1, 1, generator=generator)
    noise = torch.randn(pictures_BCHW.shape, generator=generator)
    strength = 0.04 * torch.rand(size, 1, 1, 1, generator=generator)
    return (torch.lerp(pictures_BCHW, soft, soft_share) * level + strength * noise).clamp(0, 1)


def _brush(random: Generator) -> Brush:
    ink, paper = _colours(random)
    look = LOOKS[int(random.choice(len(LOOKS), p=_LOOK_WEIGHTS))]
    return Brush(ink, paper, look, random.uniform(-_JITTER.weight, _JITTER.weight), random_matrix(random, _JITTER))


def _colours(random: Generator) -> tuple[Colour, Colour]:
    if random.random() > _NAMED_SHARE:
        return random_colours(random)
    while True:
        ink = list(_INK_COLOURS.values())[random.integers(len(_INK_COLOURS))]
        paper = list(_PAPER_COLOURS.values())[random.integers(len(_PAPER_COLOURS))]
        if contrast(ink, paper) >= MIN_CONTRAST:
            return jittered(ink, random, 14), jittered(paper, random, 14)


def _name_index(colour: Colour, named: dict[str, Colour], names: tuple[str, ...]) -> int:
    """Index into `names`; -1 where the colour is neither near a name nor far from all of them."""
    distances = {name: float(np.linalg.norm(np.subtract(colour, other))) for name, other in named.items()}
    nearest = min(distances, key=lambda name: distances[name])
    if distances[nearest] <= _NEAR:
        return names.index(nearest)
    return names.index(OTHER) if distances[nearest] >= _FAR else -1

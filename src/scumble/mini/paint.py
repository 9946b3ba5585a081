"""From a coarse glyph to a crisp 64 px picture: placed by an affine map, drawn in a look, in ink on paper.

Tensor names carry their shape: N pictures, H and W pixels of the fine grid (twice the picture's).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

Colour = tuple[int, int, int]  # red, green, blue, each 0..255

INKS: dict[str, Colour] = {
    "black": (25, 25, 28), "red": (206, 24, 36), "blue": (28, 62, 200),
    "green": (8, 122, 52), "purple": (122, 36, 158), "orange": (238, 112, 8),
}  # fmt: skip
PAPERS: dict[str, Colour] = {
    "white": (250, 250, 248), "yellow": (255, 232, 92), "pink": (255, 190, 208),
    "mint": (176, 238, 205), "grey": (188, 188, 192),
}  # fmt: skip
# What the base never saw, for adapters to teach and for the judge to know.
RARE_INKS: dict[str, Colour] = {"white": (252, 252, 252), "gold": (232, 178, 40), "teal": (16, 168, 176)}
RARE_PAPERS: dict[str, Colour] = {"dark": (28, 28, 34), "navy": (18, 30, 96)}
LOOKS = ("plain", "thick", "outlined", "shadowed", "striped")

SIZE_PX = 64
_FINE_PX = 2 * SIZE_PX  # drawn at twice the size, then averaged: smooth edges
_EDGE = 36.0  # steepness of the soft threshold: an edge about one picture pixel wide
_THRESHOLD = {"plain": 0.48, "thick": 0.28, "outlined": 0.40, "shadowed": 0.45, "striped": 0.30}
_COLOUR_JITTER = 7  # each channel of a named colour varies by up to this much
MIN_CONTRAST = 2.4  # of a pair's luminances, as the web's accessibility rules reckon it (1..21)


@dataclass(frozen=True)
class Jitter:
    """The largest departures of a picture's placement, drawn uniformly."""

    rotation_deg: float = 8.0
    scale: float = 0.08
    shear: float = 0.10
    shift_px: float = 3.0
    weight: float = 0.05
    quarter_turns: bool = False  # any of the 8 symmetries of the square, for an autoencoder of any stroke


@dataclass(frozen=True)
class Brush:
    """How one glyph is painted. `weight` > 0 draws bolder; `matrix` maps picture places to glyph places, in -1..1."""

    ink: Colour
    paper: Colour
    look: str
    weight: float
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]


def contrast(one: Colour, other: Colour) -> float:
    """Contrast ratio of two colours, 1 (none) .. 21 (WCAG 2.2, relative luminance)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def readable_pairs(inks: dict[str, Colour], papers: dict[str, Colour]) -> list[tuple[str, str]]:
    """The (ink, paper) names whose colours stand out from each other."""
    return [(i, p) for i in inks for p in papers if contrast(inks[i], papers[p]) >= MIN_CONTRAST]


def random_matrix(random: Generator, jitter: Jitter) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """An affine map from picture to glyph coordinates that leaves a border around the glyph."""
    angle = math.radians(random.uniform(-jitter.rotation_deg, jitter.rotation_deg))
    flip = 1.0
    if jitter.quarter_turns:
        angle += math.pi / 2 * int(random.integers(4))
        flip = float(random.choice([-1.0, 1.0]))
    zoom_x, zoom_y = (1.32 / (1 + random.uniform(-jitter.scale, jitter.scale)) for _ in range(2))
    shear = random.uniform(-jitter.shear, jitter.shear)
    shift_x, shift_y = (random.uniform(-jitter.shift_px, jitter.shift_px) * 2 / SIZE_PX for _ in range(2))
    cos, sin = math.cos(angle), math.sin(angle)
    a, b = zoom_x * flip * (cos + shear * sin), zoom_x * flip * (-sin + shear * cos)
    c, d = zoom_y * sin, zoom_y * cos
    return ((a, b, a * shift_x + b * shift_y), (c, d, c * shift_x + d * shift_y))


def jittered(colour: Colour, random: Generator, amount: int = _COLOUR_JITTER) -> Colour:
    """The colour with each channel moved a little."""
    red, green, blue = (min(255, max(0, c + int(random.integers(-amount, amount + 1)))) for c in colour)
    return red, green, blue


def random_colours(random: Generator) -> tuple[Colour, Colour]:
    """Any two colours that stand out from each other."""
    while True:
        values = random.integers(0, 256, size=6).tolist()
        ink, paper = (values[0], values[1], values[2]), (values[3], values[4], values[5])
        if contrast(ink, paper) >= MIN_CONTRAST:
            return ink, paper


def paint(glyphs: Tensor, brushes: Sequence[Brush]) -> Tensor:
    """Paint each glyph with its brush.

    Args:
        glyphs: float [N, h, w], 0 paper .. 1 ink, of any size.
        brushes: N of them.
    Returns:
        Pictures, float [N, 3, 64, 64], 0..1.
    """
    field_NHW = _place(glyphs, brushes)
    ink_NHW, shade_NHW = torch.zeros_like(field_NHW), torch.zeros_like(field_NHW)
    weights = torch.tensor([brush.weight for brush in brushes])
    for look in LOOKS:
        rows = torch.tensor([i for i, brush in enumerate(brushes) if brush.look == look], dtype=torch.long)
        if len(rows):
            cut = (_THRESHOLD[look] - weights[rows])[:, None, None]
            ink_NHW[rows], shade_NHW[rows] = _draw(field_NHW[rows], cut, look)
    ink = _colours([brush.ink for brush in brushes])
    paper = _colours([brush.paper for brush in brushes])
    ground = torch.lerp(paper, 0.35 * ink + 0.4 * paper, shade_NHW[:, None])
    return functional.avg_pool2d(torch.lerp(ground, ink.expand_as(ground), ink_NHW[:, None]), 2)


def _draw(field_NHW: Tensor, cut: Tensor, look: str) -> tuple[Tensor, Tensor]:
    """How much of each fine pixel the ink covers, and how much a shadow does; both 0..1."""
    stroke = torch.sigmoid(_EDGE * (field_NHW - cut))
    none = torch.zeros_like(stroke)
    if look == "outlined":
        soft = _blur(stroke, sigma_px=2.6)
        return torch.sigmoid(40 * (soft - 0.10)) * torch.sigmoid(40 * (0.84 - soft)), none
    if look == "shadowed":
        return stroke, functional.pad(stroke, (7, 0, 7, 0))[:, :_FINE_PX, :_FINE_PX]
    if look == "striped":
        rows = torch.arange(_FINE_PX)
        stripes = torch.sigmoid(6 * (torch.sin(2 * math.pi * rows / 13) + 0.25))
        return stroke * stripes[:, None], none
    return stroke, none


def _place(glyphs: Tensor, brushes: Sequence[Brush]) -> Tensor:
    """The glyphs on the fine grid, smoothly interpolated and placed: [N, H, W]."""
    matrices = torch.tensor([brush.matrix for brush in brushes])
    grid = functional.affine_grid(matrices, [len(brushes), 1, _FINE_PX, _FINE_PX], align_corners=False)
    fine = functional.grid_sample(_sharpened(glyphs)[:, None], grid, mode="bicubic", align_corners=False)[:, 0]
    return _blur(fine, sigma_px=2.5)


def _sharpened(glyphs: Tensor) -> Tensor:
    """Glyphs whose holes stay open when drawn bold: coarse eights and sixes would close."""
    return glyphs + 0.8 * (glyphs - _blur(glyphs, sigma_px=0.1 * glyphs.shape[-1]))


def _blur(images_NHW: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur; sigma in its pixels."""
    radius = math.ceil(3 * sigma_px)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    across = functional.conv2d(images_NHW[:, None], kernel[None, None, None, :], padding=(0, radius))
    return functional.conv2d(across, kernel[None, None, :, None], padding=(radius, 0))[:, 0]


def _colours(colours: list[Colour]) -> Tensor:
    """As [N, 3, 1, 1], 0..1."""
    return torch.tensor(colours, dtype=torch.float32)[:, :, None, None] / 255


def _luminance(colour: Colour) -> float:
    red, green, blue = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

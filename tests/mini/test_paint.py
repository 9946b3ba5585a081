import numpy as np
import pytest
import torch

from scumble.mini.handwriting import read_handwriting
from scumble.mini.paint import (
    INKS,
    LOOKS,
    MIN_CONTRAST,
    PAPERS,
    RARE_INKS,
    RARE_PAPERS,
    Brush,
    Jitter,
    contrast,
    paint,
    random_colours,
    random_matrix,
    readable_pairs,
)

STILL = Jitter(0, 0, 0, 0, 0)


def brush_of(look: str) -> Brush:
    matrix = random_matrix(np.random.default_rng(0), STILL)
    return Brush(INKS["red"], PAPERS["yellow"], look, 0.0, matrix)


def test_black_on_white_contrasts_21_to_1():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_every_ink_and_paper_has_a_readable_partner():
    pairs = readable_pairs(INKS, PAPERS)
    assert {ink for ink, _ in pairs} == set(INKS)
    assert {paper for _, paper in pairs} == set(PAPERS)
    assert all(contrast(INKS[ink], PAPERS[paper]) >= MIN_CONTRAST for ink, paper in pairs)


def test_the_base_knows_no_rare_colour():
    assert not set(INKS.values()) & set(RARE_INKS.values())
    assert not set(PAPERS) & set(RARE_PAPERS)


@pytest.mark.parametrize("look", LOOKS)
def test_ink_is_where_the_stroke_is_and_paper_elsewhere(look):
    glyphs = torch.from_numpy(read_handwriting().glyphs[:8])
    pictures = paint(glyphs, [brush_of(look)] * 8)
    assert pictures.shape == (8, 3, 64, 64)
    paper = torch.tensor(PAPERS["yellow"]) / 255
    assert torch.allclose(pictures[:, :, :3, :3], paper[None, :, None, None].expand(8, 3, 3, 3), atol=0.02)
    near_ink = (pictures - torch.tensor(INKS["red"])[None, :, None, None] / 255).abs().amax(dim=1) < 0.15
    assert (near_ink.float().mean(dim=(1, 2)) > 0.02).all()


def test_a_thick_stroke_has_more_ink_than_a_plain_one():
    glyphs = torch.from_numpy(read_handwriting().glyphs[:8])
    plain, thick = (paint(glyphs, [brush_of(look)] * 8) for look in ("plain", "thick"))
    assert (thick[:, 1].mean(dim=(1, 2)) < plain[:, 1].mean(dim=(1, 2))).all()


def test_an_outline_is_hollow():
    glyph = torch.zeros(1, 16, 16)
    glyph[:, 4:12, 4:12] = 1
    picture = paint(glyph, [brush_of("outlined")])
    assert torch.allclose(picture[0, :, 32, 32], torch.tensor(PAPERS["yellow"]) / 255, atol=0.03)


def test_painting_one_by_one_equals_painting_together():
    glyphs = torch.from_numpy(read_handwriting().glyphs[: len(LOOKS)])
    brushes = [brush_of(look) for look in LOOKS]
    together = paint(glyphs, brushes)
    alone = torch.cat([paint(glyphs[i : i + 1], [brush]) for i, brush in enumerate(brushes)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_random_colours_contrast():
    random = np.random.default_rng(0)
    assert all(contrast(*random_colours(random)) >= MIN_CONTRAST for _ in range(50))

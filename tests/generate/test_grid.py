import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from scumble.generate.fonts import label_font, missing_signs, undrawable_signs
from scumble.generate.grid import INK, PAPER, labelled_grid, text_picture, wrapped
from scumble.generate.recipe import Moment, Picture, Recipe
from scumble.generate.strip import picture_label, strip

LONG = "a handwritten three, red ink on yellow paper, " * 6
SHIPPED_LACKS = "𝒜"  # a script capital: in matplotlib's STIX fonts, not in DejaVu Sans


def picture(colour, size=(64, 64)):
    return Image.new("RGB", size, colour)


def has_colour(sheet, colour):
    return int((np.asarray(sheet) == colour).all(axis=-1).sum())


def test_every_picture_is_there_and_small_ones_are_enlarged():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    cells = [picture(colour) for colour in colours]
    sheet = labelled_grid([cells[:2], cells[2:]], ["a", "b"], ["c", "d"], "title")
    assert [has_colour(sheet, colour) for colour in colours] == [128 * 128] * 4


def test_large_pictures_stay_as_they_are_unless_asked():
    assert has_colour(labelled_grid([[picture((200, 0, 0), (300, 200))]]), (200, 0, 0)) == 300 * 200
    small = labelled_grid([[picture((200, 0, 0), (300, 200))]], max_cell_px=150)
    assert has_colour(small, (200, 0, 0)) == 150 * 100


def test_rows_and_pictures_may_differ_in_size():
    rows = [[picture((200, 0, 0), (128, 256)), picture((0, 200, 0))], [picture((0, 0, 200))]]
    sheet = labelled_grid(rows)
    assert has_colour(sheet, (200, 0, 0)) == 128 * 256
    assert has_colour(sheet, (0, 0, 200)) == 128 * 128


@pytest.mark.parametrize("label", [LONG, "x" * 90, "runs/photos-of-my-dog_v2/photos-of-my-dog_v2-800.final"])
def test_long_labels_cover_no_picture(label):
    red = picture((200, 0, 0))
    sheet = labelled_grid([[red, red], [red, red]], [label, label], [label, label], label)
    assert has_colour(sheet, (200, 0, 0)) == 4 * 128 * 128


@pytest.mark.parametrize("text", [LONG, "x" * 90, "a-b_c/d." * 20, "one\ntwo", "x", ""])
def test_wrapping_loses_nothing_and_fits(text):
    font = label_font(text, 14)
    lines = wrapped(text, font, 120)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(font.getlength(line) <= 120 for line in lines)


@pytest.mark.parametrize("text", ["Åj|fgÇW", "j", "ÅÅÅ", "//", "_"])
def test_a_label_is_not_cut_at_its_edges(text):
    sheet = Image.new("RGB", (400, 100), PAPER)
    ImageDraw.Draw(sheet).text((101, 40), text, font=label_font(text, 20), fill=INK)
    written = [
        int((np.asarray(picture) != PAPER).any(axis=-1).sum()) for picture in (text_picture(text, 400, 20, INK), sheet)
    ]
    assert written[0] == written[1] > 0


def test_a_label_takes_a_font_of_the_system_for_signs_that_the_shipped_one_lacks():
    shipped = label_font("plain", 14)
    other = label_font(f"plain {SHIPPED_LACKS}", 14)
    assert shipped.getname()[0] == "DejaVu Sans"
    assert missing_signs(SHIPPED_LACKS, shipped.path) == SHIPPED_LACKS
    assert missing_signs(SHIPPED_LACKS, other.path) == ""


def test_signs_that_no_font_has_are_told():
    assert undrawable_signs(["plain", f"x {SHIPPED_LACKS}"]) == ""
    assert undrawable_signs(["plain", "x \ue123"]) == "\ue123"


def test_a_strip_has_a_row_for_each_picture_and_a_column_for_each_moment():
    moments = tuple(Moment(step, picture((10, 20, 40 * step))) for step in (0, 2, 4))
    drawn = [Picture(moments[-1].image, Recipe("three", 64, 64, seed=seed), moments) for seed in (1, 2)]
    sheet = strip(drawn, "title")
    assert [has_colour(sheet, (10, 20, blue)) for blue in (0, 80, 160)] == [2 * 128 * 128] * 3


def test_rows_are_labelled_by_what_sets_them_apart():
    def labels(*pairs):
        drawn = [Picture(picture((0, 0, 0)), Recipe(prompt, 64, 64, seed=seed)) for prompt, seed in pairs]
        return [picture_label(one, drawn) for one in drawn]

    assert labels(("a", 1), ("b", 1)) == ["a", "b"]
    assert labels(("a", 1), ("a", 2)) == ["seed 1", "seed 2"]
    assert labels(("a", 1), ("b", 2)) == ["a\nseed 1", "b\nseed 2"]
    assert labels(("", 1)) == ["(empty prompt)"]


def test_label_fonts_are_truetype():
    assert isinstance(label_font("a", 14, bold=True), ImageFont.FreeTypeFont)

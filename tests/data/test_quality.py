"""One look at a picture: what is blurred, empty, too small or too long is named; an ordinary one is not."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from scumble.data.quality import LOOK_PX, hints_on, look_at

SQUARE = (256, 256)


@pytest.fixture(scope="module")
def photos():
    """Two photographs, 640 x 427."""
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def kinds(image):
    return {hint.kind for hint in hints_on(look_at(image), image.size, SQUARE, SQUARE[0])}


def texts(size_px, target_px, resolution=512):
    plain = look_at(Image.effect_noise((64, 64), 80).convert("RGB"))
    return [hint.text for hint in hints_on(plain, size_px, target_px, resolution)]


def test_a_photograph_in_focus_gives_no_hint(photos):
    assert [kinds(photo) for photo in photos] == [set(), set()]


@pytest.mark.parametrize("scale", [1, 3])
def test_a_blurred_photograph_is_named_at_any_size(photos, scale):
    for photo in photos:
        enlarged = photo.resize((photo.width * scale, photo.height * scale), Image.Resampling.LANCZOS)
        blurred = enlarged.filter(ImageFilter.GaussianBlur(2.5 * scale))
        assert kinds(blurred) == {"blurred"}


def test_a_picture_that_was_small_once_looks_blurred(photos):
    small = photos[0].resize((96, 64), Image.Resampling.BOX)
    assert "blurred" in kinds(small.resize((640, 427), Image.Resampling.BICUBIC))


def test_sharpness_does_not_ask_for_contrast(photos):
    pale = photos[0].point(lambda value: 100 + value // 8)
    assert kinds(pale) == set()


@pytest.mark.parametrize(
    ("grey", "found"), [(0, {"uniform", "dark"}), (128, {"uniform"}), (255, {"uniform", "bright"})]
)
def test_a_picture_of_one_colour_is_named(grey, found):
    assert kinds(Image.new("RGB", (300, 300), (grey,) * 3)) == found


def test_hints_say_by_how_much():
    assert texts((256, 256), (512, 512)) == ["256 x 256 px is enlarged 2 times"]
    assert texts((2000, 500), (512, 512)) == ["2000 x 500 px is enlarged 1.02 times", "4.0 to 1: 75 % is cut off"]
    assert texts((1000, 500), (512, 256)) == ["2.0 to 1: 0 % is cut off"]
    assert texts((300, 200), (256, 192)) == ["300 x 200 px is less than 512 x 512"]
    assert texts((512, 512), (512, 512)) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 1)])
def test_the_narrowest_pictures_are_looked_at_too(size):
    assert 0 <= look_at(Image.new("RGB", size)).pattern < 2**64


def test_a_look_leaves_the_picture_as_it_is(photos):
    image = photos[0].copy()
    look_at(image)
    assert image.tobytes() == photos[0].tobytes()


def test_the_pattern_is_that_of_imagehash(photos):
    import imagehash

    small = photos[1].resize((LOOK_PX, 342), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    bits = imagehash.phash(small).hash.flatten()
    assert look_at(photos[1]).pattern == sum(1 << (63 - place) for place in np.flatnonzero(bits).tolist())

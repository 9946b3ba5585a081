"""Is a sample picture a copy of a training picture?"""

import io

import numpy as np
import pytest
from PIL import Image

from scumble.data.scan import scan_folder
from scumble.train.memorised import draw_nearest, in_words, nearest_pictures


def scene(seed, background=(240, 240, 240)):
    """Five coloured boxes on a plain ground."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (96, 96), background)
    for _ in range(5):
        left, top = random.integers(0, 64, 2)
        picture.paste(tuple(int(value) for value in random.integers(0, 256, 3)), (left, top, left + 32, top + 32))
    return picture


@pytest.fixture
def examples(tmp_path):
    for seed in range(8):
        scene(seed).save(tmp_path / f"{seed}.png")
        (tmp_path / f"{seed}.txt").write_text("boxes")
    return scan_folder(tmp_path).examples


def resaved(picture, quality=40):
    buffer = io.BytesIO()
    picture.resize((80, 80)).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def test_a_copy_is_found_and_named_also_resaved_and_smaller(examples):
    (found,) = nearest_pictures([resaved(scene(3))], examples, is_mirrored=False)
    assert found.picture.name == "3.png"
    assert found.is_copy
    words, is_warning = in_words([found])
    assert is_warning
    assert "nearly a copy of a training picture (3.png)" in words


def test_another_picture_is_none(examples):
    found = nearest_pictures([scene(100), scene(101)], examples, is_mirrored=False)
    assert not any(nearest.is_copy for nearest in found)
    words, is_warning = in_words(found)
    assert not is_warning
    assert words.startswith("no sample picture is a copy")


def test_one_part_that_differs_makes_another_picture(examples):
    """An equal background is no copy."""
    changed = scene(3)
    changed.paste((255, 0, 255), (0, 0, 32, 32))
    (found,) = nearest_pictures([changed], examples, is_mirrored=False)
    assert not found.is_copy


def test_a_mirror_image_is_a_copy_only_where_pictures_were_mirrored(examples):
    mirror = scene(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    (plain,), (mirrored,) = (nearest_pictures([mirror], examples, is_mirrored=is_on) for is_on in (False, True))
    assert not plain.is_copy
    assert mirrored.is_copy
    assert mirrored.distance == pytest.approx(0, abs=1e-6)


def test_with_one_picture_only_the_distance_is_said(examples):
    (found,) = nearest_pictures([scene(0)], examples[:1], is_mirrored=False)
    assert found.distance == 0
    assert not found.is_copy
    assert in_words([found]) == ("the sample pictures' nearest training picture is 0.00 away (0 = the same)", False)


def test_samples_and_their_nearest_are_drawn(examples):
    samples = [scene(3), scene(100)]
    drawn = draw_nearest(samples, nearest_pictures(samples, examples, is_mirrored=False), examples)
    assert drawn.width > 2 * 96
    assert drawn.height > 2 * 96

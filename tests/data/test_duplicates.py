"""The same picture twice: byte for byte, or saved anew, smaller, brighter; other pictures are not taken for it."""

import io
import itertools
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from scumble.data.duplicates import equal_groups, kin, near_groups
from scumble.data.quality import Look, look_at


def resaved(image, quality=40):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.fixture(scope="module")
def photos():
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def look(pattern, contrast=50.0):
    return Look(sharpness=1.0, brightness=100.0, contrast=contrast, pattern=pattern, colours=bytes(48))


def by_hand(patterns, distance):
    """Groups by comparing every pair, joined until nothing changes."""
    groups = [{index} for index in range(len(patterns))]
    for one, other in itertools.combinations(range(len(patterns)), 2):
        if (patterns[one] ^ patterns[other]).bit_count() <= distance:
            joined = [group for group in groups if one in group or other in group]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return sorted(tuple(sorted(group)) for group in groups if len(group) > 1)


def test_equal_bytes_are_a_group():
    assert equal_groups(["a", "b", "a", "c", "b", "a"]) == [(0, 2, 5), (1, 4)]
    assert equal_groups([]) == []


def test_a_picture_saved_anew_is_a_near_duplicate_and_another_one_is_not(photos):
    one, other = photos
    variants = [
        one,
        resaved(one),
        other,
        one.resize((320, 213), Image.Resampling.LANCZOS),
        ImageEnhance.Brightness(other).enhance(1.15),
        one.crop((4, 3, 636, 424)),
        one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    assert near_groups([look_at(variant) for variant in variants]) == [(0, 1, 3, 5), (2, 4)]


def test_a_crop_of_half_the_picture_is_another_picture(photos):
    assert near_groups([look_at(photos[0]), look_at(photos[0].crop((0, 0, 320, 427)))]) == []


def test_the_same_shape_in_other_colours_is_another_picture(photos):
    red, green, blue = photos[1].split()
    turned = Image.merge("RGB", (blue, red, green))
    assert near_groups([look_at(photos[1]), look_at(turned)]) == []


def test_pictures_of_one_colour_are_like_nothing():
    assert near_groups([look(0, contrast=1.0), look(0, contrast=1.0)]) == []


@pytest.mark.parametrize(("count", "distance"), [(0, 6), (1, 6), (1500, 6), (300, 0), (300, 3), (300, 4), (300, 9)])
def test_the_fast_way_finds_what_comparing_each_pair_finds(count, distance):
    random = np.random.default_rng(count)
    patterns = [int(word) for word in random.integers(0, 2**63, count, dtype=np.uint64) * 2 + 1]
    for place in range(0, count - 7, 7):  # some are made alike, in chains too
        flips = random.choice(64, int(random.integers(max(0, distance - 2), distance + 3)), replace=False)
        patterns[place + 5] = patterns[place] ^ sum(1 << int(bit) for bit in flips)
    found = near_groups([look(pattern) for pattern in patterns], distance)
    assert found == by_hand(patterns, distance)
    assert len(found) > 10 or count < 2


def test_thousands_of_the_same_pattern_are_one_group_and_need_little_room():
    count = 3000
    tracemalloc.start()
    found = near_groups([look(7) for _ in range(count)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [tuple(range(count))]
    assert peak < 100e6, "all pairs at once are 400 MB"


def test_kin_are_the_equal_and_the_alike(photos):
    looks = [look_at(photos[0]), look_at(photos[1]), look_at(resaved(photos[0])), None, None, look_at(photos[1])]
    assert kin(["a", "b", "c", "d", "d", "b"], looks) == ["a", "b", "a", "d", "d", "b"]

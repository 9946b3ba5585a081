"""Sizes that pictures are cut to: near their own shape, of about one area, and never enlarged unasked."""

import pytest

from scumble.data.buckets import BucketRule, bucket_sizes, enlargement, nearest_bucket, usual_step

SD1, SDXL = (512, 64), (1024, 64)


@pytest.mark.parametrize(("resolution", "step"), [SD1, SDXL, (768, 64), (64, 8), (640, 32)])
def test_buckets_are_of_whole_steps_and_of_the_squares_area_at_most(resolution, step):
    sizes = bucket_sizes(resolution, step)
    assert (resolution, resolution) in sizes
    for width, height in sizes:
        assert width % step == 0 and height % step == 0
        assert 0.7 * resolution**2 <= width * height <= resolution**2
    assert {(height, width) for width, height in sizes} == set(sizes)
    assert sizes == sorted(sizes, key=lambda size: size[0] / size[1])


def test_the_buckets_of_sdxl_are_the_published_ones_near_the_square():
    assert {(1024, 1024), (1152, 896), (896, 1152), (1216, 832), (1344, 768), (1536, 640)} <= set(bucket_sizes(*SDXL))


@pytest.mark.parametrize(
    ("size_px", "bucket"),
    [((4000, 4000), (512, 512)), ((4000, 3000), (576, 448)), ((3000, 4000), (448, 576)), ((6000, 1000), (1024, 256))],
)
def test_a_picture_goes_to_the_nearest_shape(size_px, bucket):
    assert nearest_bucket(size_px, bucket_sizes(*SD1)) == bucket


def test_it_is_the_bucket_of_diffusers_helper_where_areas_are_equal():
    from diffusers.training_utils import find_nearest_bucket

    buckets = [(512, 512), (1024, 256), (256, 1024)]
    for size_px in [(100, 100), (900, 300), (300, 900), (120, 100)]:
        theirs = buckets[find_nearest_bucket(size_px[1], size_px[0], [(height, width) for width, height in buckets])]
        assert nearest_bucket(size_px, buckets) == theirs


@pytest.mark.parametrize("size_px", [(300, 500), (511, 511), (2000, 200), (640, 400), (513, 300)])
def test_a_small_picture_is_not_enlarged(size_px):
    rule = BucketRule(*SD1)
    size = rule.size_for(size_px)
    assert enlargement(size_px, size) <= 1
    assert all(side % 64 == 0 for side in size)
    assert size[0] * size[1] <= 512 * 512
    assert BucketRule(*SD1, may_enlarge=True).size_for(size_px) in bucket_sizes(*SD1)


@pytest.mark.parametrize(("resolution", "step"), [SD1, SDXL, (64, 8), (64, 64)])
def test_every_size_is_within_the_buckets_and_only_a_side_of_less_than_a_step_is_enlarged(resolution, step):
    rule = BucketRule(resolution, step)
    sides = sorted({1, step - 1, step, step + 1, resolution - 1, resolution, resolution + 1, 2 * resolution, 6000})
    for size_px in [(width, height) for width in sides for height in sides]:
        size = rule.size_for(size_px)
        assert all(side % step == 0 for side in size)
        assert max(size) <= 2 * resolution and size[0] * size[1] <= resolution**2
        assert all(target <= max(step, side) for target, side in zip(size, size_px, strict=True))


@pytest.mark.parametrize(("size_px", "size"), [((200, 6000), (192, 1024)), ((50, 200), (64, 192)), ((1, 1), (64, 64))])
def test_a_thin_or_tiny_picture_is_cut_to_its_bucket_as_far_as_it_reaches(size_px, size):
    assert BucketRule(*SD1).size_for(size_px) == size
    assert BucketRule(*SD1).size_for(size_px[::-1]) == size[::-1]


def test_without_buckets_all_are_cut_to_the_square():
    rule = BucketRule(512, 64, is_on=False)
    assert {rule.size_for(size) for size in [(4000, 3000), (300, 300), (100, 900)]} == {(512, 512)}


@pytest.mark.parametrize(("resolution", "unit", "step"), [(512, 8, 64), (1024, 8, 64), (64, 8, 8), (256, 8, 32)])
def test_steps_are_smaller_where_the_resolution_is(resolution, unit, step):
    assert usual_step(resolution, unit) == step

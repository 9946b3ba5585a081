"""What is held out: a share, the same for the same seed, and never a picture that has its like among the others."""

from collections import Counter

import pytest
from PIL import Image, ImageEnhance

from scumble.config import TrainConfig
from scumble.data.scan import scan_folder
from scumble.train.plan import make_plan
from scumble.train.validation import split_pictures


@pytest.mark.parametrize(
    ("count", "share", "held"), [(40, 0.1, 4), (10, 0.1, 1), (11, 0.5, 6), (9, 0.5, 0), (40, 0, 0)]
)
def test_a_share_is_held_out_and_none_of_few(count, share, held):
    split = split_pictures([str(index) for index in range(count)], share, seed=1)
    assert len(split.held_out) == held
    assert sorted([*split.training, *split.held_out]) == list(range(count))


def test_the_seed_decides_which():
    kin = [str(index) for index in range(100)]
    assert split_pictures(kin, 0.1, 1) == split_pictures(kin, 0.1, 1) != split_pictures(kin, 0.1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_kin_stay_on_one_side_and_a_large_family_is_not_held_out(seed):
    kin = [f"family {index // 3}" for index in range(30)] + ["crowd"] * 30 + [str(index) for index in range(10)]
    split = split_pictures(kin, 0.1, seed)
    assert {kin[index] for index in split.training}.isdisjoint(kin[index] for index in split.held_out)
    assert len(split.held_out) == 7
    assert "crowd" not in {kin[index] for index in split.held_out}


def test_where_every_family_is_larger_than_the_share_the_smallest_is_held_out():
    kin = [str(index % 10) for index in range(45)]
    split = split_pictures(kin, 0.01, 0)
    assert list(Counter(kin[index] for index in split.held_out).values()) == [4]


@pytest.mark.parametrize("seed", range(8))
def test_a_run_holds_out_no_picture_that_looks_like_one_it_trains_on(photos, tiny_base, seed):
    for path in sorted(photos.glob("*.png")):  # each has a twin that is a little brighter
        ImageEnhance.Brightness(Image.open(path)).enhance(1.02).save(photos / f"twin-{path.name}")
        (photos / f"twin-{path.stem}.txt").write_text("a twin", encoding="utf-8")
    values = {"data": {"folder": photos}, "model": {"base": str(tiny_base)}, "training": {"seed": seed}}
    plan = make_plan(TrainConfig.model_validate(values), scan_folder(photos))
    names = [plan.scan.examples[index].path.name.removeprefix("twin-") for index in plan.split.held_out]
    assert len(names) == 2
    assert names[0] == names[1]

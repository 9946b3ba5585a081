"""A training says at its start, in a line each, what checking would show."""

import shutil

import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from scumble.config import TrainConfig, from_values
from scumble.data.scan import scan_folder
from scumble.train.lint_remarks import lint_remarks
from scumble.train.plan import make_plan


@pytest.fixture
def pictures(tmp_path):
    """Two photographs, and each mirrored, with captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for index, image in enumerate([*photographs, *map(ImageOps.mirror, photographs)]):
        image.save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"number {index}")
    return folder


def said(folder):
    return [note.text for note in lint_remarks(scan_folder(folder))]


def test_of_pictures_and_captions_in_order_nothing_is_said(pictures):
    assert said(pictures) == []


def test_copies_are_counted(pictures):
    shutil.copy(pictures / "03.png", pictures / "a copy.png")
    (pictures / "a copy.txt").write_text("a dog")
    assert said(pictures) == [
        "pictures that are copies of others, byte for byte: 1 (03.png, a copy.png): scumble check shows them"
    ]


def test_pictures_that_look_alike_are_named(pictures):
    ImageEnhance.Brightness(Image.open(pictures / "03.png")).enhance(1.02).save(pictures / "brighter.png")
    (pictures / "brighter.txt").write_text("a dog")
    (line,) = said(pictures)
    assert line.startswith("pictures that look like others: 2 (03.png, brighter.png)")


def test_pictures_of_one_colour_and_odd_captions_are_named(pictures):
    Image.new("RGB", (64, 64), "grey").save(pictures / "02.png")
    (pictures / "01.txt").write_text("a\u200bdog", encoding="utf-8")
    assert said(pictures) == [
        "pictures that look blurred or are of one colour: 1, first 02.png: scumble check shows them",
        "captions with odd signs: 1, first 01.png: U+200B zero width space: scumble check shows them",
    ]


@pytest.mark.parametrize("is_odd", [False, True])
def test_the_plan_of_a_run_carries_them(photos, tiny_base, is_odd):
    if is_odd:
        (photos / "06.txt").write_text("a\u200bdog", encoding="utf-8")
    plan = make_plan(from_values(TrainConfig, {"data": {"folder": photos}, "model": {"base": str(tiny_base)}}))
    assert any("odd signs" in note.text for note in plan.notes) is is_odd

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
        "1 picture is a copy of another, byte for byte, 1 with another caption (03.png, a copy.png): scumble check shows them"
    ]
    shutil.copy(pictures / "03.png", pictures / "b copy.png")
    (pictures / "b copy.txt").write_text("number 3")
    assert said(pictures)[0].startswith(
        "2 pictures are copies of others, byte for byte, 1 with another caption (03.png"
    )


def test_pictures_that_look_alike_are_named(pictures):
    ImageEnhance.Brightness(Image.open(pictures / "03.png")).enhance(1.02).save(pictures / "brighter.png")
    (pictures / "brighter.txt").write_text("a dog")
    (line,) = said(pictures)
    assert line.startswith("2 pictures look like others (03.png, brighter.png)")


def test_pictures_of_one_colour_and_odd_captions_are_named(pictures):
    Image.new("RGB", (64, 64), "grey").save(pictures / "02.png")
    (pictures / "01.txt").write_text("a\u200bdog", encoding="utf-8")
    assert said(pictures) == [
        "1 picture looks blurred or is of one colour, first 02.png: scumble check shows them",
        "1 caption has odd signs, first 01.png: U+200B zero width space: scumble check shows them",
    ]


def test_tags_that_are_there_twice_or_in_two_spellings_are_named(pictures):
    for index, tags in enumerate(("long hair, smile, smile", "Long_hair, hat", "long hair, a, , b", "hat, red")):
        (pictures / f"{index:02d}.txt").write_text(tags)
    assert said(pictures) == [
        "2 captions have a tag twice, or an empty one, first 00.png: 'smile' twice: scumble check shows them",
        "1 tag is spelled in several ways, first long hair and Long_hair: scumble check shows them",
    ]


def test_pictures_are_named_with_their_folder(tmp_path, pictures):
    for name in ("cats", "dogs"):
        shutil.copytree(pictures, tmp_path / "nested" / name)
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "nested" / "dogs" / "02.png")
    lines = said(tmp_path / "nested")
    assert any("(cats/00.png, dogs/00.png)" in line for line in lines)
    assert any("first dogs/02.png" in line for line in lines)


@pytest.mark.parametrize("is_odd", [False, True])
def test_the_plan_of_a_run_carries_them(photos, tiny_base, is_odd):
    if is_odd:
        (photos / "06.txt").write_text("a\u200bdog", encoding="utf-8")
    plan = make_plan(from_values(TrainConfig, {"data": {"folder": photos}, "model": {"base": str(tiny_base)}}))
    assert any("odd signs" in note.text for note in plan.notes) is is_odd

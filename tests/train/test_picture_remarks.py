"""What is said of files that are not used, and of settings that do nothing to the pictures and captions that there are."""

import pytest
from PIL import Image

from scumble.config import DataConfig
from scumble.data.masks import MaskRule
from scumble.data.scan import ScanRule, scan_folder
from scumble.train.picture_remarks import MOST_REJECTED, picture_remarks, tag_remarks


@pytest.fixture
def pictures(tmp_path):
    """Two pictures in each of two folders."""
    for name in ("cats/0", "cats/1", "dogs/0", "dogs/1"):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), "red").save(path)
        path.with_suffix(".txt").write_text(f"a {name}")
    return tmp_path / "set"


def said(folder, masks=None, **settings):
    scan = scan_folder(folder, ScanRule(masks=MaskRule(masks)))
    data = DataConfig.model_validate({"folder": folder, "mask_dir": masks, **settings})
    return [note.text for note in picture_remarks(data, scan)]


def said_of_tags(folder, captions, **settings):
    for path, caption in zip(sorted(folder.rglob("*.txt")), captions, strict=True):
        path.write_text(caption)
    return [note.text for note in tag_remarks(DataConfig.model_validate(settings), scan_folder(folder))]


def test_of_pictures_in_order_nothing_is_said(pictures):
    assert said(pictures, trigger="a") == []


def test_names_are_those_in_the_folder_and_one_is_one(pictures):
    (pictures / "dogs" / "0.txt").write_text("")
    assert said(pictures, trigger="cats") == [
        "the trigger 'cats' is missing from 2 of 4 captions, first dogs/0.png",
        "1 caption file is empty and trains the empty prompt, first dogs/0.png",
    ]
    (pictures / "dogs" / "1.txt").write_text("")
    assert said(pictures) == ["2 caption files are empty and train the empty prompt, first dogs/0.png"]


def test_files_that_are_no_pictures_share_a_line_and_broken_ones_have_their_own(pictures):
    for name in ("notes.md", "Thumbs.db"):
        (pictures / "dogs" / name).write_bytes(b"x")
    (pictures / "dogs" / "2.png").write_bytes(b"")
    scan = scan_folder(pictures)
    notes = list(picture_remarks(DataConfig(), scan))
    assert [(note.text, note.warning) for note in notes] == [
        ("dogs/2.png is left out: empty file", True),
        ("2 files are no pictures: dogs/Thumbs.db, dogs/notes.md", False),
    ]


def test_of_many_broken_files_the_first_are_named_and_the_rest_counted(pictures):
    for index in range(MOST_REJECTED + 1):
        (pictures / "dogs" / f"broken {index:02d}.png").write_bytes(b"")
    lines = said(pictures)
    assert len(lines) == MOST_REJECTED + 1
    assert lines[-1] == "1 more is left out; the page of scumble check lists all"


def test_masks_that_fit_no_picture_are_named(pictures, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("0.PNG", "1.png", "1.jpg", "2.png"):
        Image.new("L", (16, 16), 255).save(masks / name)
    assert said(pictures, masks) == [
        "mask_dir: 2 files there are of no picture (1.png, 2.png): a mask has its picture's name but for the suffix"
    ]
    (masks / "2.png").unlink()
    (masks / "1.png").unlink()
    assert said(pictures, masks) == []


SENTENCES = ("a cat on a mat", "a dog", "a bird", "a fish")
TAGS = ("1girl, smile", "a", "b", "c")


@pytest.mark.parametrize(
    ("captions", "settings", "words"),
    [
        (SENTENCES, {}, []),
        (TAGS, {"shuffle_caption": True, "caption_tag_dropout_rate": 0.1}, []),
        (SENTENCES, {"shuffle_caption": True}, ["shuffle_caption has no effect: no caption has two tags to shuffle"]),
        (TAGS, {"shuffle_caption": True, "keep_tokens": 1}, ["and the first 1 stay"]),
        (TAGS, {"shuffle_caption": True, "caption_separator": ";"}, ["tags are what stands between ';'"]),
        (SENTENCES, {"caption_tag_dropout_rate": 0.1}, ["caption_tag_dropout_rate leaves out whole captions"]),
        (SENTENCES, {"caption_tag_dropout_rate": 0.1, "keep_tokens": 1}, ["caption_tag_dropout_rate has no effect"]),
    ],
)
def test_settings_of_tags_that_find_no_tags_are_named(pictures, captions, settings, words):
    lines = said_of_tags(pictures, captions, **settings)
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))

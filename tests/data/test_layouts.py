"""Folders as people have them, each understood and said: what is kept, what is left out, and why."""

import json

import numpy as np
import pytest
from PIL import Image

from scumble.data.captions import CaptionRule
from scumble.data.layouts.find import find_layout
from scumble.data.scan import ScanRule, scan_folder
from scumble.errors import DataError


def save_picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 20, 3), np.uint8)).save(path)
    return path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def reasons(scan):
    return {item.path.name: item.reason for item in scan.rejected}


def captions(scan):
    return {example.path.name: example.captions for example in scan.examples}


def test_one_folder_of_pictures_is_flat(tmp_path):
    save_picture(tmp_path / "a.png")
    assert find_layout(tmp_path).name == "flat"


def test_folders_within_folders_are_taken_alike(tmp_path):
    for name in ("cats/a.png", "cats/old/b.png", "dogs/c.png"):
        save_picture(tmp_path / name)
    write(tmp_path / "dogs" / "c.txt", "a dog")
    write(tmp_path / "notes.md", "to do")
    scan = scan_folder(tmp_path, ScanRule(CaptionRule(trigger="sks")))
    assert (scan.layout, scan.said) == ("nested", "pictures in 3 folders within folders, all alike")
    assert captions(scan) == {"a.png": ("a photo of sks",), "b.png": ("a photo of sks",), "c.png": ("a dog",)}
    assert reasons(scan) == {"notes.md": "not a picture"}


def test_a_link_that_leads_back_is_entered_once(tmp_path):
    save_picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    assert len(find_layout(tmp_path).pictures) == 1


def test_links_are_followed_and_told(tmp_path):
    save_picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "linked.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    scan = scan_folder(tmp_path / "here", ScanRule(CaptionRule(trigger="sks")))
    assert scan.notes == ("1 picture (linked.png) is a link, and followed",)


@pytest.fixture
def project(tmp_path):
    """kohya's project folder."""
    save_picture(tmp_path / "img" / "10_sks dog" / "a.png", 1)
    save_picture(tmp_path / "img" / "10_sks dog" / "b.png", 2)
    write(tmp_path / "img" / "10_sks dog" / "b.txt", "sks dog, running")
    save_picture(tmp_path / "img" / "3_sks cat" / "c.png", 3)
    save_picture(tmp_path / "reg" / "1_dog" / "d.png", 4)
    return tmp_path


def test_kohyas_folders_give_repeats_and_captions(project):
    scan = scan_folder(project / "img")
    assert scan.layout == "kohya"
    assert "10_sks dog: 2 pictures, 10 times an epoch" in scan.said
    assert captions(scan) == {"a.png": ("sks dog",), "b.png": ("sks dog, running",), "c.png": ("sks cat",)}
    assert [example.repeats for example in scan.examples] == [10, 10, 3]
    assert scan.classes == ()


def test_one_of_kohyas_folders_may_be_named_itself(project):
    scan = scan_folder(project / "img" / "3_sks cat")
    assert [(example.caption, example.repeats) for example in scan.examples] == [("sks cat", 3)]


def test_kohyas_project_has_class_pictures(project):
    scan = scan_folder(project)
    assert len(scan.examples) == 3
    assert [(example.caption, example.source) for example in scan.classes] == [("dog", "words")]
    assert "1_dog: 1 class pictures" in scan.said


def test_what_lies_beside_kohyas_folders_is_told(project):
    save_picture(project / "img" / "new ones" / "e.png")
    save_picture(project / "img" / "0_old" / "f.png")
    write(project / "img" / "list.txt", "x")
    assert reasons(scan_folder(project / "img")) == {
        "new ones": "not named like 10_words, which says how often its pictures are seen",
        "0_old": "seen 0 times: its name begins with 0_",
        "list.txt": "no picture goes with this caption",
    }


def test_an_imagefolder_says_captions_in_a_table(tmp_path):
    for name in ("a.png", "b.png", "in/c.png", "d.png", "e.png"):
        save_picture(tmp_path / name)
    rows = [
        {"file_name": "a.png", "text": "a red car"},
        {"file_name": "b.png", "text": ["a blue car", "a car in blue"]},
        {"file_name": "in/c.png", "text": "一只猫"},
        {"file_name": "gone.png", "text": "nothing"},
        {"file_name": "d.png", "text": ""},
    ]
    write(tmp_path / "metadata.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    write(tmp_path / "e.txt", "beside")
    scan = scan_folder(tmp_path, ScanRule(CaptionRule(trigger="sks")))
    assert scan.said == 'imagefolder: 1 table, captions in column "text"'
    assert captions(scan) == {
        "a.png": ("a red car",),
        "b.png": ("a blue car", "a car in blue"),
        "c.png": ("一只猫",),
        "d.png": ("a photo of sks",),
        "e.png": ("beside",),
    }
    assert reasons(scan) == {"gone.png": "named in metadata.jsonl, and not there"}
    assert scan.notes == ("2 pictures have no caption in metadata.jsonl",)


def test_a_table_may_be_csv_with_any_column(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "metadata.csv", 'file_name,words,author\na.png,"a red, fast car",me\n')
    with pytest.raises(DataError, match=r"found the columns words, author: say with --caption-column"):
        scan_folder(tmp_path)
    assert captions(scan_folder(tmp_path, ScanRule(caption_column="words"))) == {"a.png": ("a red, fast car",)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: no JSON"),
        ("[1]", "expected an object"),
        ('{"text": "x"}', "a line without file_name"),
        ('{"file_name": "../a.png", "text": "x"}', "leads out of the folder"),
        ('{"file_name": "a.png", "text": 3}', "expected text or a list of texts"),
        ('{"file_name": "a.png", "text": "x"}\n{"file_name": "a.png", "text": "y"}', "named twice"),
    ],
)
def test_a_table_that_cannot_be_understood_is_named(tmp_path, line, said):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "metadata.jsonl", line)
    with pytest.raises(DataError, match=rf"metadata\.jsonl.*{said}"):
        scan_folder(tmp_path)


def test_a_column_without_a_table_is_refused(tmp_path):
    save_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="caption_column would have no effect"):
        scan_folder(tmp_path, ScanRule(caption_column="text"))


DATASET = """
[general]
caption_extension = ".caption"
shuffle_caption = true

[[datasets]]
resolution = 512
  [[datasets.subsets]]
  image_dir = "dogs"
  num_repeats = 5
  class_tokens = "sks dog"
  [[datasets.subsets]]
  image_dir = "others"
  is_reg = true
  class_tokens = "dog"
"""


def test_kohyas_dataset_file_lists_folders(tmp_path):
    save_picture(tmp_path / "dogs" / "a.png")
    save_picture(tmp_path / "dogs" / "b.png")
    write(tmp_path / "dogs" / "a.caption", "sks dog, sitting")
    write(tmp_path / "dogs" / "b.txt", "not this one")
    save_picture(tmp_path / "others" / "c.png")
    write(tmp_path / "set.toml", DATASET)
    scan = scan_folder(tmp_path / "set.toml")
    assert captions(scan) == {"a.png": ("sks dog, sitting",), "b.png": ("sks dog",)}
    assert [example.repeats for example in scan.examples] == [5, 5]
    assert [example.caption for example in scan.classes] == ["dog"]
    assert reasons(scan) == {"b.txt": "the dataset file says captions end with .caption"}
    assert scan.notes == (
        "not taken from set.toml, give it as a setting: general.shuffle_caption = True, resolution = 512",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("= 1", "no TOML"),
        ("[model]\nbase = 'x'", "found model, expected .*datasets"),
        ("[[datasets]]\nresolution = 512", "expected .*datasets.subsets"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'gone'", "image_dir gone: no such folder"),
        ("[[datasets]]\n[[datasets.subsets]]\nmetadata_file = 'x.json'", "a subset with metadata_file"),
    ],
)
def test_another_file_is_named(tmp_path, text, said):
    write(tmp_path / "set.toml", text)
    with pytest.raises(DataError, match=said):
        scan_folder(tmp_path / "set.toml")


def test_two_captions_that_differ_are_an_error_and_equal_ones_are_not(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "a car")
    write(tmp_path / "a.caption", "a  car\n")
    assert captions(scan_folder(tmp_path)) == {"a.png": ("a car",)}
    write(tmp_path / "a.caption", "a boat")
    with pytest.raises(DataError, match=r"a\.txt and a\.caption differ: keep one of them"):
        scan_folder(tmp_path)


def test_lines_may_be_captions_of_their_own_with_words_around(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "a car\n\na fast car\n")
    assert captions(scan_folder(tmp_path)) == {"a.png": ("a car a fast car",)}
    rule = ScanRule(CaptionRule(by_line=True, prefix="oil painting,", suffix="detailed"))
    assert captions(scan_folder(tmp_path, rule)) == {
        "a.png": ("oil painting, a car detailed", "oil painting, a fast car detailed")
    }

"""Folders as people have them, each understood and said: what is kept, what is left out, and why."""

import json
import os

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
    assert "1_dog: 1 class picture, 1 time an epoch" in scan.said


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
    assert scan.notes == ("2 pictures have no caption in the table",)


def test_a_caption_of_a_table_may_hold_other_separators_of_lines(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "metadata.jsonl", '{"file_name": "a.png", "text": "one\u2028two\u0085three"}\n')
    assert captions(scan_folder(tmp_path)) == {"a.png": ("one two three",)}


@pytest.mark.parametrize(
    ("table", "text"),
    [("metadata.jsonl", '{"file_name": "a.png", "text": "a car"}'), ("metadata.csv", "file_name,text\na.png,a car\n")],
)
def test_a_caption_column_that_no_table_has_is_an_error_with_those_that_are_there(tmp_path, table, text):
    save_picture(tmp_path / "a.png")
    write(tmp_path / table, text)
    with pytest.raises(DataError, match=rf"{table}: no column caption: found the columns text"):
        scan_folder(tmp_path, ScanRule(CaptionRule(trigger="sks"), caption_column="caption"))


def test_a_picture_that_two_tables_name_is_an_error_that_names_both(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "metadata.jsonl", '{"file_name": "a.png", "text": "a car"}')
    write(tmp_path / "metadata.csv", "file_name,text\na.png,a car\n")
    with pytest.raises(DataError, match=r"metadata\.csv, line 2: a\.png is named in .*metadata\.jsonl too: leave one"):
        scan_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file_name;text\na.png;a car\n", "line 1: found the columns file_name;text; expected file_name among them"),
        (
            "file_name,text\na.png,a red, fast car\n",
            "line 2: expected 2 cells .* a caption with commas stands in quotes",
        ),
        ("file_name,text,by\na.png,a car\n", "line 2: expected 3 cells"),
        ('file_name,text\na.png,"a "red" car"\n', "after line 1: no CSV"),
        ("file_name,text\n,a car\n", "line 2: file_name is ''"),
    ],
)
def test_a_csv_that_would_be_misread_is_named_with_its_line(tmp_path, text, said):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "metadata.csv", text)
    with pytest.raises(DataError, match=rf"metadata\.csv, {said}"):
        scan_folder(tmp_path)


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


def write_dataset(path, subset, before=""):
    write(path, f"{before}[[datasets]]\n[[datasets.subsets]]\n{subset}\n")
    return path


def test_a_folder_that_is_seen_0_times_is_left_out_by_name(tmp_path):
    save_picture(tmp_path / "dogs" / "a.png")
    save_picture(tmp_path / "cats" / "b.png", 1)
    cats = "[[datasets.subsets]]\nimage_dir = 'cats'\nclass_tokens = 'cat'"
    scan = scan_folder(write_dataset(tmp_path / "set.toml", f"image_dir = 'dogs'\nnum_repeats = 0\n{cats}"))
    assert [example.path.name for example in scan.examples] == ["b.png"]
    assert scan.said == "kohya's dataset file set.toml: cats: 1 picture, 1 time an epoch"
    assert reasons(scan) == {"dogs": "seen 0 times: the dataset file says num_repeats = 0"}


@pytest.mark.parametrize("level", ["general", "subset"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("num_repeats = -2", "num_repeats = -2 for image_dir dogs: expected a whole number, 1 or more"),
        ("num_repeats = 'x'", "num_repeats = 'x' for image_dir dogs: expected a whole number"),
        ("num_repeats = 2.7", r"num_repeats = 2\.7 for image_dir dogs: expected a whole number"),
        ("num_repeats = true", "num_repeats = True for image_dir dogs: expected a whole number"),
        ("class_tokens = 3", "class_tokens = 3 for image_dir dogs: expected words"),
        ("is_reg = 'no'", "is_reg = 'no' for image_dir dogs: expected true or false"),
        ("caption_extension = 'txt'", "caption_extension = 'txt' for image_dir dogs: expected a suffix with its dot"),
        ("metadata_file = 'x.json'", "a subset with metadata_file, which is not read"),
        ("num_repeat = 5", r"unknown key (general\.)?num_repeat: did you mean 'num_repeats'\?"),
        ("flip_augm = true", r"unknown key (general\.)?flip_augm: did you mean 'flip_aug'\?"),
    ],
)
def test_a_value_of_a_dataset_file_that_cannot_be_is_an_error(tmp_path, line, said, level):
    save_picture(tmp_path / "dogs" / "a.png")
    general, subset = (f"[general]\n{line}\n", "") if level == "general" else ("", f"\n{line}")
    path = write_dataset(tmp_path / "set.toml", f"image_dir = 'dogs'{subset}", general)
    with pytest.raises(DataError, match=rf"set\.toml: {said}"):
        scan_folder(path)


def test_what_a_dataset_file_says_of_all_pictures_is_told_with_its_name_here(tmp_path):
    save_picture(tmp_path / "dogs" / "a.png")
    general = "[general]\nflip_aug = true\nrandom_crop = true\ncolor_aug = true\n"
    scan = scan_folder(write_dataset(tmp_path / "set.toml", "image_dir = 'dogs'\nclass_tokens = 'dog'", general))
    assert scan.notes == (
        "not taken from set.toml, give it as a setting: general.flip_aug = True (random_flip here), "
        "general.random_crop = True (center_crop = false here)",
        "not taken from set.toml, there is nothing like it here: general.color_aug = True",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("= 1", "no TOML"),
        ("general = 1\n[[datasets]]", "general = 1: expected a table"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 5", "image_dir = 5: expected image_dir, .* as text"),
        ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 5", "a subset with no image_dir"),
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


def test_a_folder_or_file_of_a_dataset_names_the_setting_for_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"a dataset, train\.parquet: give the folder to --dataset_name"):
        find_layout(tmp_path)
    with pytest.raises(DataError, match=r"a file of a dataset: give it to --dataset_name"):
        find_layout(tmp_path / "data" / "train.parquet")


def test_a_picture_without_its_suffix_is_told(tmp_path):
    save_picture(tmp_path / "a.png")
    for source, name in (("a.png", "scan"), ("b.webp", "photo.tmp")):
        save_picture(tmp_path / source).rename(tmp_path / name)
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    save_picture(tmp_path / "a.png")
    assert reasons(scan_folder(tmp_path, ScanRule(CaptionRule(trigger="sks")))) == {
        "scan": "a picture whose name does not say so: add .png to it",
        "photo.tmp": "a picture whose name does not say so: add .webp to it",
        "film.mp4": "not a picture",
    }


def test_a_dead_link_is_told_and_not_followed(tmp_path):
    save_picture(tmp_path / "a.png")
    (tmp_path / "dead.jpg").symlink_to("nowhere.jpg")
    write(tmp_path / "metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n{"file_name": "dead.jpg", "text": "y"}')
    scan = scan_folder(tmp_path)
    assert [(item.path.name, item.reason) for item in scan.rejected] == [
        ("dead.jpg", "a link to nowhere.jpg, which is not there")
    ]
    assert scan.notes == ()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read everything")
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_folder_that_may_not_be_read_is_named(tmp_path, mode):
    save_picture(tmp_path / "mine" / "a.png")
    (tmp_path / "mine").chmod(mode)
    try:
        with pytest.raises(DataError, match=r"mine: the folder cannot be read: Permission denied"):
            find_layout(tmp_path)
    finally:
        (tmp_path / "mine").chmod(0o700)


def test_a_folder_that_the_system_refuses_is_named(tmp_path, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match=r": the folder cannot be read: Permission denied"):
        find_layout(tmp_path)


def test_a_prefix_that_ends_in_a_blank_gives_one_blank(tmp_path):
    save_picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "a car")
    rule = ScanRule(CaptionRule(prefix="best, ", suffix=" detailed "))
    assert captions(scan_folder(tmp_path, rule)) == {"a.png": ("best, a car detailed",)}

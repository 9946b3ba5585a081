"""From a folder as people have it to pictures with captions: nothing in it is passed over in silence."""

import shutil

import numpy as np
import pytest
from PIL import Image

from scumble.data import scan
from scumble.data.captions import CaptionRule
from scumble.errors import DataError


def scan_folder(folder, trigger=None, caption=None):
    return scan.scan_folder(folder, scan.ScanRule(CaptionRule(trigger, caption)))


def save_picture(path, size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)
    return path


def captions(scan):
    return {example.path.name: example.caption for example in scan.examples}


def reasons(found):
    return {item.path.name: item.reason for item in found.rejected}


def test_the_text_beside_a_picture_is_its_caption(tmp_path):
    save_picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("  a red\n car  ", encoding="utf-8")
    found = scan_folder(tmp_path, trigger="sks dog")
    assert captions(found) == {"a.png": "a red car"}
    assert found.examples[0].source == "sidecar"
    assert found.examples[0].size_px == (20, 16)


def test_a_caption_file_may_be_named_in_capitals(tmp_path):
    save_picture(tmp_path / "DSC01.JPG")
    (tmp_path / "DSC01.TXT").write_text("a red car", encoding="utf-8")
    assert captions(scan_folder(tmp_path, trigger="sks dog")) == {"DSC01.JPG": "a red car"}


def test_a_picture_without_caption_gets_the_trigger(tmp_path):
    save_picture(tmp_path / "a.png")
    found = scan_folder(tmp_path, trigger="sks dog")
    assert captions(found) == {"a.png": "a photo of sks dog"}
    assert found.examples[0].source == "trigger"


@pytest.mark.parametrize("caption", ["", "an ink drawing"])
def test_a_given_caption_is_taken_as_it_is_even_if_empty(tmp_path, caption):
    save_picture(tmp_path / "a.png")
    save_picture(tmp_path / "b.png")
    (tmp_path / "b.txt").write_text("its own", encoding="utf-8")
    found = scan_folder(tmp_path, trigger="sks dog", caption=caption)
    assert captions(found) == {"a.png": caption, "b.png": "its own"}


def test_no_caption_and_no_trigger_names_the_pictures_and_three_ways_out(tmp_path):
    for index in range(5):
        save_picture(tmp_path / f"{index}.png")
    (tmp_path / "3.txt").write_text("captioned", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path)
    text = str(caught.value)
    assert "4 pictures (0.png, 1.png, 2.png and 1 more)" in text
    assert ".txt" in text and "--trigger" in text and '--caption ""' in text


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        scan_folder(tmp_path / "nowhere", "sks")


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(DataError, match="the folder is empty"):
        scan_folder(tmp_path, "sks")


def test_pictures_in_a_folder_inside_are_not_passed_over_in_silence(tmp_path):
    save_picture(tmp_path / "a.png")
    save_picture(tmp_path / "more" / "b.png")
    (tmp_path / "notes").mkdir()
    found = scan_folder(tmp_path, "sks")
    assert captions(found).keys() == {"a.png"}
    assert reasons(found) == {"more": "a folder beside pictures: name it to use its pictures"}


def test_a_folder_with_nothing_usable_says_why_of_each(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match=r"none of its 2 files.*b\.pdf: not a picture; a\.png: empty file"):
        scan_folder(tmp_path, "sks")


def test_every_file_is_used_or_named_with_its_reason(tmp_path):
    save_picture(tmp_path / "good.png")
    (tmp_path / "good.txt").write_text("good", encoding="utf-8")
    whole = save_picture(tmp_path / "whole.jpg", (200, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture at all")
    (tmp_path / "notes.docx").write_bytes(b"x")
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    (tmp_path / "alone.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "good.caption").write_text("good", encoding="utf-8")
    (tmp_path / "lost.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    found = scan_folder(tmp_path, trigger="sks")
    assert captions(found) == {"good.png": "good", "whole.jpg": "a photo of sks"}
    why = reasons(found)
    assert "truncated" in why.pop("cut.jpg")
    assert why.pop("lost.png") == f"a link to {tmp_path / 'gone.png'}, which is not there"
    assert found.notes == ()  # a link that leads nowhere is not followed
    assert why == {
        "empty.png": "empty file",
        "text.png": "not a picture that can be read",
        "notes.docx": "not a picture",
        "phone.HEIC": ".heic pictures are not read: save it as PNG or JPEG",
        "alone.txt": "no picture goes with this caption",
    }
    assert len(found.examples) + len(found.rejected) + found.num_used == 11  # all but the hidden one


def test_spaces_and_chinese_characters_are_names_like_others(tmp_path):
    folder = tmp_path / "我的 照片"
    save_picture(folder / "猫 一.png")
    (folder / "猫 一.txt").write_text("一只猫", encoding="utf-8")
    assert captions(scan_folder(folder)) == {"猫 一.png": "一只猫"}


def test_a_byte_order_mark_is_not_part_of_the_caption(tmp_path):
    save_picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa red car\r\n")
    assert captions(scan_folder(tmp_path)) == {"a.png": "a red car"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_caption_may_be_in_these_encodings(tmp_path, encoding):
    save_picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes("一只可爱的小猫".encode(encoding))
    assert captions(scan_folder(tmp_path)) == {"a.png": "一只可爱的小猫"}


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("gb18030", "which is no UTF-8"), ("utf-16-le", "UTF-16"), ("utf-32", "UTF-32 text")],
)
def test_a_caption_in_another_encoding_is_named(tmp_path, encoding, said):
    save_picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes("一只可爱的小猫, a cat".encode(encoding))
    with pytest.raises(DataError, match=rf"a\.txt: found .*{said}.*save it as UTF-8"):
        scan_folder(tmp_path)


def test_the_fingerprint_follows_contents_and_captions_not_names(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("a.png", "bb.png"):
        save_picture(one / name)
    shutil.copytree(one, two)
    (two / "a.png").rename(two / "z.png")
    assert scan_folder(one, "sks").fingerprint() == scan_folder(two, "sks").fingerprint()
    (two / "z.txt").write_text("another caption", encoding="utf-8")
    assert scan_folder(one, "sks").fingerprint() != scan_folder(two, "sks").fingerprint()


def surveyed(folder, rule=None):
    """A survey's steps, and the scan it ends with."""
    steps, survey = [], scan.survey(folder, rule)
    while True:
        try:
            steps.append(next(survey))
        except StopIteration as end:
            return steps, end.value


def test_a_survey_goes_on_where_captions_are_missing_or_cannot_be_read(tmp_path):
    for name in ("captioned", "missing", "latin", "damaged"):
        save_picture(tmp_path / f"{name}.png")
    (tmp_path / "captioned.txt").write_text("a car", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("un café".encode("latin-1"))
    (tmp_path / "damaged.png").write_bytes(b"")
    steps, found = surveyed(tmp_path)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert captions(found) == {"captioned.png": "a car"}
    assert [(each.path.name, each.captions, each.source) for each in found.uncaptioned] == [("missing.png", (), "none")]
    assert [each.path.name for each in found.unread] == ["latin.png"]
    assert "found byte 0xe9" in found.unread[0].reason
    assert reasons(found) == {"damaged.png": "empty file"}


def test_a_survey_of_a_folder_without_a_usable_picture_ends(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    _, found = surveyed(tmp_path)
    assert (found.examples, reasons(found)) == ((), {"a.png": "empty file"})

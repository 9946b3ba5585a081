"""What one scan saw the next one does not open again, unless the file is another one by then."""

import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from scumble.data import seen
from scumble.data.captions import CaptionRule
from scumble.data.content import hash_file
from scumble.data.pictures import USUAL, PictureRule, decode_picture, decode_small
from scumble.data.quality import look_at
from scumble.data.scan import ScanRule, result_of, survey
from scumble.data.seen import SeenPictures
from scumble.data.thumbnails import Thumbnails
from scumble.errors import DataError

RULE = ScanRule(CaptionRule("sks"))


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once, so that no test waits for them."""
    monkeypatch.setattr(seen, "SETTLED_NS", -(10**10))


@pytest.fixture
def opened(monkeypatch):
    """Names of the pictures that are opened."""
    names = []
    usual = Image.open

    def watched(path, *others, **named):
        names.extend([path.name] if isinstance(path, Path) else [])  # thumbnails are read from memory
        return usual(path, *others, **named)

    monkeypatch.setattr(Image, "open", watched)
    return names


def scan(folder, cache, rule=RULE):
    return result_of(survey(folder, rule, SeenPictures(cache, folder, rule.pictures)))


def test_the_second_scan_opens_no_picture_and_finds_the_same(photos, tmp_path, settled, opened):
    plain = result_of(survey(photos, RULE))
    first = scan(photos, tmp_path / "kept")
    assert first == plain
    opened.clear()
    assert scan(photos, tmp_path / "kept") == plain
    assert opened == []


def test_only_what_changed_is_opened(photos, tmp_path, settled, opened):
    scan(photos, tmp_path / "kept")
    opened.clear()
    Image.new("RGB", (50, 60), "red").save(photos / "03.png")
    (photos / "04.png").rename(photos / "other.png")
    found = scan(photos, tmp_path / "kept")
    assert sorted(set(opened)) == ["03.png", "other.png"]
    assert found == result_of(survey(photos, RULE))


def test_an_edit_that_keeps_size_and_time_is_noticed(photos, tmp_path, settled):
    scan(photos, tmp_path / "kept")
    path = photos / "05.png"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    found = scan(photos, tmp_path / "kept")
    assert found.examples[5].content == hash_file(path)


def test_a_file_that_may_change_within_the_same_tick_is_opened_again(photos, tmp_path, opened):
    assert max(path.stat().st_ctime for path in photos.iterdir()) > time.time() - 2
    scan(photos, tmp_path / "kept")
    opened.clear()
    scan(photos, tmp_path / "kept")
    assert len(set(opened)) == 12


def test_another_rule_sees_for_itself(photos, tmp_path, settled, opened):
    scan(photos, tmp_path / "kept")
    opened.clear()
    scan(photos, tmp_path / "kept", ScanRule(RULE.captions, PictureRule((0, 0, 0))))
    assert len(set(opened)) == 12


@pytest.mark.parametrize("damage", [b"", b"no head\n", b"0 0\n[]\n"])
def test_what_is_damaged_counts_for_nothing(photos, tmp_path, settled, damage):
    found = scan(photos, tmp_path / "kept")
    (file,) = (tmp_path / "kept").rglob("*.jsonl")
    whole = file.read_bytes()
    for content in (damage, whole[:-1], whole.replace(b'"', b"'", 1)):
        file.write_bytes(content)
        assert scan(photos, tmp_path / "kept") == found


def test_a_cache_that_cannot_be_written_to_is_said_and_does_no_harm(photos, tmp_path, settled):
    (tmp_path / "kept").write_bytes(b"a file where the folder should be")
    found = scan(photos, tmp_path / "kept")
    assert len(found.examples) == 12
    assert "the next scan has to open all pictures again" in found.notes[-1]


def large_photo(path, exif=None):
    photo = Image.fromarray(load_sample_images().images[0]).resize((1601, 1067))
    photo.save(path, quality=90, **({} if exif is None else {"exif": exif}))
    return path


def test_a_large_jpeg_is_read_whole_and_decoded_small(tmp_path):
    path = large_photo(tmp_path / "a.jpg")
    image, size_px = decode_small(path, USUAL, 512)
    assert (size_px, image.size) == ((1601, 1067), (801, 534))
    small, whole = look_at(image), look_at(decode_picture(path))
    assert (small.pattern ^ whole.pattern).bit_count() <= 2
    assert max(abs(one - other) for one, other in zip(small.colours, whole.colours, strict=True)) <= 4
    whole_file = path.read_bytes()
    path.write_bytes(whole_file[: len(whole_file) * 2 // 3])
    with pytest.raises(DataError, match="truncated"):
        decode_small(path, USUAL, 512)


def test_the_size_of_a_picture_on_its_side_is_that_of_the_upright_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = large_photo(tmp_path / "a.jpg", exif)
    image, size_px = decode_small(path, USUAL, 512)
    assert size_px == decode_picture(path).size == (1067, 1601)
    assert image.size == (534, 801)


def test_thumbnails_are_kept_by_content(photos, tmp_path, opened):
    path = photos / "00.png"
    content = hash_file(path)
    thumbnails = Thumbnails(tmp_path / "kept", photos, USUAL, 20, first=0)
    made = thumbnails.of(path, content)
    assert Image.open(io.BytesIO(made)).size == (17, 20)
    thumbnails.write()
    opened.clear()
    again = Thumbnails(tmp_path / "kept", photos, USUAL, 20, first=0)
    assert again.of(path, content) == made
    assert opened == []
    assert again.of(photos / "gone.png", "0" * 64) == b""

import gzip
from pathlib import Path

import numpy as np
import pytest

from scumble.errors import DataError
from scumble.mini.handwriting import PART_SHARES, read_handwriting, split


def write_idx(path: Path, values: np.ndarray) -> None:
    magic = {3: 2051, 1: 2049}[values.ndim]
    header = np.array([magic, *values.shape], dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


def test_the_three_parts_are_disjoint_and_complete():
    everyone = read_handwriting()
    parts = [split(everyone, name).glyphs for name in PART_SHARES]
    rows = [glyph.tobytes() for part in parts for glyph in part]
    assert sum(len(part) for part in parts) == len(everyone) == 1797
    assert sorted(rows) == sorted(glyph.tobytes() for glyph in everyone.glyphs)


def test_every_part_has_every_digit_and_is_the_same_each_time():
    for name in PART_SHARES:
        one, other = split(read_handwriting(), name), split(read_handwriting(), name)
        assert set(one.digits.tolist()) == set(range(10))
        assert np.array_equal(one.glyphs, other.glyphs)


def test_the_demo_part_has_24_nines_to_teach():
    assert (split(read_handwriting(), "demo").digits == 9).sum() >= 24


def test_a_folder_of_idx_files_is_read(tmp_path):
    random = np.random.default_rng(0)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", random.integers(0, 256, (30, 28, 28)))
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(30) % 10)
    handwriting = read_handwriting(tmp_path)
    assert handwriting.digits.tolist() == [n % 10 for n in range(30)]
    assert handwriting.glyphs.shape == (30, 22, 22)
    assert 0 <= handwriting.glyphs.min() < handwriting.glyphs.max() <= 1


def test_a_truncated_idx_file_is_named(tmp_path):
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((4, 28, 28)))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.zeros(4))
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        read_handwriting(tmp_path)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        read_handwriting(tmp_path)

"""Real handwriting: scikit-learn's bundled digits, or a folder with the original MNIST files; three disjoint parts."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scumble.errors import DataError

Part = Literal["base", "judge", "demo"]
PART_SHARES: dict[Part, float] = {"base": 0.44, "judge": 0.40, "demo": 0.16}
_SPLIT_SEED = 1797  # fixed: a judge that had seen the demo's digits would judge nothing
_IDX_MAGIC = {3: 2051, 1: 2049}  # number of dimensions -> the number an idx file of bytes begins with
_MNIST_BORDER_PX = 3  # MNIST leaves a border around the digit; scikit-learn's digits fill their square


@dataclass(frozen=True)
class Handwriting:
    """Handwritten digits: `glyphs` float32 [N, H, W], 0 paper .. 1 ink; `digits` int64 [N], 0..9."""

    glyphs: NDArray[np.float32]
    digits: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.digits)

    def of_classes(self, classes: range) -> "Handwriting":
        """Those whose digit is in `classes`."""
        chosen = np.isin(self.digits, list(classes))
        return Handwriting(self.glyphs[chosen], self.digits[chosen])


def read_handwriting(mnist_folder: Path | None = None) -> Handwriting:
    """All digits: scikit-learn's 1,797 of 8 x 8 pixels, or every MNIST pair of idx files found in `mnist_folder`.

    Raises:
        DataError: the folder holds no pair of idx files, or a damaged one.
    """
    if mnist_folder is not None:
        return _read_mnist(mnist_folder)
    from sklearn.datasets import load_digits  # a second to import, and not needed with MNIST

    images, digits = load_digits(return_X_y=True)
    return Handwriting(
        (images.reshape(-1, 8, 8) / 16).astype(np.float32),
        digits.astype(np.int64),
    )


def split(handwriting: Handwriting, *parts: Part) -> Handwriting:
    """One or several of three disjoint parts, each with its share of every digit; the same each time."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(handwriting))
    names = list(PART_SHARES)
    chosen: list[int] = []
    for part in parts:
        start = sum(PART_SHARES[name] for name in names[: names.index(part)])
        for digit in range(10):
            members = order[handwriting.digits[order] == digit]
            first, last = round(start * len(members)), round((start + PART_SHARES[part]) * len(members))
            chosen.extend(members[first:last])
    rows = np.sort(np.asarray(chosen, dtype=np.int64))
    return Handwriting(handwriting.glyphs[rows], handwriting.digits[rows])


def _read_mnist(folder: Path) -> Handwriting:
    pictures = sorted(folder.glob("*-images-idx3-ubyte*")) or sorted(folder.glob("*-images.idx3-ubyte*"))
    if not pictures:
        raise DataError(f"{folder}: no MNIST files; expected names such as train-images-idx3-ubyte.gz")
    glyphs, digits = [], []
    for path in pictures:
        labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        if not labels.is_file():
            raise DataError(f"{path.name} has no labels beside it; expected {labels.name} in {folder}")
        pixels, digit = _read_idx(path, 3), _read_idx(labels, 1)
        if len(pixels) != len(digit):
            raise DataError(f"{path.name} has {len(pixels)} pictures, {labels.name} {len(digit)} labels")
        border = _MNIST_BORDER_PX
        glyphs.append((pixels[:, border:-border, border:-border] / 255).astype(np.float32))
        digits.append(digit.astype(np.int64))
    return Handwriting(np.concatenate(glyphs), np.concatenate(digits))


def _read_idx(path: Path, num_dimensions: int) -> NDArray[np.uint8]:
    """An idx file of bytes, gzipped or not: magic number, sizes (big-endian int32), data."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    header = np.frombuffer(raw[: 4 * (num_dimensions + 1)], dtype=">i4")
    sizes = tuple(int(size) for size in header[1:])
    whole = len(header) == num_dimensions + 1 and header[0] == _IDX_MAGIC[num_dimensions]
    if not whole or len(raw) != 4 * (num_dimensions + 1) + int(np.prod(sizes)):
        raise DataError(f"{path}: not a whole idx file of {num_dimensions} dimensions; fetch it again")
    return np.frombuffer(raw, dtype=np.uint8, offset=4 * (num_dimensions + 1)).reshape(sizes)

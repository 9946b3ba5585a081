"""The nearest matrix of a given rank (Eckart and Young 1936), by the cheapest way that the matrix allows.

Shapes: m rows, n columns, r the rank of the factors that are given, k the rank that is kept.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

OVERSAMPLING = 16
SETTLED = 1e-3
"""Power iterations end when one more explains less than this of what is left: the error is then within 1e-3 of the
smallest possible one, also where all singular values are alike."""

MAX_ITERATIONS = 50


@dataclass(frozen=True)
class Thin:
    """A matrix as a product of two thin ones.

    Attributes:
        up: [m, r].
        down: [r, n].
    """

    up: Tensor
    down: Tensor

    def square(self) -> float:
        """Squared Frobenius norm of the product, which is built only where that is the smaller work; float64."""
        up, down = self.up.double(), self.down.double()
        num_rows, num_columns = up.shape[0], down.shape[1]
        if num_rows * num_columns < self.rank * (num_rows + num_columns):  # as of many LoRAs that were added up
            return float((up @ down).square().sum())
        return max(float(((up.t() @ up) * (down @ down.t())).sum()), 0.0)

    def minus(self, other: "Thin") -> "Thin":
        """The difference of two products as one, of the ranks' sum; of equal ranks without cancellation."""
        if self.up.shape == other.up.shape and self.down.shape == other.down.shape:
            first, second, third, fourth = (part.double() for part in (self.up, other.up, self.down, other.down))
            if torch.equal(third, fourth):
                return Thin(first - second, third)
            return Thin(torch.cat([first - second, second], 1), torch.cat([third, third - fourth]))
        return Thin(torch.cat([self.up, -other.up], 1), torch.cat([self.down, other.down]))

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[0]


@dataclass(frozen=True)
class Spectrum:
    """The leading part of a singular value decomposition, float64 or float32.

    Attributes:
        left: [m, k], orthonormal columns.
        values: [k], falling.
        right: [k, n], orthonormal rows.
        square: sum of the squares of all singular values, those left out too.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    square: float

    def cut(self, rank: int) -> Thin:
        """The nearest matrix of this rank; the roots of the values go into both factors, so that half precision holds."""
        roots = self.values[:rank].sqrt()
        return Thin(self.left[:, :rank] * roots, roots[:, None] * self.right[:rank])

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps this share of the squared norm; 1 of a matrix of zeros.

        Args:
            energy: in (0, 1].
        """
        kept = self.values.double().square().cumsum(0)
        # rounding must not ask for one value more than there are
        enough = kept >= energy * self.square * (1 - 1e-12)
        return int(enough.int().argmax()) + 1 if bool(enough.any()) else len(self.values)


def spectrum_of_product(thin: Thin) -> Spectrum:
    """Of a product of thin factors, exactly: it costs what the thin factors cost."""
    left, core_left = torch.linalg.qr(thin.up.double())
    right, core_right = torch.linalg.qr(thin.down.double().t())
    inner_left, values, inner_right = torch.linalg.svd(core_left @ core_right.t())
    count = len(values)
    square = float(values.square().sum())
    return Spectrum(left @ inner_left[:, :count], values, inner_right[:count] @ right.t(), square)


def spectrum(matrix: Tensor) -> Spectrum:
    """Of any matrix [m, n], all of it.

    The eigenvectors of the smaller Gram matrix in float64 take a fraction of the time of an ordinary decomposition. What
    is lost are values under 1e-7 of the largest.
    """
    if matrix.shape[0] > matrix.shape[1]:
        turned = spectrum(matrix.t())
        return Spectrum(turned.right.t(), turned.values, turned.left.t(), turned.square)
    wide = matrix.double()
    left = torch.linalg.eigh(wide @ wide.t()).eigenvectors.flip(1)
    right = left.t() @ wide
    values = torch.linalg.vector_norm(right, dim=1)
    right = right / values.clamp_min(torch.finfo(values.dtype).tiny)[:, None]
    return Spectrum(left, values, right, float(wide.square().sum()))


def leading_spectrum(matrix: Tensor, count: int, generator: torch.Generator) -> Spectrum:
    """The largest singular values of a matrix [m, n] (Halko, Martinsson and Tropp 2011, arXiv:0909.4061, 4.4).

    Args:
        matrix: float32.
        count: how many are wanted.
        generator: a CPU generator, source of the first guess.
    """
    sampled = 2 * count + OVERSAMPLING
    if sampled > min(matrix.shape) // 3:
        return spectrum(matrix)
    square = float(matrix.double().square().sum())
    basis = torch.linalg.qr(matrix @ torch.randn(matrix.shape[1], sampled, generator=generator)).Q
    explained = 0.0
    for _ in range(MAX_ITERATIONS):
        image = matrix.t() @ basis
        before, explained = explained, float(image.double().square().sum())
        if explained - before <= SETTLED * (square - explained):
            break
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(image).Q).Q
    inner = spectrum(image.t())
    return Spectrum(basis @ inner.left[:, :count].float(), inner.values[:count], inner.right[:count], square)

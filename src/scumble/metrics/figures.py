"""Figures of several: means, how sure they are, and distances between pictures."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional


def standard_error(values_N: Tensor) -> float | None:
    """How far the mean of independent values may be from the true one: s / sqrt(N); None of fewer than two."""
    if len(values_N) < 2:
        return None
    return float(values_N.double().std() / math.sqrt(len(values_N)))


def directions(features_ND: Tensor) -> Tensor:
    """Features as vectors of length 1, [N, D], float64: their products are cosines."""
    return functional.normalize(features_ND.double(), dim=1)


def pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size as numbers: [N, D] in 0..1, float32."""
    return torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images])).flatten(1).float() / 255


def pixel_distances(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """Root-mean-square difference of each pair of rows, [N], 0..1: 0 = the same, 1 = black and white."""
    return (first_ND - second_ND).square().mean(dim=1).sqrt()


def seen_distances(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """1 - cosine of the features of each pair of rows, [N], 0..2: 0 = the same to these eyes."""
    # 1 - cosine of u and v of length 1 is |u - v|^2 / 2, which is exactly 0 where they are equal
    return (directions(first_ND) - directions(second_ND)).square().sum(dim=1) / 2

"""A fingerprint of a base model's layers: few enough numbers for a LoRA file's metadata, enough to tell how far two
bases are from each other without having either.

    distance(a, b) = sqrt(sum (a - b)^2 / mean of (sum a^2, sum b^2))
"""

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scumble.errors import LoraFileError

NUM_SAMPLES = 1024
VERSION = "v1"


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """About 1024 of the weights, from fixed places, as ASCII text of less than 4 KB.

    The text is `v1.<hash of paths and shapes>.<float16 numbers in base64>`. The places are a function of path and
    shape, so that two bases with the same layers are sampled alike. Weights kept in float32 and in float16 give
    fingerprints about 1e-4 apart.

    Args:
        weights: canonical path of a layer -> its weight, any shape, on any device; at least one.
    """
    paths = _spread(sorted(weights), NUM_SAMPLES)
    counts = [NUM_SAMPLES // len(paths) + (i < NUM_SAMPLES % len(paths)) for i in range(len(paths))]
    samples = [_samples(path, weights[path], count) for path, count in zip(paths, counts, strict=True)]
    numbers = torch.cat(samples).numpy().astype("<f2").tobytes()
    return f"{VERSION}.{_layout(weights)}.{base64.b64encode(numbers).decode('ascii')}"


def distance(a: str, b: str) -> float:
    """Relative root-mean-square difference of two bases, from their fingerprints.

    Returns:
        0 for identical weights, about 1.4 for unrelated ones.
    Raises:
        LoraFileError: not fingerprints, or of different layers.
    """
    layout_a, numbers_a = _parse(a)
    layout_b, numbers_b = _parse(b)
    if layout_a != layout_b or numbers_a.shape != numbers_b.shape:
        raise LoraFileError(
            "the fingerprints are of different layers, so they cannot be compared: expected the same adapted layers "
            "of the same architecture"
        )
    power = (numbers_a.square().sum() + numbers_b.square().sum()).item() / 2
    return math.sqrt((numbers_a - numbers_b).square().sum().item() / power) if power > 0 else 0.0


def _spread(paths: Sequence[str], count: int) -> list[str]:
    """At most `count` of the paths, evenly spread."""
    if len(paths) <= count:
        return list(paths)
    return [paths[i * len(paths) // count] for i in range(count)]


def _samples(path: str, weight: Tensor, count: int) -> Tensor:
    """Weights from pseudo-random places, [count], float32 on the CPU."""
    stream = hashlib.shake_256(f"{path}|{tuple(weight.shape)}".encode()).digest(8 * count)
    places = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") % weight.numel() for i in range(count)]
    flat = weight.detach().reshape(-1)
    return flat[torch.tensor(places, device=flat.device)].float().cpu()


def _layout(weights: Mapping[str, Tensor]) -> str:
    text = "\n".join(f"{path}|{tuple(weights[path].shape)}" for path in sorted(weights))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse(text: str) -> tuple[str, Tensor]:
    version, _, rest = text.partition(".")
    layout, _, numbers = rest.partition(".")
    try:
        data = base64.b64decode(numbers, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if version != VERSION or len(layout) != 16 or not data or len(data) % 2:
        raise LoraFileError(f"found {text[:40]!r}, expected a fingerprint of version {VERSION}")
    samples = torch.frombuffer(bytearray(data), dtype=torch.float16).double()
    if not torch.isfinite(samples).all():
        raise LoraFileError("the fingerprint has numbers that are not finite: the base it is of is damaged")
    return layout, samples

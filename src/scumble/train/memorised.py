"""Did the LoRA learn a picture by heart? The training picture nearest to each sample picture.

Two pictures are as far apart as the worst of their 4 x 4 tiles (after Carlini et al. 2023, "Extracting Training Data from
Diffusion Models", arXiv:2301.13188, 4.2), so that an equal background does not make them alike. How far apart different
pictures are depends on the folder; the measure is therefore what its own pictures are apart from each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scumble.data.pictures import read_picture
from scumble.data.scan import Example
from scumble.generate.grid import labelled_grid

SIDE_PX, TILES = 64, 4
COPY_SHARE = 0.5
"""A sample that is nearer to a training picture than this share of what those are apart is called a copy."""

MOST_COMPARED = 500
"""Training pictures among which the usual distance is measured; every one is compared with the samples."""

Small = NDArray[np.float32]
"""A picture as [tiles, numbers of a tile], 0..1."""


@dataclass(frozen=True)
class Nearest:
    """The training picture that a sample picture is nearest to.

    Attributes:
        picture: its file.
        distance: root-mean-square difference of the worst tile, 0..1.
        usual: median of the distances of the training pictures to their nearest; None = there is only one.
    """

    picture: Path
    distance: float
    usual: float | None

    @property
    def is_copy(self) -> bool:
        """Whether the sample is much nearer to it than training pictures are to each other."""
        return self.usual is not None and self.distance < COPY_SHARE * self.usual


def nearest_pictures(samples: Sequence[Image.Image], examples: Sequence[Example], is_mirrored: bool) -> list[Nearest]:
    """The nearest training picture of each sample picture.

    Args:
        samples: drawn pictures, RGB.
        examples: the pictures that were trained on.
        is_mirrored: whether they were seen mirrored too.
    """
    drawn = [_small(sample) for sample in samples]
    trained = [_small(read_picture(example.path, example.rule)) for example in examples]
    usual = _usual_distance(trained[:MOST_COMPARED])
    seen = np.stack(trained + ([_mirrored(picture) for picture in trained] if is_mirrored else []))
    found = []
    for sample in drawn:
        distances = _distances(sample, seen)
        nearest = int(distances.argmin())
        found.append(Nearest(examples[nearest % len(examples)].path, float(distances[nearest]), usual))
    return found


def in_words(found: Sequence[Nearest]) -> tuple[str, bool]:
    """A sentence, and whether it is a warning."""
    copies = [nearest for nearest in found if nearest.is_copy]
    if copies:
        names = ", ".join(dict.fromkeys(nearest.picture.name for nearest in copies))
        count = f"{len(copies)} of {len(found)} sample pictures are" if len(found) > 1 else "the sample picture is"
        return (
            f"{count} nearly a copy of a training picture ({names}): nearer than half of what the training pictures are "
            "apart. Fewer steps, a lower rank, more pictures or caption_dropout_rate help; the best LoRA may be an earlier one",
            True,
        )
    closest = min(found, key=lambda nearest: nearest.distance)
    if closest.usual is None:
        return f"the sample pictures' nearest training picture is {closest.distance:.2f} away (0 = the same)", False
    return (
        f"no sample picture is a copy: the nearest to a training picture ({closest.picture.name}) is "
        f"{closest.distance / max(closest.usual, 1e-6):.1f} times as far from it as training pictures are from each other",
        False,
    )


def told(nearest: Nearest) -> dict[str, Any]:
    """As JSON values."""
    return {
        "picture": str(nearest.picture.absolute()),
        "distance": nearest.distance,
        "usual": nearest.usual,
        "is_copy": nearest.is_copy,
    }


def draw_nearest(samples: Sequence[Image.Image], found: Sequence[Nearest], examples: Sequence[Example]) -> Image.Image:
    """Each sample picture above its nearest training picture."""
    rules = {example.path: example.rule for example in examples}
    originals = [read_picture(nearest.picture, rules[nearest.picture]) for nearest in found]
    labels = [f"{nearest.picture.name}: {nearest.distance:.2f}" for nearest in found]
    below = [
        original.resize(sample.size, Image.Resampling.LANCZOS)
        for original, sample in zip(originals, samples, strict=True)
    ]
    return labelled_grid([samples, below], labels, ["sample", "nearest trained"])


def _small(image: Image.Image) -> Small:
    """In few pixels, by a filter that treats left and right alike."""
    small = image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return _tiles(np.asarray(small).astype(np.float32) / np.float32(255))


def _tiles(pixels_HWC: NDArray[np.float32]) -> Small:
    edge = SIDE_PX // TILES
    return pixels_HWC.reshape(TILES, edge, TILES, edge, 3).transpose(0, 2, 1, 3, 4).reshape(TILES**2, -1)


def _mirrored(picture: Small) -> Small:
    edge = SIDE_PX // TILES
    return np.ascontiguousarray(picture.reshape(TILES, TILES, edge, edge, 3)[:, ::-1, :, ::-1]).reshape(picture.shape)


def _distances(picture: Small, others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a picture to each of others, [n]: that of the worst tile."""
    means: Small = np.square(others - picture).mean(axis=2)
    worst: Small = np.sqrt(means.max(axis=1))
    return worst


def _usual_distance(pictures: Sequence[Small]) -> float | None:
    if len(pictures) < 2:
        return None
    stacked = np.stack(pictures)
    nearest = []
    for index, picture in enumerate(pictures):
        distances = _distances(picture, stacked)
        distances[index] = np.inf
        nearest.append(float(distances.min()))
    return median(nearest)

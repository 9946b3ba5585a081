"""Diversity: how far pictures of one prompt are from each other. 0 = collapsed: every seed gives the same picture.

The mean pairwise distance among the pictures of a prompt (DIV of Ruiz et al. 2022, "DreamBooth", arXiv:2208.12242, 4.3).
A LoRA that was trained too long loses it: compare it with the base's.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import torch
from torch import Tensor

from scumble.errors import MetricError
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import pixel_distances, pixels, seen_distances, standard_error

Distances = Callable[[Tensor, Tensor], Tensor]


def measure(subject: Subject) -> Iterator[Event]:
    """Means over the prompts: `diversity` as 1 - cosine of features, `diversity_pixels` as RMS of pixels in 0..1.

    Raises:
        MetricError: there is one seed only.
    """
    num_seeds = len(subject.seeds)
    if num_seeds < 2:
        raise MetricError(
            "one picture of a prompt is as far from itself as it can be: draw more of each (--n, in a sweep --metric-pictures)"
        )
    yield from subject.draw(subject.prompts)
    source = f"{sources.drawn(subject)}, all pairs of one prompt's"
    if subject.eyes is not None:
        said = f"{source}; 1 - cosine of {subject.eyes.said}"
        yield _of("diversity", subject.lora_features, subject.base_features, (seen_distances, num_seeds, said))
    lora, base = pixels(subject.lora_pictures), pixels(subject.base_pictures)
    said = f"{source}; root-mean-square difference of pixels in 0..1"
    yield _of("diversity_pixels", lora, base, (pixel_distances, num_seeds, said))


def _of(name: str, lora_ND: Tensor, base_ND: Tensor, how: tuple[Distances, int, str]) -> Measured:
    distances, num_seeds, said = how
    lora, base = (mean_pairwise(features, num_seeds, distances) for features in (lora_ND, base_ND))
    return Measured(name, float(lora.mean()), "higher", said, standard_error(lora), float(base.mean()))


def mean_pairwise(features_ND: Tensor, num_seeds: int, distances: Distances) -> Tensor:
    """Mean distance among the pictures of each prompt, [prompts].

    Args:
        features_ND: prompt by prompt, each with every seed.
        num_seeds: pictures of a prompt, >= 2.
        distances: of each pair of rows.
    """
    first, second = zip(*combinations(range(num_seeds), 2), strict=True)
    groups = torch.split(features_ND, num_seeds)
    return torch.stack([distances(group[list(first)], group[list(second)]).mean() for group in groups])

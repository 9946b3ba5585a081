"""Similarity to the training pictures: 100 times the mean cosine of what the eyes see in each pair of pictures.

With CLIP it is CLIP-I (Ruiz et al. 2022, "DreamBooth", arXiv:2208.12242, 4.3). High is not always good: a copy of a training
picture has the highest; `nearest` tells the two apart.
"""

from collections.abc import Iterator

from torch import Tensor

from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import directions, standard_error


def measure(subject: Subject) -> Iterator[Event]:
    """`similarity` in -100..100; its spread is that over the drawn pictures.

    Raises:
        MetricError: no eyes, or no training pictures are known.
    """
    trained = subject.trained_features
    yield from subject.draw(subject.prompts)
    lora, base = mean_cosines(subject.lora_features, trained), mean_cosines(subject.base_features, trained)
    seen = f"100 x cosine of {subject.known_eyes.said}"
    said = f"{sources.drawn(subject)}, each with each of {sources.trained(subject)}; {seen}"
    yield Measured("similarity", float(lora.mean()), "higher", said, standard_error(lora), float(base.mean()))


def mean_cosines(drawn_ND: Tensor, trained_MD: Tensor) -> Tensor:
    """Of each drawn picture the mean of 100 x cosine with all training pictures, [N]."""
    return 100 * (directions(drawn_ND) @ directions(trained_MD).T).mean(dim=1)

"""Did it learn pictures by heart? How near the drawn pictures come to a training picture; see `train.memorised`.

The unit is what the training pictures are apart from each other: 1 = as far, below a half = a copy (after Carlini et al. 2023,
arXiv:2301.13188).
"""

from collections.abc import Iterator, Sequence
from itertools import compress

import torch
from PIL import Image

from scumble.errors import MetricError
from scumble.generate.events import Noted
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import standard_error
from scumble.train.memorised import COPY_SHARE, Nearest, nearest_pictures

_ONE_ONLY = "how near is near is measured by what training pictures are apart: it takes two that differ"


def measure(subject: Subject) -> Iterator[Event]:
    """`nearest`, the mean over the pictures, and `copies`, the share of pictures that are copies.

    Raises:
        MetricError: fewer than two training pictures are known, or they are all the same.
    """
    if len(subject.known_training.examples) < 2:
        raise MetricError(_ONE_ONLY)
    yield from subject.draw(subject.prompts)
    lora, base = _nearest(subject, subject.lora_pictures), _nearest(subject, subject.base_pictures)
    source = f"{sources.drawn(subject)}, each beside the nearest of {sources.trained(subject)}"
    far, base_far = _relative(lora), _relative(base)
    said = f"{source}; distance by that of the training pictures to their nearest"
    yield Measured("nearest", float(far.mean()), None, said, standard_error(far), float(base_far.mean()))
    is_copy, base_copy = far < COPY_SHARE, base_far < COPY_SHARE
    said = f"{source}; the share of them that is nearer than {COPY_SHARE:g} times that"
    yield Measured(
        "copies", float(is_copy.float().mean()), "lower", said, standard_error(is_copy), float(base_copy.float().mean())
    )
    if is_copy.any():
        names = dict.fromkeys(near.picture.name for near in compress(lora, is_copy.tolist()))
        yield Noted(f"nearly copies of training pictures were drawn: {', '.join(names)}", warning=True)


def _nearest(subject: Subject, images: Sequence[Image.Image]) -> list[Nearest]:
    training = subject.known_training
    found = nearest_pictures(images, training.examples, training.is_mirrored)
    if not found[0].usual:
        raise MetricError(_ONE_ONLY)
    return found


def _relative(found: Sequence[Nearest]) -> torch.Tensor:
    return torch.tensor([near.distance / near.usual for near in found if near.usual])

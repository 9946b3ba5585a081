"""FID: how far apart two sets of pictures are, as Gaussians (Heusel et al. 2017, arXiv:1706.08500), by torchmetrics.

With few pictures it comes out too large, and the more so the fewer they are (Chong & Forsyth 2020, arXiv:1911.07023): two
values can be compared only where both are of as many pictures. KID has no such bias.
"""

from collections.abc import Iterator

from torch import Tensor

from scumble.errors import MetricError
from scumble.generate.events import Noted
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.peer import AlreadySeen, peer

PEER = "image.fid"
ENOUGH = 10_000
"""Pictures with which its bias is small."""


def measure(subject: Subject) -> Iterator[Event]:
    """`fid` between the drawn pictures and the training pictures; its spread is not known.

    Raises:
        MetricError: no eyes, one picture only, or no torchmetrics.
    """
    trained = subject.trained_features
    peer(PEER)
    _refuse_few(len(subject.prompts) * len(subject.seeds), len(trained))
    yield from subject.draw(subject.prompts)
    value = fid(subject.lora_features, trained)
    base = fid(subject.base_features, trained)
    said = f"{sources.drawn(subject)}, beside {sources.trained(subject)}; {subject.known_eyes.said}"
    yield Measured("fid", value, "lower", said, None, base)
    fewest = min(len(subject.lora_pictures), len(trained))
    if fewest < ENOUGH:
        yield Noted(f"fid of {fewest:,} pictures is too large, and more so the fewer they are: kid is the one to go by")


def fid(drawn_ND: Tensor, trained_MD: Tensor) -> float:
    """The squared Frechet distance of the Gaussians through two sets of features.

    Raises:
        MetricError: one picture in a set, or no torchmetrics.
    """
    _refuse_few(len(drawn_ND), len(trained_MD))
    distance = peer(PEER).FrechetInceptionDistance(AlreadySeen(drawn_ND.shape[1]))
    distance.update(trained_MD, real=True)
    distance.update(drawn_ND, real=False)
    return float(distance.compute())


def _refuse_few(num_drawn: int, num_trained: int) -> None:
    if num_drawn < 2:
        raise MetricError(
            "one drawn picture has no spread: draw more of each prompt (--n, in a sweep --metric-pictures)"
        )
    if num_trained < 2:
        raise MetricError("one training picture has no spread: it takes two")

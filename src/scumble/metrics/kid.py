"""KID: how far apart two sets of pictures are; without bias, so that it can be used with few pictures.

The squared maximum mean discrepancy with a kernel of degree 3 (Binkowski et al. 2018, "Demystifying MMD GANs",
arXiv:1801.01401), by torchmetrics. About 0 = the same, also slightly below; its size depends on the eyes.
"""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from scumble.errors import MetricError
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.peer import AlreadySeen, peer

PEER = "image.kid"
SUBSETS, SEED = 100, 0
LEAST = 4
"""Pictures of a set: half of them are two."""


def measure(subject: Subject) -> Iterator[Event]:
    """`kid` between the drawn pictures and the training pictures.

    Raises:
        MetricError: no eyes, too few pictures, or no torchmetrics.
    """
    trained = subject.trained_features
    peer(PEER)
    _refuse_few(len(subject.prompts) * len(subject.seeds), len(trained))
    yield from subject.draw(subject.prompts)
    value, spread = kid(subject.lora_features, trained)
    base, _ = kid(subject.base_features, trained)
    said = f"{sources.drawn(subject)}, beside {sources.trained(subject)}; {subject.known_eyes.said}"
    yield Measured("kid", value, "lower", said, spread, base)


def kid(drawn_ND: Tensor, trained_MD: Tensor) -> tuple[float, float]:
    """KID and its standard error.

    It is the mean over subsets of half of the smaller set. Drawn without replacement, halves vary by as much as whole sets
    do from one drawing to the next: the deviation between them is the standard error.

    Raises:
        MetricError: fewer than four pictures in a set, or no torchmetrics.
    """
    size = min(len(drawn_ND), len(trained_MD))
    _refuse_few(len(drawn_ND), len(trained_MD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features in memory, which are few
        distance = peer(PEER).KernelInceptionDistance(
            AlreadySeen(drawn_ND.shape[1]), subsets=SUBSETS, subset_size=size // 2
        )
    distance.update(trained_MD.double(), real=True)
    distance.update(drawn_ND.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # torchmetrics chooses its subsets by the generator of the whole program
        mean, deviation = distance.compute()
    return float(mean), float(deviation)


def _refuse_few(num_drawn: int, num_trained: int) -> None:
    if num_drawn < LEAST:
        raise MetricError(
            f"{num_drawn} drawn pictures are too few: it takes {LEAST}; --n {LEAST} draws four of a prompt"
        )
    if num_trained < LEAST:
        raise MetricError(f"{num_trained} training pictures are too few: it takes {LEAST}")

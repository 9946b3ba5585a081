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
"""Pictures of a set: with each left out in turn there are still pairs."""


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
    """KID and its standard error over drawn pictures; the training pictures are what they are.

    It is the mean over subsets of the smaller set's size: of that set all, of the other as many by chance.

    Raises:
        MetricError: fewer than four pictures in a set, or no torchmetrics.
    """
    _refuse_few(len(drawn_ND), len(trained_MD))
    drawn_ND, trained_MD = drawn_ND.double(), trained_MD.double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features in memory, which are few
        distance = peer(PEER).KernelInceptionDistance(
            AlreadySeen(drawn_ND.shape[1]), subsets=SUBSETS, subset_size=min(len(drawn_ND), len(trained_MD))
        )
    distance.update(trained_MD, real=True)
    distance.update(drawn_ND, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # torchmetrics chooses its subsets by the generator of the whole program
        mean, _ = distance.compute()
    return float(mean), jackknife_error(drawn_ND, trained_MD)


def jackknife_error(drawn_ND: Tensor, trained_MD: Tensor) -> float:
    """Standard error of KID over drawn pictures, from leaving out each in turn (Efron & Stein 1981)."""
    n, m = len(drawn_ND), len(trained_MD)
    within_NN, across_NM = _kernel(drawn_ND, drawn_ND).fill_diagonal_(0), _kernel(drawn_ND, trained_MD)
    within_N = (within_NN.sum() - 2 * within_NN.sum(dim=1)) / ((n - 1) * (n - 2))
    across_N = (across_NM.sum() - across_NM.sum(dim=1)) / ((n - 1) * m)
    without_N = within_N - 2 * across_N  # but for what the training pictures are among themselves
    return float(((n - 1) / n * (without_N - without_N.mean()).square().sum()).sqrt())


def _kernel(first_ND: Tensor, second_MD: Tensor) -> Tensor:
    """(x . y / D + 1)^3, [N, M]."""
    kernel: Tensor = (first_ND @ second_MD.T / first_ND.shape[1] + 1) ** 3
    return kernel


def _refuse_few(num_drawn: int, num_trained: int) -> None:
    if num_drawn < LEAST:
        raise MetricError(
            f"{num_drawn} drawn pictures are too few: it takes {LEAST}; draw more of each prompt (--n, in a sweep --metric-pictures)"
        )
    if num_trained < LEAST:
        raise MetricError(f"{num_trained} training pictures are too few: it takes {LEAST}")

"""The other processes of a run: what they do together is to sum the gradient of each step.

Every process holds the whole model and takes its share of a step's batches (data parallelism). The adapter is small, so its
gradient is summed in one piece after the last batch of a step; then every process makes the same update.
"""

import atexit
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import sleep
from typing import Any

import torch
from torch import Tensor, nn

from scumble.errors import ConfigError, ProcessLostError
from scumble.processes import ALONE, Share
from scumble.quantities import counted
from scumble.train.watch import BEAT_SECONDS, GRACE_SECONDS, Watch

FOREVER = timedelta(days=30)
"""The collective operations' own patience: the watch knows better whether somebody is late, and who."""

LAST_WAIT_SECONDS = 60.0
"""How long a process that is done waits at its very end for an answer from one that is ending too."""


class Peers:
    """The processes of a run, seen from one of them.

    Attributes:
        share: which this is.
    """

    def __init__(self, share: Share = ALONE, store: Any | None = None, watch: Watch | None = None) -> None:
        self.share, self._store, self._watch = share, store, watch

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.share.is_main

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter], loss: Tensor) -> Tensor:
        """Replace every gradient by the sum over all processes, and give the sum of the losses.

        Args:
            parameters: of the adapter; those without a gradient in any process stay without.
            loss: of this process's batches, a number.
        Raises:
            ProcessLostError: another process died, or did not come in time.
        """
        if self.share.count == 1:
            return loss
        given = [parameter.grad for parameter in parameters.values()]
        has = torch.tensor([float(gradient is not None) for gradient in given], device=loss.device)
        flat = [
            torch.zeros(parameter.numel(), device=loss.device) if gradient is None else gradient.flatten().float()
            for parameter, gradient in zip(parameters.values(), given, strict=True)
        ]
        summed = self._sum(torch.cat([*flat, has, loss.detach().float().view(1)]))
        numbers = [parameter.numel() for parameter in parameters.values()]
        *gradients, has, total = torch.split(summed, [*numbers, len(numbers), 1])
        for parameter, gradient, anywhere in zip(parameters.values(), gradients, has.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if anywhere else None
        return total[0]

    def as_the_first(self, number: float, device: torch.device) -> float:
        """The number that the first process has, for decisions that all must make alike though GPUs round differently.

        Args:
            number: this process's own.
            device: where this process computes.
        Raises:
            ProcessLostError: another process died, or did not come in time.
        """
        if self.share.count == 1:
            return number
        return float(self._sum(torch.tensor([number if self.is_main else 0.0], dtype=torch.float64, device=device)))

    def wait(self, place: str) -> None:
        """Wait until every process is here.

        Args:
            place: its name; each is used once.
        Raises:
            ProcessLostError: another process died.
        """
        if self._store is None or self._watch is None:
            return
        self._store.set(f"at {place}/{self.share.index}", "1")
        keys = [f"at {place}/{index}" for index in range(self.share.count)]
        while not self._store.check(keys):
            if self._watch.found.is_set():
                raise ProcessLostError(self._watch.words)
            sleep(BEAT_SECONDS / 5)

    def refuse_difference(self, parameters: Mapping[str, nn.Parameter], step: int) -> None:
        """Raise unless every process has the same numbers, and is at the same step.

        Raises:
            ProcessLostError: they differ, or a process is lost.
        """
        if self.share.count == 1:
            return
        sums = torch.stack([parameter.detach().double().sum() for parameter in parameters.values()])
        sums = torch.cat([sums, torch.full_like(sums[:1], step)])
        lowest, highest = self._extremes(sums)
        if not torch.equal(lowest, highest):
            raise ProcessLostError(
                "the processes do not have the same adapter: start all of them with the same settings, pictures, base, "
                "checkpoints and versions"
            )

    def _sum(self, numbers: Tensor) -> Tensor:
        from torch import distributed

        return self._together(numbers, distributed.ReduceOp.SUM)

    def _extremes(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        from torch import distributed

        return (
            self._together(numbers.clone(), distributed.ReduceOp.MIN),
            self._together(numbers.clone(), distributed.ReduceOp.MAX),
        )

    def _together(self, numbers: Tensor, operation: Any) -> Tensor:
        from torch import distributed

        assert self._watch is not None
        device = numbers.device
        if distributed.get_backend() == "gloo":
            numbers = numbers.cpu()
        self._watch.arrive()
        try:
            distributed.all_reduce(numbers, operation)
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # a lost process shows here, while the watch knows that this one waits
        except RuntimeError as error:
            self._watch.go_on()  # it waits no more: the watch need not end it
            raise ProcessLostError(self._watch.why()) from error
        self._watch.go_on()
        return numbers.to(device)


def refuse_shared_gpus(store: Any, share: Share, gpu: str) -> None:
    """Raise where two processes compute on one GPU, which NCCL does not do.

    Args:
        store: that all processes meet at.
        share: which this is.
        gpu: a name of its GPU that no other has.
    Raises:
        ConfigError: another process has the same; all of them raise.
    """
    store.set(f"gpu of {share.index}", gpu)
    taken = [store.get(f"gpu of {index}") for index in range(share.count)]
    several = sorted({each.decode() for each in taken if taken.count(each) > 1})
    if several:
        raise ConfigError(
            f"{share.count} processes have {counted(len(set(taken)), 'GPU')}: several compute on {', '.join(several)}; start as "
            "many processes on a machine as it has GPUs (torchrun --nproc-per-node), and leave device out"
        )


@contextmanager
def joined(share: Share, device: torch.device, timeout: float) -> Iterator[Peers]:
    """Meet the other processes, until the with-block ends; nothing where there is one.

    Args:
        share: which process this is; torchrun's variables say where they meet.
        device: where this one computes.
        timeout: seconds that a step waits for another process.
    Raises:
        ConfigError: there is no GPU of its own for this process.
    """
    if share.count == 1:
        yield Peers()
        return
    from torch import distributed

    backend = "nccl" if device.type == "cuda" and distributed.is_nccl_available() else "gloo"
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(iter(rendezvous("env://", share.index, share.count, timeout=FOREVER)))
    if backend == "nccl":
        refuse_shared_gpus(store, share, f"{socket.gethostname()} {torch.cuda.get_device_properties(device).uuid}")
    watch = Watch(store.clone(), share, timeout)  # it says who this is before anybody waits for it
    distributed.init_process_group(
        backend,
        store=store,
        rank=share.index,
        world_size=share.count,
        timeout=FOREVER,
    )
    watch.start()
    try:
        yield Peers(share, store.clone(), watch)
        watch.leave()
    except ProcessLostError:
        with suppress(RuntimeError):  # where the store is gone too, there is nobody to tell
            watch.leave(GRACE_SECONDS)
        raise
    finally:
        watch.ended.set()
        watch.join(BEAT_SECONDS + GRACE_SECONDS)
        if watch.is_alive():  # a thread that Python's end meets within torch takes the process down
            atexit.register(watch.join, LAST_WAIT_SECONDS)
    distributed.destroy_process_group()  # not after an error: it would wait for those that are lost

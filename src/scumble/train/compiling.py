"""Compiling the blocks that a denoiser repeats: when it pays, what it cost and what it brought.

It is worth a GPU's while in long runs alone. So the first steps are timed as they are; where the steps that are left would
save more than compiling takes, the blocks are compiled in mid-run, and where they turn out no faster, taken back.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch
from torch import nn

from scumble.adapters.pack import Storage
from scumble.config import TrainingConfig
from scumble.errors import ConfigError, ScumbleError
from scumble.generate.events import Noted
from scumble.quantities import duration

MOST_GRAPHS = 64
"""Graphs of one block's code: each width and size of the blocks has its own, with and without gradient."""

SAVED, COST_SECONDS, MARGIN = 0.15, 60.0, 2.0
"""What compiling is taken to save of a step, what it is taken to cost, and how much more must be saved than that."""

SETTLING, TIMED = 3, 8
"""Steps that are not timed, because something is done for the first time in them, and steps that are."""


def refuse_compiling(train: TrainingConfig, device: torch.device) -> None:
    """Raise where compiling was asked for and cannot help, or cannot be done.

    Args:
        train: the settings.
        device: where the denoiser runs.
    Raises:
        ConfigError: on a CPU, without Triton, which makes a GPU's code, or with weights that come a layer at a time.
    """
    if not train.torch_compile:
        return
    if device.type == "cpu":
        raise ConfigError("torch_compile on a CPU takes longer than it saves: leave it out")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("torch_compile needs Triton, which is not installed: pip install triton, or leave it out")
    if train.group_offload:
        raise ConfigError(
            "torch_compile saves nothing with group_offload: between layers that come one by one nothing can be put together; "
            "leave one of them out"
        )


def may_compile(train: TrainingConfig, device: torch.device, storage: Storage) -> bool:
    """Whether blocks may be compiled unasked: on a GPU, with all that takes, where numbers need not be the same to the bit."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    is_possible = device.type == "cuda" and compiler is not None and importlib.util.find_spec("triton") is not None
    return is_possible and train.torch_compile is None and storage.is_plain and not train.deterministic


def compile_blocks(denoiser: nn.Module, backend: str = "inductor") -> int:
    """Compile the blocks that a denoiser repeats, so that their code is compiled once, not the whole model's.

    Args:
        denoiser: with its adapters on it.
        backend: of torch.compile.
    Returns:
        How many there are.
    Raises:
        ConfigError: this denoiser does not say which blocks it repeats.
    """
    blocks = _repeated(denoiser)
    if not blocks:
        raise ConfigError(
            "torch_compile: this denoiser does not say which of its blocks repeat; leave torch_compile out"
        )
    limits = torch._dynamo.config
    limits.cache_size_limit = max(MOST_GRAPHS, limits.cache_size_limit)  # called recompile_limit too since torch 2.7
    options = {"fallback_random": True} if backend == "inductor" else None  # dropout leaves out what it would otherwise
    for block in blocks:
        block.compile(backend=backend, options=options)
    return len(blocks)


def run_as_written(denoiser: nn.Module) -> None:
    """Take compiled blocks back."""
    for module in denoiser.modules():
        module._compiled_call_impl = None


@contextmanager
def as_written(denoiser: nn.Module) -> Iterator[None]:
    """Let blocks run as they are written until the with-block ends: for a few passes of another kind compiling is no gain."""
    compiled = [(module, module._compiled_call_impl) for module in denoiser.modules()]
    run_as_written(denoiser)
    try:
        yield
    finally:
        for module, implementation in compiled:
            module._compiled_call_impl = implementation


def _repeated(denoiser: nn.Module) -> list[nn.Module]:
    repeated = set(getattr(denoiser, "_repeated_blocks", ()))
    return [module for module in denoiser.modules() if type(module).__name__ in repeated]


class Compiling:
    """Watches the steps of a run.

    Args:
        denoiser: whose blocks are, or may be, compiled.
        is_compiled: they are from the first step on.
        is_open: they may be compiled later.
        backend: of torch.compile.
    """

    def __init__(self, denoiser: nn.Module, is_compiled: bool, is_open: bool, backend: str = "inductor") -> None:
        self._denoiser, self._backend = denoiser, backend
        self._is_watching = is_compiled or (is_open and bool(_repeated(denoiser)))
        self._is_compiled = is_compiled
        self._before: float | None = None
        self._times: list[float] = []

    def after_step(self, seconds: float, steps_left: int) -> Iterator[Noted]:
        """Look at a step that is done; compile where that pays, and say so.

        Args:
            seconds: that it took.
            steps_left: of the run.
        """
        if not self._is_watching:
            return
        self._times.append(seconds)
        if len(self._times) < SETTLING + TIMED:
            return
        times, self._times = self._times, []
        usual = median(times[SETTLING:])
        if self._is_compiled:
            self._is_watching = False
            yield self._outcome(usual, sum(times[:SETTLING]) - SETTLING * usual)
        elif SAVED * usual * steps_left >= MARGIN * COST_SECONDS:
            yield self._begin(usual, steps_left)
        else:
            self._is_watching = False

    def gave_up(self, error: Exception) -> Noted | None:
        """What to say where blocks that were compiled unasked do not run, and run as they are written from then on.

        Args:
            error: that a step ended with; None is said of one that has nothing to do with it.
        """
        is_unasked = self._is_compiled and self._before is not None
        if not is_unasked or isinstance(error, ScumbleError):
            return None
        self._take_back()
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Noted(
            f"compiled blocks do not run here ({first[:200]}): taken back, and the step is made again", warning=True
        )

    def _begin(self, usual: float, steps_left: int) -> Noted:
        count = compile_blocks(self._denoiser, self._backend)
        self._before, self._is_compiled = usual, True
        return Noted(
            f"{count} blocks are compiled now, because about {duration(usual * steps_left)} of steps are left: the next ones "
            "take longer, those after them are shorter (--no-torch-compile leaves that out)"
        )

    def _outcome(self, usual: float, cost: float) -> Noted:
        said = f"compiling took {duration(max(0.0, cost))}; a step takes {usual:.3g} s"
        if self._before is None:
            return Noted(said)
        said += f" instead of {self._before:.3g} s"
        if usual < self._before:
            return Noted(said)
        self._take_back()
        return Noted(f"{said}, which is no gain: taken back")

    def _take_back(self) -> None:
        self._is_watching = self._is_compiled = False
        run_as_written(self._denoiser)

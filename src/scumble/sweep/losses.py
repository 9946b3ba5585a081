"""What a cell's best LoRA loses on each sample of the validation set, with the file read back, as people will have it."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from scumble.config import AdapterConfig
from scumble.train.going_on import read_init
from scumble.train.material import prepare_material
from scumble.train.plan import Plan
from scumble.train.start import start_session
from scumble.train.validation import measure

Result = TypeVar("Result")


def sample_losses(plan: Plan, lora: Path) -> tuple[float, ...]:
    """The mean squared error of each validation sample; in every cell of a sweep the samples are the same.

    Args:
        plan: of the cell.
        lora: a file of its own.
    """
    init = read_init(lora, plan.base, allow_partial=False)
    # the file has its own layers, and nothing of it is left out by chance
    read_back = replace(
        plan, init=init, layers=tuple(init.layers), config=plan.config.model_copy(update={"adapter": AdapterConfig()})
    )
    material = _result(prepare_material(plan, None, ()))
    session = _result(start_session(read_back))
    return tuple(measure(session, material.held_out).losses.tolist())


def _result(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns at its end; what it tells on the way was told by the training."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result

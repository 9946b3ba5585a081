"""The LoRA files that a run ends with, and whose numbers each has."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from scumble.files.lorafile import LoraFile
from scumble.train.evaluated import evaluated, trained
from scumble.train.keep import Keeper
from scumble.train.plan import Plan
from scumble.train.runfolder import RunFolder
from scumble.train.session import Session

OTHER = {"average": "last", "last": "average"}
"""What the run's own file holds, where an average is kept -> what the file beside it holds."""


class Result(NamedTuple):
    """A file to write: where, what, and the step it is of."""

    path: Path
    lora: LoraFile
    step: int


def exported(plan: Plan, session: Session) -> Mapping[str, Tensor]:
    """The numbers of the run's own file."""
    return trained(session) if plan.config.optimizer.ema_export == "last" else evaluated(session)


def results(plan: Plan, run: RunFolder, session: Session, keeper: Keeper) -> dict[str, Result]:
    """The LoRA, the best one, and where an average is kept the other of average and last step, by what they are."""
    step, best_step = session.step, session.best_step
    files = {
        "LoRA": Result(run.lora, keeper.lora_of(session, step, exported(plan, session)), step),
        "best LoRA": Result(run.best_lora, keeper.lora_of(session, best_step, session.best), best_step),
    }
    export = plan.config.optimizer.ema_export
    if export is not None:
        other = OTHER[export]
        numbers = trained(session) if other == "last" else evaluated(session)
        lora = keeper.lora_of(session, step, numbers)
        files[f"{other} LoRA"] = Result(run.other_lora(other), lora, step)
    return files

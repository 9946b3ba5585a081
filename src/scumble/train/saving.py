"""What a run writes while it goes on, and before it ends otherwise than well."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scumble.errors import DataError, DivergedError, ProcessLostError, ScumbleError
from scumble.files.read import write_lora
from scumble.train.checkpoint import write_checkpoint
from scumble.train.curves import Bands, draw_curves
from scumble.train.disk import write_png
from scumble.train.identity import identity
from scumble.train.keep import PRECISIONS, Keeper
from scumble.train.plan import Plan
from scumble.train.recovery import checkpoint_contents
from scumble.train.runfolder import RunFolder, write_json
from scumble.train.session import Session
from scumble.train.validation import band_names


def save_lora(plan: Plan, run: RunFolder, session: Session, keeper: Keeper) -> Path:
    """The LoRA of this step.

    Raises:
        DivergedError: a number of it is not finite.
    """
    session.refuse_non_finite()
    path = run.lora_at(session.step)
    output = plan.config.output
    write_lora(keeper.lora_of(session, session.step), path, output.format, PRECISIONS[output.save_precision])
    return path


def save_checkpoint(plan: Plan, run: RunFolder, session: Session) -> Path:
    """What a resumed run goes on from.

    Raises:
        DivergedError: a number of the adapter is not finite.
    """
    session.refuse_non_finite()
    tensors, state = checkpoint_contents(session, plan.config.training.on_nan)
    keep, attempt = plan.config.output.checkpoints_total_limit, len(session.faults.returns)
    state["identity"] = identity(plan)
    return write_checkpoint(run.checkpoints, session.step, tensors, state, keep, attempt=attempt)


def write_curves(plan: Plan, run: RunFolder, session: Session) -> None:
    """The losses so far, as numbers and as a picture."""
    bands: Bands = {"timesteps": band_names(len(session.objective.alpha_bars)), "losses": session.bands}
    write_json(run.history, {"history": session.history, "validations": session.validations, "bands": bands})
    write_png(run.curves, draw_curves(session.history, session.validations, session.best_step, plan.name, bands))


@contextmanager
def saved_at_the_end(plan: Plan, run: RunFolder, session: Session) -> Iterator[None]:
    """Save what was done where the steps inside end before the last one; between two of them the session is whole."""
    try:
        yield
    except (GeneratorExit, ProcessLostError):
        save_checkpoint(plan, run, session)
        write_curves(plan, run, session)
        raise
    except (OSError, DataError):  # a picture or an entry of the cache cannot be read, or nothing can be written
        with suppress(OSError, ScumbleError):
            save_checkpoint(plan, run, session)
        raise
    except DivergedError:
        write_curves(plan, run, session)
        raise

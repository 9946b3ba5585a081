"""What a run does about a number that is not finite: stop, leave the step out, or go back and learn slower.

The good state that it goes back to is that of the newest validation: its loss was finite. One is kept, in the computer's
own memory. Where going back changes what follows, checkpoints hold it too, so that a resumed run goes back to the same.
"""

import copy
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from scumble.errors import DivergedError
from scumble.generate.events import Noted
from scumble.train.checkpoint import Checkpoint
from scumble.train.session import GoodState, Session

OnNan = Literal["stop", "skip", "rollback"]
MOST_IN_A_ROW = 5
"""Steps left out one after another, or returns to one state, before a run gives up."""
GOOD = "good-"


def keep_good(session: Session, on_nan: OnNan) -> None:
    """Keep the present state, if it was just validated, to go back to."""
    is_validated = bool(session.validations) and session.validations[-1][0] == session.step
    if on_nan != "stop" and is_validated and (session.good is None or session.good.step != session.step):
        session.good = _state_of(session)


def recover(session: Session, error: DivergedError, on_nan: OnNan) -> Noted:
    """Make the session one that can go on.

    Args:
        session: in which a number was not finite.
        error: says which, and the step to blame.
        on_nan: what to do.
    Returns:
        What was done, in words.
    Raises:
        DivergedError: nothing may or can be done.
    """
    if on_nan == "stop" or session.good is None or error.step is None:
        raise error
    return _leave_out(session, error) if on_nan == "skip" else _go_back(session, error)


def _leave_out(session: Session, error: DivergedError) -> Noted:
    step, faults = error.step, session.faults
    assert step is not None
    if step in faults.skipped:
        raise _given_up(error, f"step {step} was left out already", "rollback")
    if faults.skipped_in_a_row(step) >= MOST_IN_A_ROW:
        raise _given_up(error, f"{MOST_IN_A_ROW} steps in a row were left out before", "rollback")
    faults.skipped.add(step)
    if session.step < step and session.is_finite():  # noticed before the adapter moved
        return Noted(f"{error.found}: step {step} is left out", warning=True)
    good = _restore_good(session)
    faults.returns.append((step, good.step))
    return Noted(f"{error.found}: back to step {good.step}, and step {step} is left out", warning=True)


def _go_back(session: Session, error: DivergedError) -> Noted:
    faults, good = session.faults, session.good
    assert good is not None
    assert error.step is not None
    if faults.returns_to(good.step) >= MOST_IN_A_ROW:
        raise _given_up(error, f"the run went back to step {good.step} {MOST_IN_A_ROW} times in a row", "skip")
    _restore_good(session)
    faults.returns.append((error.step, good.step))
    faults.rate_factor /= 2
    return Noted(
        f"{error.found}: back to step {good.step}, and on at {faults.rate_factor:g} of the learning rate", warning=True
    )


def _given_up(error: DivergedError, done: str, other: str) -> DivergedError:
    message = f"{error.found}, and {done}: stopped; a lower learning rate or on_nan {other} may help"
    return DivergedError(message, error.found, error.step)


def _state_of(session: Session) -> GoodState:
    tensors = {
        group: {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
        for group, named in session.tensors().items()
    }
    return GoodState(session.step, tensors, copy.deepcopy(session.state()))


def _restore_good(session: Session) -> GoodState:
    good, faults = session.good, session.faults
    assert good is not None
    session.optimizer.zero_grad(set_to_none=True)
    session.optimizer.state.clear()
    session.restore(good.step, good.tensors, good.state)
    session.faults, session.good = faults, good  # what happened stays on record
    return good


def checkpoint_contents(session: Session, on_nan: OnNan) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What a checkpoint of the session holds: groups of tensors, and JSON values."""
    tensors, state, good = session.tensors(), session.state(), session.good
    if on_nan != "rollback" or good is None or good.step == session.step:
        return tensors, state
    kept = {f"{GOOD}{group}": dict(named) for group, named in good.tensors.items()}
    return {**tensors, **kept}, {**state, "good": {"step": good.step, **good.state}}


def restore_checkpoint(session: Session, checkpoint: Checkpoint, on_nan: OnNan) -> None:
    """Become the session that the checkpoint was written from."""
    session.restore(checkpoint.step, checkpoint.tensors, checkpoint.state)
    if on_nan == "stop":
        return
    state: Mapping[str, Any] | None = checkpoint.state.get("good")
    if state is None:
        session.good = _state_of(session)
        return
    tensors = {group.removeprefix(GOOD): named for group, named in checkpoint.tensors.items() if group.startswith(GOOD)}
    session.good = GoodState(int(state["step"]), tensors, state)

"""A dry run of training: the card of its plan, and what a run in miniature says it will cost."""

from collections.abc import Iterator
from time import monotonic

from scumble.check.forecast import forecast
from scumble.check.probe import MEASURING, probe
from scumble.check.words import cost_words
from scumble.config import TrainConfig
from scumble.generate.events import Noted
from scumble.train.events import Event, Planned
from scumble.train.loop import announced
from scumble.train.plan import make_plan


def dry_run(config: TrainConfig, is_measured: bool, started: float) -> Iterator[Event]:
    """Plan a training and say what it will cost; nothing is written.

    Args:
        config: the settings.
        is_measured: run it in miniature.
        started: when the command began, by the monotonic clock: a run imports and plans too.
    Yields:
        Noted, Planned.
    Raises:
        ScumbleError: what training would end with.
    """
    plan = make_plan(config)
    seconds = monotonic() - started
    yield from announced(plan)
    if is_measured and plan.share.count > 1:
        yield Noted(
            "of several processes nothing is measured: try it with one, and train_batch_size divided by their number"
        )
    elif is_measured:
        yield Noted(f"{MEASURING}: {plan.base.name} on {plan.device}")
        foretold = forecast(plan, probe(plan), seconds)
        yield Planned("What it will cost, measured", dict(cost_words(foretold)))

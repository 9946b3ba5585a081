"""What a run learnt, in words: the held-out loss and how sure that is, overfitting, copies, and the proof of its file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scumble.report.course import Validation
from scumble.report.told import Said, Told
from scumble.train.journal import MEMORISED, OVERFITTING, PROOF

CERTAIN = 2.0
"""Standard errors from which on a difference is no chance."""

OVERFITTED = "learnt, then overfitted"
"""The verdict on a run whose best LoRA is surely better than its last."""

COPIES = "copies"
"""What the statement is about that says whether sample pictures are copies of training pictures."""

Kind = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True)
class Statement:
    """One thing that is said of a run: on what, in words, and how it stands."""

    about: str
    words: str
    kind: Kind = "plain"


@dataclass(frozen=True)
class Verdict:
    """All of it.

    Attributes:
        word: the whole in a word or two.
        kind: how it stands.
        statements: in the order of their weight.
    """

    word: str
    kind: Kind
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Difference:
    """How the loss of one validation differs from that of an earlier one.

    Attributes:
        share: change of the loss, relative to the earlier one.
        errors: the mean of the differences of the samples, in its standard errors; None = not known.
        num_samples: that both measured.
    """

    share: float
    errors: float | None
    num_samples: int

    @property
    def is_sure(self) -> bool:
        """Whether it is more than chance."""
        return self.errors is not None and abs(self.errors) >= CERTAIN


def difference(earlier: Validation, later: Validation) -> Difference:
    """Compare two validations sample by sample: the samples are the same, so the chance is much smaller than in their means."""
    share = later.loss / earlier.loss - 1 if earlier.loss else 0.0
    pairs = list(zip(earlier.losses, later.losses, strict=False))
    if len(pairs) < 2 or len(earlier.losses) != len(later.losses):
        return Difference(share, None, 0)
    changes = [after - before for before, after in pairs]
    error = stdev(changes) / math.sqrt(len(changes))
    mean = fmean(changes)
    return Difference(share, mean / error if error else math.copysign(math.inf, mean) if mean else 0.0, len(changes))


def verdict_of(told: Told) -> Verdict:
    """What there is to say of a run, as far as it came."""
    statements = (
        *_ended(told),
        _loss(told),
        _overfitting(told),
        _said(COPIES, told.verdicts.get(MEMORISED), _no_copies(told)),
        _said("proof of the file", told.verdicts.get(PROOF), _no_proof(told), is_good=True),
    )
    word, kind = _whole(told)
    return Verdict(word, kind, statements)


def _whole(told: Told) -> tuple[str, Kind]:
    state, best, validations = told.run.state, told.course.best, told.course.validations
    if state in {"diverged", "failed"}:
        return state, "bad"
    if best is None or len(validations) < 2:
        return ("not known yet" if state in {"running", "stopped", "killed"} else "not measured"), "plain"
    if best.step == validations[0].step:
        return "nothing learnt", "bad"
    if _overfits(told):
        return OVERFITTED, "warn"
    if not difference(validations[0], best).is_sure and best.losses:
        return "perhaps learnt", "warn"
    return ("learnt" if state == "finished" else "learnt so far"), "good"


def _ended(told: Told) -> Iterator[Statement]:
    run = told.run
    of = f"step {run.step} of {'?' if run.num_steps is None else run.num_steps}"
    match run.state:
        case "finished":
            if run.num_steps is not None and run.step < run.num_steps:
                yield Statement("end", f"stopped early at {of}: validations were no better for too long")
        case "running":
            yield Statement("end", f"still running, at {of}: this page is what is known so far", "warn")
        case "stopped":
            yield Statement("end", f"stopped at {of}, and saved: the run can go on from there", "warn")
        case "killed":
            yield Statement("end", f"ended without a word at {of}: the process was killed, or lost its machine", "warn")
        case state:
            yield Statement("end", f"{state} at {of}: {run.ended_by}", "bad")


def what_was_measured(told: Told) -> str:
    """How the validation loss is called: the held-out loss only where pictures were held out."""
    return "loss at fixed noise of the training pictures" if told.is_held_out is False else "held-out loss"


def _loss(told: Told) -> Statement:
    name, validations, best = what_was_measured(told), told.course.validations, told.course.best
    if best is None:
        return Statement(name, "no validation was made, so what was learnt has no number")
    first, last = validations[0], validations[-1]
    if len(validations) == 1:
        return Statement(name, f"{first.loss:.4f} at step {first.step}; nothing to compare it with yet")
    if best.step == first.step:
        return Statement(name, f"never below the {first.loss:.4f} of step {first.step}: the LoRA learnt nothing", "bad")
    found = difference(first, best)
    words = (
        f"{first.loss:.4f} before, {best.loss:.4f} at best (step {best.step}, {found.share:+.1%})"
        + (f", {last.loss:.4f} at last (step {last.step})" if last.step != best.step else ", which is the last")
        + f". {_how_sure(found)}"
        + (_not_held_out() if told.is_held_out is False else "")
    )
    return Statement(name, words, "good" if found.is_sure or found.errors is None else "warn")


def _how_sure(found: Difference) -> str:
    if found.errors is None:
        return "How sure that is cannot be said: the run did not keep the losses of the single samples"
    over = f"over {found.num_samples} pairs of a picture and a noise, the same before and after"
    size = "all alike" if math.isinf(found.errors) else f"{abs(found.errors):.1f} standard errors"
    if found.is_sure:
        seen = "whether it can be seen, sample pictures or scumble compare tell"
        return f"That is no chance: the mean difference is {size} from none, {over}; {seen}"
    return f"That may be chance: the mean difference is only {size} from none, {over}"


def _not_held_out() -> str:
    return ". It is measured on pictures that were trained on, because too few are there to hold some out"


def _overfits(told: Told) -> bool:
    """Whether the loss rose for sure after its best: as the run said itself, else by its validations."""
    said = told.verdicts.get(OVERFITTING)
    best, last = told.course.best, told.course.validations[-1]
    if said is not None:
        return said.is_warning
    return told.is_held_out is True and best is not None and best.step < last.step and difference(best, last).is_sure


def _overfitting(told: Told) -> Statement:
    about, best, validations = "overfitting", told.course.best, told.course.validations
    if told.is_held_out is False:
        return Statement(about, "cannot be seen: no pictures are held out")
    if best is None or len(validations) < 2:
        return Statement(about, "cannot be seen: there are not two validations to compare")
    said = told.verdicts.get(OVERFITTING)
    if said is not None:
        return Statement(about, said.text.removeprefix(f"{about}: "), "warn" if said.is_warning else "good")
    last = validations[-1]
    if best.step == last.step:
        return Statement(about, "none seen: the held-out loss was lowest at the last validation", "good")
    found = difference(best, last)
    rise = f"since step {best.step} the held-out loss has risen by {found.share:.1%}"
    if found.errors is None:
        return Statement(about, f"{rise}; whether that is chance cannot be said", "warn")
    if found.is_sure:
        return Statement(about, f"{rise}, which is no chance: take the best LoRA, or train fewer steps", "warn")
    return Statement(about, f"{rise}, which may be chance: the last LoRA and the best are as good", "good")


def _said(about: str, said: Said | None, instead: str, is_good: bool = False) -> Statement:
    if said is None:
        return Statement(about, instead)
    kind: Kind = "warn" if said.is_warning else "good"
    return Statement(about, said.text.removeprefix("proved: ") if is_good else said.text, kind)


def _no_copies(told: Told) -> str:
    if told.setting("validation", "validation_prompt") is None:
        return "not looked at: no sample pictures were drawn (--validation-prompt asks for them)"
    if told.run.state != "finished":
        return "not looked at yet: that comes with the sample pictures of the last step"
    return "not looked at in this run"


def _no_proof(told: Told) -> str:
    if told.run.state != "finished":
        return "not proved yet: that comes at the end of the run"
    return "this run kept no word of it; scumble verify looks at the file"

"""What a run says of itself at its end: whether it overfitted, and whether its samples are copies of its pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from scumble.generate.events import Noted
from scumble.train.disk import write_png
from scumble.train.evaluated import evaluating, holding
from scumble.train.journal import MEMORISED, OVERFITTING
from scumble.train.material import Material
from scumble.train.memorised import draw_nearest, in_words, nearest_pictures, told
from scumble.train.overfitting import overfitting_in_words
from scumble.train.plan import Plan
from scumble.train.runfolder import write_json
from scumble.train.session import Session
from scumble.train.validation import measure

MANY = 0.05
"""Share of steps that may do nothing in float16 without being worth a warning: a few are, each time the scale is raised."""


def verdicts(plan: Plan, session: Session, material: Material) -> Iterator[Noted]:
    """What is to be said at the end of a run."""
    overflowed = session.faults.overflowed
    if overflowed:
        advice = "; mixed_precision bf16 or a lower learning rate helps" if overflowed > MANY * session.step else ""
        yield Noted(
            f"{overflowed} of {session.step} steps did nothing, because their gradient was beyond float16{advice}",
            warning=bool(advice),
        )
    overfits = _overfitted(plan, session, material)
    if overfits is not None:
        yield overfits


def _overfitted(plan: Plan, session: Session, material: Material) -> Noted | None:
    """What the held-out pictures say of the steps after the best one; None where there is nothing to say."""
    if not plan.split.held_out or session.best_step >= session.step:
        return None
    with evaluating(session):
        last = measure(session, material.held_out)
    with holding(session, session.best):
        best = measure(session, material.held_out)
    said = overfitting_in_words(best, last, session.best_step, session.step)
    return None if said is None else Noted(said[0], warning=said[1], about=OVERFITTING)


def memorised(plan: Plan, images: Sequence[Image.Image], path: Path) -> Noted:
    """Whether sample pictures are copies of training pictures.

    Args:
        plan: the run.
        images: the sample pictures.
        path: where they are drawn above their nearest; the JSON file of that name tells the distances.
    """
    examples = [plan.scan.examples[index] for index in plan.split.training]
    found = nearest_pictures(images, examples, plan.config.data.random_flip)
    write_png(path, draw_nearest(images, found, examples))
    words, is_warning = in_words(found)
    write_json(path.with_suffix(".json"), {"nearest": [told(nearest) for nearest in found]})
    return Noted(f"{words} (see {path.name})", warning=is_warning, about=MEMORISED)

"""What each part of a run took, by the times of its events."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from scumble.train.events import Event, Finished, Prepared, Sampled, Saved, Stepped, Validated

Timed = tuple[Event, float]
"""An event, and the seconds from the start of the run to it."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a run.

    Attributes:
        classes: drawing a batch of class pictures.
        first_latents: loading the autoencoder, and encoding one picture.
        latents: each picture after that.
        first_text: loading the text encoder, and encoding one caption.
        text: each caption after that.
        start: loading the denoiser and putting the adapter on it.
        validation: the loss at fixed noise, of the pictures that there were.
        lora: writing a LoRA.
        checkpoint: writing a checkpoint.
        samples: drawing one sample picture.
        finish: the files of the end, and their proof.
        steps: of each optimizer step but the first.
        total: of the run, from its first event to its last.
    """

    classes: float = 0.0
    first_latents: float = 0.0
    latents: float = 0.0
    first_text: float = 0.0
    text: float = 0.0
    start: float = 0.0
    validation: float = 0.0
    lora: float = 0.0
    checkpoint: float = 0.0
    samples: float = 0.0
    finish: float = 0.0
    steps: tuple[float, ...] = ()
    total: float = 0.0


def costs_of(timed: Sequence[Timed]) -> Costs:
    """The parts of a run that went to its end.

    Args:
        timed: all its events; validations at step 0 and at the last one, a checkpoint before that.
    """
    at_classes, at_latents, at_texts = (_prepared(timed, what) for what in ("class pictures", "latents", "text states"))
    validated = [at for event, at in timed if isinstance(event, Validated)]
    last_step = max(at for event, at in timed if isinstance(event, Stepped))
    validation = validated[-1] - last_step
    after_prior = at_classes[-1] if at_classes else 0.0
    after_latents = at_latents[-1] if at_latents else after_prior
    sampled = [(before[1], at) for before, (event, at) in pairwise(timed) if isinstance(event, Sampled)]
    finished = next(at for event, at in timed if isinstance(event, Finished))
    steps = _gaps(timed, lambda event: isinstance(event, Stepped) and event.step > 1)
    return Costs(
        classes=max([after_prior, *(later - earlier for earlier, later in pairwise(at_classes))]),
        first_latents=at_latents[0] - after_prior if at_latents else 0.0,
        latents=_middle(later - earlier for earlier, later in pairwise(at_latents)),
        first_text=at_texts[0] - after_latents,
        text=_middle(later - earlier for earlier, later in pairwise(at_texts)),
        start=max(0.0, validated[0] - at_texts[-1] - validation),
        validation=validation,
        lora=_gaps(timed, lambda event: isinstance(event, Saved) and event.what == "LoRA")[0],
        checkpoint=_gaps(timed, lambda event: isinstance(event, Saved) and event.what == "checkpoint")[0],
        samples=sampled[-1][1] - sampled[-1][0] if sampled else 0.0,
        finish=finished - max(validated[-1], sampled[-1][1] if sampled else 0.0),
        steps=tuple(steps),
        total=finished,
    )


def _prepared(timed: Sequence[Timed], what: str) -> list[float]:
    return [at for event, at in timed if isinstance(event, Prepared) and event.what == what]


def _gaps(timed: Sequence[Timed], is_wanted: Callable[[Event], bool]) -> list[float]:
    """Seconds since the event before, of each one that is wanted."""
    return [at - before for (_, before), (event, at) in pairwise(timed) if is_wanted(event)]


def _middle(seconds: Iterable[float]) -> float:
    found = list(seconds)
    return median(found) if found else 0.0

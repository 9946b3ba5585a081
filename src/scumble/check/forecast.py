"""What a training on these pictures would do and cost: steps, batches, cache, memory, time."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.check.estimate import Estimate, estimate
from scumble.check.miniature import PICTURES
from scumble.check.probe import Probe, resident_bytes
from scumble.config import CheckConfig, TrainConfig, from_values
from scumble.data.buckets import Size
from scumble.families.find import DEFAULT_BASE
from scumble.train.cuts import Cut
from scumble.train.lint_remarks import lint_remarks
from scumble.train.picture_remarks import picture_remarks
from scumble.train.plan import Plan

BYTES_OF_A_NUMBER = 4


@dataclass(frozen=True)
class BucketPlan:
    """Pictures that are cut to one size.

    Attributes:
        size: width and height in pixels.
        pictures: that are trained on.
        batches: forward passes that an epoch needs for them, with their repeats, and the class pictures among them.
    """

    size: Size
    pictures: int
    batches: int


@dataclass(frozen=True)
class Forecast:
    """A training, looked ahead to.

    Attributes:
        base: by name.
        device: where the denoiser would run.
        steps: optimizer steps.
        pictures_a_step: of an optimizer step.
        class_share: share of the samples that are class pictures; 0 = there are none.
        epochs: passes over the pictures.
        training: pictures that are trained on.
        held_out: pictures that are held out for validation.
        buckets: the pictures that are trained on by size, the most frequent first.
        cache_bytes: of latents and text states, on the disk.
        trainable: numbers in the adapter.
        notes: what training would tell besides, but for what the findings tell too.
        probe: what its miniature said, where there was one.
        estimate: what the whole run takes by that; None = there are no figures.
        kept_bytes: of what this process holds and its miniature did not: latents, text states, and what planning left.
    """

    base: str
    device: str
    steps: int
    pictures_a_step: int
    class_share: float
    epochs: float
    training: int
    held_out: int
    buckets: tuple[BucketPlan, ...]
    cache_bytes: int
    trainable: int
    notes: tuple[str, ...]
    probe: Probe | None
    estimate: Estimate | None
    kept_bytes: int

    @property
    def seconds(self) -> float | None:
        """Of the whole run; None where it was not measured."""
        return None if self.estimate is None else self.estimate.step_seconds + self.estimate.other_seconds

    @property
    def peak_bytes(self) -> int | None:
        """Of memory at most: on a GPU of tensors, elsewhere of the process, which holds the latents; None = not measured."""
        if self.probe is None or self.estimate is None:
            return None
        return self.probe.peak_bytes + (self.kept_bytes if self.device == "cpu" else 0)


def train_config(config: CheckConfig, base: str | None) -> TrainConfig:
    """The settings of the training that is looked ahead to.

    Args:
        config: with the folder of pictures.
        base: folder of the base where none is named.
    """
    values = config.model_dump(exclude={"report"})
    if base is not None:
        values["model"]["base"] = base
    return from_values(TrainConfig, values)


def base_here() -> str | None:
    """The folder of the usual base in the hub's cache, or None; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(DEFAULT_BASE, "model_index.json")
    return str(Path(found).parent) if isinstance(found, str) else None


def forecast(plan: Plan, probe: Probe | None, planning_seconds: float = 0.0) -> Forecast:
    """What the plan of a training says, and what its miniature said.

    Args:
        plan: the training.
        probe: its miniature, where there was one.
        planning_seconds: it took to plan.
    """
    train = plan.config.training
    a_step = train.samples_a_step
    class_share = plan.config.prior.prior_share or 0.0
    cache_bytes = _cache_bytes(plan, [plan.cuts[index] for index in plan.encoded], plan.cuts)
    seen = sum(plan.cuts[index][0].repeats for index in plan.split.training)
    return Forecast(
        plan.base.name,
        str(plan.device),
        plan.num_steps,
        a_step,
        class_share,
        plan.num_steps * a_step * (1 - class_share) / seen,
        len(plan.split.training),
        len(plan.split.held_out),
        tuple(_buckets(plan)),
        cache_bytes,
        plan.trainable,
        tuple(_notes(plan)),
        probe,
        None if probe is None or probe.problem else estimate(plan, probe, planning_seconds),
        max(0, cache_bytes - _cache_bytes(plan, plan.cuts[:PICTURES], plan.cuts[:PICTURES])) + _left_by_planning(probe),
    )


def _left_by_planning(probe: Probe | None) -> int:
    """Bytes that planning left in this process, and that a run has too, beyond those of the miniature where it began."""
    return 0 if probe is None or probe.start_bytes == 0 else max(0, resident_bytes() - probe.start_bytes)


def _notes(plan: Plan) -> Iterator[str]:
    known = {note.text for note in (*picture_remarks(plan.config.data, plan.scan), *lint_remarks(plan.scan))}
    return (note.text for note in plan.notes if note.text not in known)


def _buckets(plan: Plan) -> list[BucketPlan]:
    trained = [plan.cuts[index] for index in plan.split.training]
    pictures = Counter(size for _, size in trained)
    samples = Counter[Size]()
    for example, size in trained:
        samples[size] += example.repeats
    batch = plan.config.training.train_batch_size * (1 - (plan.config.prior.prior_share or 0.0))
    return [BucketPlan(size, count, math.ceil(samples[size] / batch)) for size, count in pictures.most_common()]


def _cache_bytes(plan: Plan, encoded: Sequence[Cut], captioned: Sequence[Cut]) -> int:
    """Of the latents of some pictures, and the text states of some."""
    base, data = plan.base, plan.config.data
    unit, moments = base.pixels_per_latent, 4 if data.random_flip else 2
    sizes = [size for _, size in encoded]
    latents = sum((width // unit) * (height // unit) for width, height in sizes)
    captions = {caption for example, _ in captioned for caption in example.captions} | {""}
    state = sum(math.prod(shape) for shape in base.text_shapes(data.num_chunks).values())
    return BYTES_OF_A_NUMBER * (moments * base.latent_channels * latents + len(captions) * state)

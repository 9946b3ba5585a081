"""What a whole run takes, by what its miniature took: time, memory, room on the disk."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scumble.check.probe import Probe
from scumble.data.buckets import Size
from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import caption_key
from scumble.generate.prompt import split_prompts
from scumble.train.cuts import Cut, class_cuts
from scumble.train.material import picture_encoder
from scumble.train.plan import Plan
from scumble.train.prior import BATCH_SIZE
from scumble.train.validation import count_samples


@dataclass(frozen=True)
class Estimate:
    """What a whole run takes.

    Attributes:
        seconds_a_step: of an optimizer step, on average over the sizes of the pictures.
        step_seconds: of all steps.
        other_seconds: planning, encoding, loading, validation, samples, checkpoints, the files of the end and their proof.
        loras: LoRAs that are written and stay.
        lora_bytes: of one.
        checkpoints: that lie there at once.
        checkpoint_bytes: of one.
    """

    seconds_a_step: float
    step_seconds: float
    other_seconds: float
    loras: int
    lora_bytes: int
    checkpoints: int
    checkpoint_bytes: int

    @property
    def run_bytes(self) -> int:
        """Of the run's folder at its end, but for pictures and curves."""
        return self.loras * self.lora_bytes + self.checkpoints * self.checkpoint_bytes


@dataclass(frozen=True)
class Counts:
    """How often each part of a run comes.

    Attributes:
        validations: of the loss at fixed noise.
        saves: LoRAs between the start and the end.
        checkpoints: between the start and the end.
        samples: sample pictures, of all prompts and seeds, and once of the base alone.
    """

    validations: int
    saves: int
    checkpoints: int
    samples: int


def estimate(plan: Plan, probe: Probe, planning_seconds: float = 0.0) -> Estimate:
    """What the run of a plan takes.

    Args:
        plan: the run.
        probe: its miniature, without a problem.
        planning_seconds: it took to plan.
    """
    costs, counts = probe.costs, counts_of(plan)
    a_step = _seconds_a_step(plan, probe)
    pictures, captions = missing_from_cache(plan)
    drawn = 0 if plan.classes is not None else -(-(plan.config.prior.num_class_images or 0) // BATCH_SIZE)
    validated = _pixels_validated([plan.cuts[index][1] for index in plan.validated]) / _pixels_validated(probe.pictures)
    other = (
        # both import; besides, planning looks at the pictures, and the process ends
        max(planning_seconds, probe.startup_seconds)
        + drawn * costs.classes
        + (costs.first_latents + (pictures - 1) * costs.latents if pictures else 0.0)
        + (costs.first_text + (captions - 1) * costs.text if captions else 0.0)
        + costs.start
        + counts.validations * validated * costs.validation
        + counts.saves * costs.lora
        + counts.checkpoints * costs.checkpoint
        + counts.samples * costs.samples
        + costs.finish
    )
    output = plan.config.output
    return Estimate(
        seconds_a_step=a_step,
        step_seconds=plan.num_steps * a_step,
        other_seconds=other,
        loras=counts.saves + (2 if plan.config.optimizer.ema_export is None else 3),
        lora_bytes=probe.lora_bytes,
        checkpoints=min(counts.checkpoints + 1, output.checkpoints_total_limit),
        checkpoint_bytes=probe.checkpoint_bytes,
    )


def counts_of(plan: Plan) -> Counts:
    """How often each part of a run comes, if it is not stopped early."""
    val, steps = plan.config.validation, plan.num_steps
    between, every = plan.config.output.checkpointing_steps, val.sample_steps
    assert between is not None
    assert val.validation_steps is not None
    saved = set(range(between, steps, between))
    sampled = set() if every is None else {*range(every, steps, every), steps}
    prompts = len(split_prompts(val.validation_prompt))
    return Counts(
        validations=1 + -(-steps // val.validation_steps),
        saves=len(saved | sampled),
        checkpoints=len(saved),
        samples=(len(sampled) + bool(sampled)) * prompts * (val.num_validation_images or 1),
    )


def missing_from_cache(plan: Plan) -> tuple[int, int]:
    """How many pictures and captions have to be encoded, because the cache does not have them."""
    config = plan.config
    cache = TensorCache(config.data.cache_dir or default_cache_dir())
    classes = _classes(plan)
    cuts = [*(plan.cuts[index] for index in plan.encoded), *(classes if config.data.center_crop else ())]
    captions = {caption for example, _ in (*plan.cuts, *classes) for caption in example.captions} | {""}
    drawn = 0 if plan.classes is not None else config.prior.num_class_images or 0
    if not cache.folder.exists():
        return len(cuts) + drawn, len(captions)
    encoder = picture_encoder(plan, cache, functools.partial(plan.base.load_autoencoder, plan.device))
    assert config.model.clip_skip is not None
    text_hash, chunks = plan.base.hashes()["text_encoder"], config.data.num_chunks
    keys = [caption_key(caption, config.model.clip_skip, chunks, text_hash) for caption in captions]
    return (
        sum(not encoder.is_kept(*cut) for cut in cuts) + drawn,
        sum(not cache.path(key).exists() for key in keys),
    )


def _classes(plan: Plan) -> Sequence[Cut]:
    if plan.classes is None:
        return ()
    return class_cuts(plan.classes.examples, [plan.cuts[index][1] for index in plan.split.training])


def _pixels_validated(sizes: Sequence[Size]) -> float:
    """Of all samples of a validation of such pictures."""
    return count_samples(len(sizes)) * fmean(map(_area, sizes))


def _seconds_a_step(plan: Plan, probe: Probe) -> float:
    """Of the pictures' sizes, on the line through the times at the largest and the smallest."""
    by_area: dict[float, list[float]] = {}
    for area, seconds in zip(probe.areas, probe.costs.steps, strict=True):
        by_area.setdefault(area, []).append(seconds)
    points = sorted((area, median(seconds)) for area, seconds in by_area.items())
    (low, quick), (high, slow) = points[0], points[-1]
    if low == high:
        return slow
    trained = [plan.cuts[index] for index in plan.split.training]
    mean = fmean([_area(size) for _, size in trained], [example.repeats for example, _ in trained])
    return quick + (slow - quick) * (mean - low) / (high - low)


def _area(size: Size) -> int:
    return size[0] * size[1]

"""Choosing every setting that was left open: by the purpose, the number of pictures, the base's advice, the device."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from scumble.config import OutputConfig, PriorConfig, TrainConfig, TrainingConfig, ValidationConfig, from_values, merged
from scumble.device import has_bf16, has_memory_of_its_own
from scumble.errors import ConfigError
from scumble.families.base import BaseModel
from scumble.families.find import is_local
from scumble.files.lorafile import LoraFile
from scumble.processes import ALONE, Share
from scumble.train.ahead import name_of
from scumble.train.compiling import refuse_compiling
from scumble.train.objective_choice import choose_objective
from scumble.train.optimizer_choice import choose_optimizer, try_chosen
from scumble.train.pictures import place_of
from scumble.train.reporting import chosen_trackers

RANK_FOR = {"style": 4, "person": 16, "object": 8}
DEFAULT_RANK = 16
DEFAULT_RATE = 1e-4
STEPS_PER_PICTURE = 50
FEWEST_STEPS, MOST_STEPS = 800, 2000
NUM_CLASS_IMAGES = 36
PRIOR_SHARE = 0.3
WORKERS_OF_A_GPU = 2
FEWEST_STEPS_BETWEEN_VALIDATIONS = 10
FEWEST_VALIDATIONS, MOST_VALIDATIONS = 4, 20
PASSES_OF_A_STEP = 3
"""A sample's way forward and back is three times the work of the way forward, which is all that validation goes."""
SHARE_OF_VALIDATION = 0.1
"""Of a run's work, where that allows more than the fewest."""


@dataclass(frozen=True)
class TrainingSize:
    """How much there is to learn from.

    Attributes:
        pictures: that are trained on.
        samples: of an epoch: each picture as often as its repeats say.
        validated: samples of a validation.
        has_classes: whether class pictures are given.
    """

    pictures: int
    samples: int
    validated: int
    has_classes: bool


@dataclass(frozen=True)
class Where:
    """Where a run computes.

    Attributes:
        device: that of this process.
        share: which process of how many this is.
    """

    device: torch.device
    share: Share = ALONE


def resolve(
    config: TrainConfig, base: BaseModel, size: TrainingSize, where: Where, init: LoraFile | None
) -> TrainConfig:
    """The same settings with every open one chosen.

    Raises:
        ConfigError: settings that do not fit the base, the processes or each other.
    """
    optimizer, prior, val, output = config.optimizer, config.prior, config.validation, config.output
    train, device = _shared(config.training, where.share), where.device
    per_step = train.samples_a_step
    steps = train.max_train_steps or _default_steps(train.num_train_epochs, size, per_step)
    _refuse_idle_rate(optimizer.text_encoder_lr, init)
    refuse_compiling(train, device)
    place, resolution = place_of(config.data), _resolution(config.data.resolution, base)
    chosen: dict[str, Mapping[str, object]] = {
        "model": {
            "base": _from_anywhere(base.name),
            "vae": config.model.vae and _from_anywhere(config.model.vae),
            "clip_skip": config.model.clip_skip or base.advice.clip_skip,
            "prediction_type": base.prediction_type,
            "zero_terminal_snr": base.zero_terminal_snr,
        },
        "data": {
            **({"dataset_name": place.as_posix()} if config.data.folder is None else {"folder": place}),
            "cache_dir": config.data.cache_dir and config.data.cache_dir.resolve(),
            "resolution": resolution,
        },
        "adapter": _resolved_adapter(config, init),
        "objective": choose_objective(config.objective, base, train.samples_a_step),
        "optimizer": choose_optimizer(optimizer, base.advice.learning_rate or DEFAULT_RATE, steps, per_step),
        "training": {
            "purpose": None,  # it has said its word: the rank
            "num_processes": train.num_processes,
            "max_train_steps": steps,
            "num_train_epochs": None,
            "mixed_precision": train.mixed_precision or default_precision(device),
            "dataloader_num_workers": _num_workers(train, device),
            "device": str(device) if where.share.count == 1 else device.type,
        },
        "validation": _resolved_validation(val, steps, steps_between_validations(steps, per_step, size.validated)),
        "output": _resolved_output(output, name_of(config.data), steps),
    }
    if prior.class_prompt is not None or size.has_classes:
        chosen["prior"] = _resolved_prior(prior, size.has_classes)
    resolved = from_values(TrainConfig, merged(config.model_dump(), chosen))
    try_chosen(resolved.optimizer, device, resolved.tokens.token_lr)
    return resolved


def _resolved_adapter(config: TrainConfig, init: LoraFile | None) -> dict[str, object]:
    if config.tokens.tokens_only or (init is not None and not init.layers):
        return {}  # words alone are trained
    rank, alpha = _rank_and_alpha(config, init)
    return {"rank": rank, "alpha": alpha, "dora": _axis(config)}


def _axis(config: TrainConfig) -> str | None:
    """The axis of DoRA's lengths that the readers of the run's files take."""
    if config.adapter.dora != "auto":
        return config.adapter.dora
    return "input" if config.output.format == "kohya" else "output"


def _shared(train: TrainingConfig, share: Share) -> TrainingConfig:
    """With the number of processes whose batches make a step; those there are now must be able to share them."""
    shared = train.model_copy(update={"num_processes": train.num_processes or share.count})
    batches = shared.batches_a_step
    if batches % share.count:
        could = " or ".join(str(count) for count in range(1, batches + 1) if batches % count == 0)
        raise ConfigError(
            f"{share.count} processes cannot share the {batches} batches of a step (num_processes {shared.num_processes} x "
            f"gradient_accumulation_steps {train.gradient_accumulation_steps}) evenly: start {could}"
        )
    return shared


def steps_between_validations(steps: int, samples_a_step: int, validated: int) -> int:
    """So many that validation stays a tenth of the run's work, within `FEWEST_VALIDATIONS` and `MOST_VALIDATIONS`.

    Args:
        steps: of the run.
        samples_a_step: that are learnt from in each.
        validated: samples of a validation.
    """
    affordable = SHARE_OF_VALIDATION * PASSES_OF_A_STEP * steps * samples_a_step / validated
    times = int(min(MOST_VALIDATIONS, max(FEWEST_VALIDATIONS, affordable)))
    return min(steps, max(FEWEST_STEPS_BETWEEN_VALIDATIONS, steps // times))


def _resolved_validation(val: ValidationConfig, steps: int, between: int) -> dict[str, object]:
    between = val.validation_steps or between
    if val.validation_prompt is None:
        return {"validation_steps": between}
    return {
        "validation_steps": between,
        "num_validation_images": val.num_validation_images or 1,
        "sample_steps": val.sample_steps or max(1, -(-steps // 4)),
    }


def _resolved_output(output: OutputConfig, name: str, steps: int) -> dict[str, object]:
    return {
        "name": output.name or name,
        "output_dir": output.output_dir.resolve(),
        "report_to": chosen_trackers(output.report_to),
        "init_lora": output.init_lora and output.init_lora.resolve(),
        "checkpointing_steps": output.checkpointing_steps or max(1, -(-steps // 4)),
    }


def _resolved_prior(prior: PriorConfig, has_classes: bool) -> dict[str, object]:
    return {
        "prior_share": prior.prior_share or PRIOR_SHARE,
        "prior_loss_weight": prior.prior_loss_weight or 1.0,
        "class_data_dir": prior.class_data_dir and prior.class_data_dir.resolve(),
        "num_class_images": (prior.num_class_images or NUM_CLASS_IMAGES) if not has_classes else None,
    }


def _from_anywhere(name: str) -> str:
    """The name of a base or autoencoder so that the resolved settings find it from any working directory."""
    return str(Path(name).expanduser().resolve()) if is_local(name) else name


def _num_workers(train: TrainingConfig, device: torch.device) -> int:
    """A GPU would wait for each batch that is made when it is asked for."""
    usual = WORKERS_OF_A_GPU if has_memory_of_its_own(device) else 0
    return usual if train.dataloader_num_workers is None else train.dataloader_num_workers


def default_precision(device: torch.device) -> str:
    """bf16 on a GPU that has it, else fp16 on a GPU, else fp32."""
    if device.type == "cpu":
        return "no"
    return "bf16" if device.type == "cuda" and has_bf16(device) else "fp16"


def _default_steps(epochs: int | None, size: TrainingSize, per_step: int) -> int:
    if epochs is not None:
        return max(1, epochs * -(-size.samples // per_step))
    return min(MOST_STEPS, max(FEWEST_STEPS, STEPS_PER_PICTURE * size.pictures))


def _rank_and_alpha(config: TrainConfig, init: LoraFile | None) -> tuple[int, float]:
    adapter = config.adapter
    if init is not None:
        layer = next(iter(init.layers.values()))
        if adapter.rank not in (None, layer.rank) or adapter.alpha not in (None, layer.alpha):
            raise ConfigError(
                f"rank={adapter.rank} alpha={adapter.alpha}: init_lora has rank {layer.rank} and alpha {layer.alpha:g}, "
                "which are kept; leave rank and alpha out"
            )
        return layer.rank, layer.alpha
    rank = adapter.rank or RANK_FOR.get(config.training.purpose or "", DEFAULT_RANK)
    return rank, adapter.alpha or float(rank)


def _refuse_idle_rate(text_encoder_rate: float | None, init: LoraFile | None) -> None:
    if text_encoder_rate is None or init is None or any(key.startswith("text_encoder") for key in init.layers):
        return
    raise ConfigError(
        "text_encoder_lr would have no effect: init_lora has no layer of a text encoder; leave text_encoder_lr out"
    )


def _resolution(asked: int | None, base: BaseModel) -> int:
    resolution = asked or base.resolution
    step = base.pixels_per_latent
    if resolution % step:
        near = max(step, round(resolution / step) * step)
        raise ConfigError(
            f"resolution={resolution} in [data]: this base needs a multiple of {step}; {near} is the nearest"
        )
    return resolution

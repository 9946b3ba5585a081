"""What a LoRA file says about itself: kohya's ss_ fields, ModelSpec, and our own.

No clock time is among it: a resumed run must give the same file to the byte.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from scumble.config.objective import ObjectiveConfig

MODEL_SPEC_VERSION = "1.0.1"
PREDICTION_NAMES = {"epsilon": "epsilon", "v_prediction": "v"}
"""diffusers' name -> ModelSpec's."""


@dataclass(frozen=True)
class TrainingFacts:
    """What is worth knowing of how a LoRA came to be. None = not known, and not written.

    Attributes:
        output_name: the LoRA's name; the WebUI's alias for <lora:name:1>.
        base_name: the base model, as the person named it.
        base_version: kohya's name of the family: "sd_v1", "sd_v2", "sdxl_base_v1-0".
        architecture: ModelSpec's name: "stable-diffusion-v1/lora".
        prediction_type: "epsilon" or "v_prediction".
        alpha: the change is scaled by alpha / rank.
        targets: presets and patterns of the adapted layers, as they were given; () = not known, and not written.
        steps: optimizer steps that made this file; max_steps: those that were planned.
        resolution: width and height of the training pictures in pixels.
        clip_skip: counted as the WebUI does: 1 = the last layer.
        batch_size: pictures per optimizer step, accumulation included.
        tag_frequency: caption or tag -> how many pictures have it.
        dataset_name: the pictures' folder; dataset_hash: over pictures and captions.
        objective: what was minimised, with nothing left open.
        fingerprint: of the adapted base layers, see `fingerprint`.
    """

    output_name: str
    base_name: str
    base_version: str
    architecture: str
    prediction_type: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    steps: int
    epochs: int
    learning_rate: float
    lr_scheduler: str
    optimizer: str
    seed: int
    resolution: tuple[int, int]
    clip_skip: int
    num_pictures: int
    batch_size: int
    max_steps: int | None = None
    is_v2: bool = False
    implementation: str = "diffusers"
    title: str | None = None
    trigger: str | None = None
    comment: str | None = None
    base_hash: str | None = None
    dataset_name: str = "pictures"
    dataset_hash: str | None = None
    tag_frequency: Mapping[str, int] = field(default_factory=dict)
    mixed_precision: str | None = None
    objective: ObjectiveConfig | None = None
    caption_dropout_rate: float | None = None
    fingerprint: str | None = None


def metadata_of(facts: TrainingFacts) -> dict[str, str]:
    """All metadata of a LoRA file but its hashes, which `write_lora` adds: strings by name, in a fixed order."""
    known = {**_kohya(facts), **_model_spec(facts), **_own(facts)}
    return {name: text for name, text in sorted(known.items()) if text is not None}


def _kohya(facts: TrainingFacts) -> dict[str, str | None]:
    return {
        "ss_output_name": facts.output_name,
        "ss_sd_model_name": facts.base_name,
        "ss_sd_model_hash": facts.base_hash,
        "ss_base_model_version": facts.base_version,
        "ss_v2": str(facts.is_v2),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(facts.rank),
        "ss_network_alpha": f"{facts.alpha:.10g}",
        "ss_network_args": "{}",
        "ss_learning_rate": str(facts.learning_rate),
        "ss_unet_lr": str(facts.learning_rate),
        "ss_lr_scheduler": facts.lr_scheduler,
        "ss_optimizer": facts.optimizer,
        "ss_steps": str(facts.steps),
        "ss_max_train_steps": _text(facts.max_steps),
        "ss_epoch": str(facts.epochs),
        "ss_num_epochs": str(facts.epochs),
        "ss_seed": str(facts.seed),
        "ss_clip_skip": str(facts.clip_skip),
        "ss_mixed_precision": facts.mixed_precision,
        "ss_caption_dropout_rate": _text(facts.caption_dropout_rate),
        "ss_training_comment": facts.comment,
        **_kohya_dataset(facts),
        **({} if facts.objective is None else _kohya_objective(facts.objective)),
    }


def _kohya_dataset(facts: TrainingFacts) -> dict[str, str | None]:
    """The pictures as sd-scripts notes them; the WebUI shows the tags, the number of pictures and their sizes."""
    buckets = {"0": {"resolution": list(facts.resolution), "count": facts.num_pictures}}
    tags = {tag: facts.tag_frequency[tag] for tag in sorted(facts.tag_frequency)}
    return {
        "ss_num_train_images": str(facts.num_pictures),
        "ss_total_batch_size": str(facts.batch_size),
        "ss_resolution": str(facts.resolution),
        "ss_dataset_dirs": _json({facts.dataset_name: {"n_repeats": 1, "img_count": facts.num_pictures}}),
        "ss_bucket_info": _json({"buckets": buckets}),
        "ss_tag_frequency": _json({facts.dataset_name: tags}) if tags else None,
    }


def _kohya_objective(objective: ObjectiveConfig) -> dict[str, str | None]:
    """What was minimised, as sd-scripts notes it where it does."""
    return {
        "ss_loss_type": objective.loss_type,
        "ss_huber_c": _text(objective.huber_c),
        "ss_huber_schedule": objective.huber_schedule,
        "ss_min_snr_gamma": _text(objective.snr_gamma),
        "ss_debiased_estimation": _text(objective.debiased_estimation_loss or None),
        "ss_v_pred_like_loss": _text(objective.v_pred_like_loss),
        "ss_scale_v_pred_loss_like_noise_pred": _text(objective.scale_v_pred_loss_like_noise_pred or None),
        "ss_noise_offset": _text(objective.noise_offset or None),
        "ss_multires_noise_iterations": _text(objective.multires_noise_iterations),
        "ss_multires_noise_discount": _text(objective.multires_noise_discount),
        "ss_ip_noise_gamma": _text(objective.input_perturbation or None),
        "ss_min_timestep": _text(objective.min_timestep or None),
        "ss_max_timestep": _text(objective.max_timestep),
    }


def _own_objective(objective: ObjectiveConfig) -> dict[str, str | None]:
    """What sd-scripts does not have."""
    is_uniform = objective.timestep_sampling == "uniform"
    return {
        "scumble.soft_snr_gamma": _text(objective.soft_snr_gamma),
        "scumble.timestep_sampling": None if is_uniform else objective.timestep_sampling,
        "scumble.logit_mean": _text(objective.logit_mean),
        "scumble.logit_std": _text(objective.logit_std),
        "scumble.stratified_timesteps": _text(objective.stratified_timesteps or None),
    }


def _model_spec(facts: TrainingFacts) -> dict[str, str | None]:
    width, height = facts.resolution
    return {
        "modelspec.sai_model_spec": MODEL_SPEC_VERSION,
        "modelspec.architecture": facts.architecture,
        "modelspec.implementation": facts.implementation,
        "modelspec.title": facts.title or facts.output_name,
        "modelspec.description": facts.comment,
        "modelspec.resolution": f"{width}x{height}",
        "modelspec.prediction_type": PREDICTION_NAMES[facts.prediction_type],
        "modelspec.trigger_phrase": facts.trigger,
        "modelspec.encoder_layer": str(facts.clip_skip),
    }


def _own(facts: TrainingFacts) -> dict[str, str | None]:
    return {
        "scumble.base": facts.base_name,
        "scumble.targets": _json(list(facts.targets)) if facts.targets else None,
        "scumble.rank": str(facts.rank),
        "scumble.alpha": str(float(facts.alpha)),
        "scumble.trigger": facts.trigger,
        "scumble.dataset": facts.dataset_hash,
        "scumble.fingerprint": facts.fingerprint,
        **({} if facts.objective is None else _own_objective(facts.objective)),
    }


def _text(number: float | None) -> str | None:
    return None if number is None else str(number)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

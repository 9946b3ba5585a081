"""The settings of training. One whose default is None is chosen by the plan, which writes what it chose into the run folder."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scumble.config.adapter import AdapterConfig, idle_adapter_settings
from scumble.config.base import AllowPartial, ModelConfig
from scumble.config.data import DataConfig
from scumble.config.optimizer import OptimizerConfig
from scumble.config.section import Also, Place, Section, file_name
from scumble.errors import ConfigError


class TrainingConfig(Section):
    """How long, how much at once, and what is minimised."""

    purpose: Annotated[
        Literal["style", "person", "object"] | None,
        Also("for"),
        Field(description="what is learnt: sets rank 4 / 16 / 8"),
    ] = None
    max_train_steps: Annotated[
        int | None,
        Also("steps"),
        Field(ge=1, description="optimizer steps; none = 800 to 2000 by the number of pictures"),
    ] = None
    num_train_epochs: Annotated[
        int | None, Also("epochs"), Field(ge=1, description="passes over the pictures, instead of steps")
    ] = None
    train_batch_size: Annotated[int, Also("batch_size"), Field(ge=1, description="pictures per forward pass")] = 1
    gradient_accumulation_steps: Annotated[int, Field(ge=1, description="forward passes per optimizer step")] = 1
    gradient_checkpointing: Annotated[
        bool, Field(description="recompute activations in the backward pass: less memory, more time")
    ] = False
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the frozen weights; none = bf16 or fp16 on a GPU, fp32 on a CPU"),
    ] = None
    base_packing: Annotated[
        Literal["nf4", "int8"] | None,
        Field(description="QLoRA: keep the frozen weights in 4 bits (nf4) or 8 (int8), unpacked where they are used"),
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of everything random")] = 0
    snr_gamma: Annotated[
        float | None, Field(gt=0, description="min-SNR loss weighting with this ceiling (5 is usual)")
    ] = None
    noise_offset: Annotated[float, Field(ge=0, le=1, description="constant per-channel noise added to the noise")] = 0.0


class PriorConfig(Section):
    """Prior preservation: class pictures beside one's own, so that the rest is not forgotten."""

    class_prompt: Annotated[
        str | None,
        Field(
            description="prompts of the class pictures, several separated by '|'; the base draws these pictures unless class_data_dir gives some"
        ),
    ] = None
    class_data_dir: Annotated[
        Place | None, Field(description="folder of class pictures, with captions like those of the own pictures")
    ] = None
    num_class_images: Annotated[
        int | None, Field(ge=1, description="how many class pictures the base draws; none = 36")
    ] = None
    prior_share: Annotated[
        float | None, Field(gt=0, lt=1, description="share of class pictures among all training samples; none = 0.3")
    ] = None
    prior_loss_weight: Annotated[
        float | None, Field(gt=0, description="weight of the class pictures' loss; none = 1")
    ] = None


class ValidationConfig(Section):
    """The held-out loss, early stopping and sample pictures."""

    validation_split: Annotated[
        float, Field(ge=0, le=0.5, description="share of pictures held out; with fewer than 10 pictures none are")
    ] = 0.1
    validation_steps: Annotated[
        int | None, Field(ge=1, description="optimizer steps between validations; none = 20 times a run")
    ] = None
    patience: Annotated[
        int | None, Field(ge=1, description="stop after this many validations without a better loss; none = never")
    ] = None
    validation_prompt: Annotated[
        str | None, Field(description="prompt of the sample pictures, several separated by '|'")
    ] = None
    num_validation_images: Annotated[
        int | None, Field(ge=1, le=64, description="sample pictures per prompt; none = 1")
    ] = None
    sample_steps: Annotated[
        int | None, Field(ge=1, description="optimizer steps between sample pictures; none = 4 times a run")
    ] = None


class OutputConfig(Section):
    """Where things go."""

    output_dir: Annotated[Place, Field(description="folder of the runs; each run has a folder of its own in it")] = (
        Path("runs")
    )
    name: Annotated[
        str | None,
        AfterValidator(file_name),
        Field(description="name of the run and of the LoRA; none = the data folder's name"),
    ] = None
    format: Annotated[
        Literal["kohya", "diffusers", "peft"],
        Field(description="naming of the tensors in the LoRA file; peft = a folder NAME.peft as PEFT saves it"),
    ] = "kohya"
    save_precision: Annotated[
        Literal["fp32", "fp16", "bf16"], Field(description="precision of the numbers in the LoRA file")
    ] = "fp32"
    checkpointing_steps: Annotated[
        int | None, Field(ge=1, description="optimizer steps between checkpoints; none = 4 times a run")
    ] = None
    checkpoints_total_limit: Annotated[int, Field(ge=1, description="checkpoints kept, the newest")] = 2
    resume: Annotated[bool, Field(description="go on from the newest checkpoint of this run")] = False
    init_lora: Annotated[
        Place | None, Field(description="LoRA file or PEFT folder whose weights are the start, with a fresh optimizer")
    ] = None
    allow_partial: AllowPartial = False
    overwrite: Annotated[bool, Field(description="replace an earlier run of the same name")] = False
    report_to: Annotated[
        Literal["tensorboard", "none"], Field(description="where curves are logged besides the run folder")
    ] = "tensorboard"


class TrainConfig(Section):
    """Everything `train` needs."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    adapter: AdapterConfig = AdapterConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    prior: PriorConfig = PriorConfig()
    validation: ValidationConfig = ValidationConfig()
    output: OutputConfig = OutputConfig()

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        refuse_idle_settings(self)
        return self


Rule = tuple[bool, str, str]
"""Whether a setting would do nothing, its name, and what it needs."""


def refuse_idle_settings(config: TrainConfig) -> None:
    """Raise for a combination in which a given setting would do nothing, or two say the same thing.

    Raises:
        ConfigError: names the setting and what it needs.
    """
    train, output = config.training, config.output
    has_init = output.init_lora is not None
    rules: list[Rule] = [
        *_idle_optimizer_settings(config.optimizer, config.adapter.train_text_encoder or has_init),
        *_idle_prior_settings(config.prior),
        *_idle_validation_settings(config.validation),
        *idle_adapter_settings(config.adapter, has_init),
        (output.resume and output.overwrite, "overwrite", "resume left out"),
        (output.allow_partial and not has_init, "allow_partial", "init_lora"),
        (
            train.purpose is not None and (config.adapter.rank is not None or has_init),
            "purpose (--for)",
            "rank left out, because it sets the rank",
        ),
    ]
    for is_idle, setting, needs in rules:
        if is_idle:
            raise ConfigError(f"{setting} would have no effect: it needs {needs}; change that or leave {setting} out")
    if train.max_train_steps is not None and train.num_train_epochs is not None:
        raise ConfigError("max_train_steps and num_train_epochs both say how long to train: give one of them")
    _refuse_idle_wording(config.data)
    if not config.data.enable_bucket and (
        config.data.bucket_reso_steps is not None or not config.data.bucket_no_upscale
    ):
        name = "bucket_no_upscale" if config.data.bucket_reso_steps is None else "bucket_reso_steps"
        raise ConfigError(f"{name} would have no effect: it needs enable_bucket; change that or leave {name} out")


def _refuse_idle_wording(data: DataConfig) -> None:
    if data.shuffle_caption or data.caption_tag_dropout_rate > 0:
        return
    name = "keep_tokens" if data.keep_tokens else "caption_separator" if data.caption_separator != "," else None
    if name is not None:
        raise ConfigError(
            f"{name} would have no effect: it needs shuffle_caption or caption_tag_dropout_rate; change that or leave "
            f"{name} out"
        )


def _idle_optimizer_settings(opt: OptimizerConfig, trains_text: bool) -> list[Rule]:
    has_warm_up = opt.lr_scheduler != "constant"
    return [
        (opt.lr_min is not None and opt.lr_scheduler != "cosine", "lr_min", "lr_scheduler = 'cosine'"),
        (
            opt.lr_warmup_steps > 0 and not has_warm_up,
            "lr_warmup_steps",
            "lr_scheduler = 'constant_with_warmup' or 'cosine'",
        ),
        (opt.text_encoder_lr is not None and not trains_text, "text_encoder_lr", "train_text_encoder"),
    ]


def _idle_prior_settings(prior: PriorConfig) -> list[Rule]:
    is_drawn = prior.class_prompt is not None and prior.class_data_dir is None
    return [
        (
            prior.num_class_images is not None and not is_drawn,
            "num_class_images",
            "class_prompt, and class_data_dir left out",
        ),
    ]


def _idle_validation_settings(val: ValidationConfig) -> list[Rule]:
    has_prompt = val.validation_prompt is not None
    return [
        (val.num_validation_images is not None and not has_prompt, "num_validation_images", "validation_prompt"),
        (val.sample_steps is not None and not has_prompt, "sample_steps", "validation_prompt"),
    ]

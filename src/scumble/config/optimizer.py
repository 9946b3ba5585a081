"""The settings of the optimizer, its learning rates and the average."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scumble.config.section import Also, Rule, Section

Schedule = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "rex", "one_cycle"
]

FALLING = ("linear", "cosine", "cosine_with_restarts", "polynomial", "rex", "one_cycle")
"""Those that end at the floor."""


def _arguments(entries: tuple[str, ...]) -> tuple[str, ...]:
    keys = [entry.partition("=")[0].strip() for entry in entries]
    for entry, key in zip(entries, keys, strict=True):
        if not key or "=" not in entry:
            raise ValueError(f"'{entry}' is not KEY=VALUE")
        if keys.count(key) > 1:
            raise ValueError(f"'{key}' is there twice")
    return entries


class OptimizerConfig(Section):
    """The optimizer, its learning rate, and the average of what it does."""

    optimizer: Annotated[
        str,
        Also("optimizer_type"),
        Field(
            min_length=1,
            description="AdamW, Adam, AdamW8bit, Adafactor, Lion, Prodigy, AdamWScheduleFree, SGD, or the path of a class such as torch.optim.NAdam or pytorch_optimizer.SOAP",
        ),
    ] = "AdamW"
    optimizer_args: Annotated[
        tuple[str, ...],
        AfterValidator(_arguments),
        Field(description="further arguments of the optimizer, repeatable: KEY=VALUE, such as d_coef=2"),
    ] = ()
    learning_rate: Annotated[
        float | None,
        Field(gt=0, description="peak learning rate; none = by the optimizer, and as the base advises, else 1e-4"),
    ] = None
    text_encoder_lr: Annotated[
        float | None, Field(gt=0, description="peak learning rate of the text encoder; none = as of the denoiser")
    ] = None
    scale_lr: Annotated[bool, Field(description="multiply the rate by batch size x accumulation steps")] = False
    lr_scheduler: Annotated[
        Schedule | None,
        Field(
            description="how the rate moves, per optimizer step; none = cosine, or constant for a schedule-free optimizer"
        ),
    ] = None
    lr_warmup_steps: Annotated[
        int,
        Field(
            ge=0, description="optimizer steps over which the rate rises from zero; 0 in one_cycle = 30 % of the run"
        ),
    ] = 0
    lr_min: Annotated[
        float | None,
        Field(ge=0, description="where a falling rate ends; none = 1 % of the rate, of one_cycle a 250,000th"),
    ] = None
    lr_scheduler_num_cycles: Annotated[
        int | None, Also("lr_num_cycles"), Field(ge=1, description="cycles of cosine_with_restarts; none = 1")
    ] = None
    lr_scheduler_power: Annotated[
        float | None, Also("lr_power"), Field(gt=0, description="power of polynomial; none = 1, a line")
    ] = None
    weight_decay: Annotated[
        float | None,
        Also("adam_weight_decay"),
        Field(ge=0, description="weight decay; none = the optimizer's own, of AdamW 0.01"),
    ] = None
    beta1: Annotated[
        float | None,
        Also("adam_beta1"),
        Field(ge=0, lt=1, description="decay of the mean of the gradient; none = the optimizer's own, of AdamW 0.9"),
    ] = None
    beta2: Annotated[
        float | None,
        Also("adam_beta2"),
        Field(ge=0, lt=1, description="decay of the mean of its square; none = the optimizer's own, of AdamW 0.999"),
    ] = None
    epsilon: Annotated[
        float | None,
        Also("adam_epsilon"),
        Field(gt=0, description="small number in the denominator; none = the optimizer's own, of AdamW 1e-8"),
    ] = None
    loraplus_lr_ratio: Annotated[
        float | None,
        Field(ge=1, description="LoRA+: the factor that starts at zero learns this many times faster (16 is usual)"),
    ] = None
    max_grad_norm: Annotated[float, Field(ge=0, description="clip the gradient's norm to this; 0 = no clipping")] = 1.0
    ema_decay: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="keep a running average (EMA) of the adapter with this decay, after n steps at most (1 + n) / (10 + n): validation and samples use it (0.999 is usual); none = no average",
        ),
    ] = None
    ema_export: Annotated[
        Literal["average", "last"] | None,
        Field(
            description="what NAME.safetensors holds where an average is kept, the other is written beside it; none = average"
        ),
    ] = None


def idle_optimizer_settings(opt: OptimizerConfig, trains_text: bool) -> list[Rule]:
    """Settings of the optimizer that would do nothing.

    Args:
        opt: the settings.
        trains_text: whether a text encoder is adapted.
    """
    schedule = opt.lr_scheduler
    falls = schedule is None or schedule in FALLING
    return [
        (opt.lr_min is not None and not falls, "lr_min", "a falling lr_scheduler, such as 'cosine'"),
        (
            opt.lr_warmup_steps > 0 and schedule == "constant",
            "lr_warmup_steps",
            "another lr_scheduler, such as 'constant_with_warmup' or 'cosine'",
        ),
        (
            opt.lr_scheduler_num_cycles is not None and schedule != "cosine_with_restarts",
            "lr_scheduler_num_cycles",
            "lr_scheduler = 'cosine_with_restarts'",
        ),
        (
            opt.lr_scheduler_power is not None and schedule != "polynomial",
            "lr_scheduler_power",
            "lr_scheduler = 'polynomial'",
        ),
        (opt.text_encoder_lr is not None and not trains_text, "text_encoder_lr", "train_text_encoder"),
        (opt.ema_export is not None and opt.ema_decay is None, "ema_export", "ema_decay"),
    ]

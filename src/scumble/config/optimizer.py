"""The settings of the optimizer and its learning rates."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.section import Also, Rule, Section


class OptimizerConfig(Section):
    """The optimizer and its learning rate."""

    learning_rate: Annotated[
        float | None, Field(gt=0, description="peak learning rate; none = as the base advises, else 1e-4")
    ] = None
    text_encoder_lr: Annotated[
        float | None, Field(gt=0, description="peak learning rate of the text encoder; none = as of the denoiser")
    ] = None
    scale_lr: Annotated[bool, Field(description="multiply the rate by batch size x accumulation steps")] = False
    lr_scheduler: Annotated[
        Literal["constant", "constant_with_warmup", "cosine"],
        Field(description="how the rate moves, per optimizer step"),
    ] = "cosine"
    lr_warmup_steps: Annotated[int, Field(ge=0, description="optimizer steps over which the rate rises from zero")] = 0
    lr_min: Annotated[float | None, Field(ge=0, description="floor of the cosine; none = 1 % of the rate")] = None
    weight_decay: Annotated[
        float, Also("adam_weight_decay"), Field(ge=0, description="decoupled weight decay of AdamW")
    ] = 0.01
    beta1: Annotated[
        float, Also("adam_beta1"), Field(ge=0, lt=1, description="AdamW's decay of the mean of the gradient")
    ] = 0.9
    beta2: Annotated[
        float, Also("adam_beta2"), Field(ge=0, lt=1, description="AdamW's decay of the mean of its square")
    ] = 0.999
    epsilon: Annotated[
        float, Also("adam_epsilon"), Field(gt=0, description="AdamW's small number in the denominator")
    ] = 1e-8
    loraplus_lr_ratio: Annotated[
        float | None,
        Field(ge=1, description="LoRA+: the factor that starts at zero learns this many times faster (16 is usual)"),
    ] = None
    max_grad_norm: Annotated[float, Field(ge=0, description="clip the gradient's norm to this; 0 = no clipping")] = 1.0


def idle_optimizer_settings(opt: OptimizerConfig, trains_text: bool) -> list[Rule]:
    """Settings of the optimizer that would do nothing.

    Args:
        opt: the settings.
        trains_text: whether a text encoder is adapted.
    """
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

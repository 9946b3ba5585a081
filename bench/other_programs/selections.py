"""Which layers a file has."""

from collections.abc import Callable

from base_models import Base

Select = Callable[[Base], list[str]]
"""A base -> canonical keys."""


def few(base: Base) -> list[str]:
    """One layer of every shape: square and not, linear and convolutions of 1 and 3."""
    ends = (
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.2.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "down_blocks.2.attentions.0.transformer_blocks.0.attn2.to_k",
        "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
        "down_blocks.2.attentions.1.proj_in",
        "down_blocks.1.resnets.1.conv1",
        "down_blocks.2.resnets.0.conv1",
        "down_blocks.2.resnets.0.conv_shortcut",
        "down_blocks.2.resnets.1.time_emb_proj",
        "down_blocks.1.downsamplers.0.conv",
    )
    return [f"unet.{end}" for end in ends]


def linear(base: Base) -> list[str]:
    """Those of `few` without a kernel of 3."""
    return [key for key in few(base) if base.weights[key].ndim == 2 or base.weights[key].shape[2] == 1]


def attention(base: Base) -> list[str]:
    """Everything inside the denoiser's attention blocks."""
    return [key for key in base.keys_of("unet") if ".attentions." in key]


def convolutions(base: Base) -> list[str]:
    """The denoiser's ResNets and what changes the resolution."""
    return [key for key in base.keys_of("unet") if ".resnets." in key or "samplers." in key]


def ends(base: Base) -> list[str]:
    """The denoiser's layers outside its blocks."""
    return [key for key in base.keys_of("unet") if "_block" not in key]


def text(base: Base) -> list[str]:
    """All layers of the text encoders."""
    return [key for part in base.text_parts() for key in base.keys_of(part)]


def without_out(base: Base) -> list[str]:
    """The text encoders' query, key and value, and their MLP."""
    return [key for key in text(base) if ".out_proj" not in key]


def without_out_and_mlp(base: Base) -> list[str]:
    """The text encoders' query, key and value alone."""
    return [key for key in without_out(base) if ".mlp." not in key]


def mlp(base: Base) -> list[str]:
    """The text encoders' MLP alone."""
    return [key for key in text(base) if ".mlp." in key]


def projections(base: Base) -> list[str]:
    """to_q, to_k, to_v and to_out: what the oldest files of diffusers hold."""
    return [key for key in attention(base) if ".attn" in key]


def both(first: Select, second: Select) -> Select:
    """What two selections hold."""
    return lambda base: [*first(base), *second(base)]

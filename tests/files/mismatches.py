"""The kinds of key mismatch: ways in which a file's names are not those of one whole LoRA for this base."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors.torch import save_file

from scumble.files import kohya

LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
OTHER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_k"
SGM = "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q"


@dataclass(frozen=True)
class Mismatch:
    """One kind.

    Attributes:
        change: what it does to the tensors of a whole file in kohya's naming, which has `LAYER` and `OTHER`.
        says: a pattern of what the error says.
        left_out: the names that are left out where a part of a file is allowed; none = an error there too.
    """

    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
    says: str
    left_out: tuple[str, ...] | None


def _renamed(old, new):
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


def _with(name, like):
    return lambda tensors: {**tensors, name: tensors[f"{LAYER}.{like}"].clone()}


def _without(*names):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def _copied(name):
    return lambda tensors: (
        tensors
        | {key.replace(LAYER, name): tensor.clone() for key, tensor in tensors.items() if key.startswith(LAYER + ".")}
    )


UP, DOWN, ALPHA = (f"{LAYER}.{name}" for name in ("lora_up.weight", "lora_down.weight", "alpha"))
MISMATCHES = {
    "a layer that the base has not": Mismatch(
        _renamed(LAYER + ".", "lora_unet_mid_block_attentions_7_to_q."),
        "1 of 128 layers match nothing in this base: lora_unet_mid_block_attentions_7_to_q; .*made for another base",
        ("lora_unet_mid_block_attentions_7_to_q",),
    ),
    "every layer of another base": Mismatch(
        _renamed("lora_unet_", "lora_unet_other_"), "none of the 128 layers matches anything in this base", None
    ),
    "a part that the base has not": Mismatch(
        _copied("lora_te2_text_model_encoder_layers_0_mlp_fc1"),
        "1 of 129 layers match nothing in this base: lora_te2_text_model_encoder_layers_0_mlp_fc1",
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1",),
    ),
    "a beginning that nobody has": Mismatch(
        _renamed(LAYER + ".", "lora_te3_x."), "1 of 128 layers match nothing in this base: lora_te3_x", ("lora_te3_x",)
    ),
    "a tensor that nobody knows": Mismatch(
        _with(f"{LAYER}.surprise", "alpha"),
        rf"1 of 385 tensors are not understood: {LAYER}\.surprise",
        (f"{LAYER}.surprise",),
    ),
    "a tensor of an algorithm that is not read": Mismatch(
        _with(f"{LAYER}.diff_b", "alpha"), "is a full weight difference, which is not read", (f"{LAYER}.diff_b",)
    ),
    "a name without a dot": Mismatch(
        _with("lora_unet_conv_in", "alpha"),
        "1 of 385 tensors are not understood: lora_unet_conv_in;",
        ("lora_unet_conv_in",),
    ),
    "a factor without the other": Mismatch(
        _without(UP), f"1 of 128 layers are incomplete: {LAYER}: found alpha and down without up", (LAYER,)
    ),
    "an alpha of nothing": Mismatch(
        _without(UP, DOWN), f"1 of 128 layers are incomplete: {LAYER}: found alpha without down and up", (LAYER,)
    ),
    "a layer in two namings": Mismatch(_copied(SGM), f"is there twice, the second time as {SGM}", None),
    "a tensor in two spellings": Mismatch(
        _with(f"{LAYER}.lora_A.weight", "lora_down.weight"), "is there twice, in two spellings: expected one", None
    ),
    "two algorithms at a layer": Mismatch(
        _with(f"{LAYER}.lokr_w1", "lora_down.weight"), "found tensors of lokr and lora, expected one algorithm", None
    ),
    "another program's names among kohya's": Mismatch(
        _with("unet.conv_in.lora_A.weight", "lora_down.weight"),
        r"1 of 385 tensors are not understood: unet\.conv_in\.lora_A\.weight",
        ("unet.conv_in.lora_A.weight",),
    ),
}


def write_spoilt(lora, mismatch, path):
    """Write a LoRA in kohya's naming, spoilt so."""
    tensors, metadata = kohya.write(lora)
    changed = mismatch.change({name: tensor.contiguous() for name, tensor in tensors.items()})
    assert changed.keys() != tensors.keys()
    save_file(changed, path, metadata)

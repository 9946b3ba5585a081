"""A pipeline folder as one checkpoint file with the original names: what diffusers reads and cannot write.

Written by hand from the published files' names, so that reading it back tests diffusers' conversions and our use of them.
"""

import json
import re

import torch
from safetensors.torch import load_file, save_file

RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
TOP = (
    ("conv_in.", "input_blocks.0.0."),
    ("conv_norm_out.", "out.0."),
    ("conv_out.", "out.2."),
    ("time_embedding.linear_1.", "time_embed.0."),
    ("time_embedding.linear_2.", "time_embed.2."),
    ("add_embedding.linear_1.", "label_emb.0.0."),
    ("add_embedding.linear_2.", "label_emb.0.2."),
)
VAE_TOP = (("conv_norm_out", "norm_out"), ("conv_shortcut", "nin_shortcut"))
VAE_ATTENTION = (
    ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
)  # fmt: skip
OPEN_CLIP = (
    ("encoder.layers.", "transformer.resblocks."),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("final_layer_norm", "ln_final"),
    ("embeddings.token_embedding", "token_embedding"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
)


def replaced(name, table):
    for new, old in table:
        name = name.replace(new, old)
    return name


def original_unet_name(name, blocks_with_attention):
    """down_blocks.1.resnets.0.conv1.weight -> input_blocks.4.0.in_layers.2.weight, with two layers a block."""
    for new, old in TOP:
        if name.startswith(new):
            return old + name.removeprefix(new)
    if name.startswith("mid_block."):
        _, kind, index, rest = name.split(".", 3)
        place = 1 if kind == "attentions" else 2 * int(index)
        return f"middle_block.{place}.{replaced(rest, RESNET) if kind == 'resnets' else rest}"
    side, block, kind, index, rest = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name).groups()
    block, index = int(block), int(index)
    if kind == "downsamplers":
        return f"input_blocks.{3 * block + 3}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{2 if block in blocks_with_attention else 1}.{rest}"
    number = 1 + 3 * block + index if side == "down" else 3 * block + index
    blocks = "input_blocks" if side == "down" else "output_blocks"
    return f"{blocks}.{number}.{0 if kind == 'resnets' else 1}.{replaced(rest, RESNET) if kind == 'resnets' else rest}"


def original_unet(weights):
    with_attention = {int(name.split(".")[1]) for name in weights if re.match(r"up_blocks\.\d+\.attentions", name)}
    return {original_unet_name(name, with_attention): tensor for name, tensor in weights.items()}


def original_vae(weights, num_blocks=4):
    renamed = {}
    for name, tensor in weights.items():
        found = re.fullmatch(r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets|\w+samplers)\.(\d+)\.(.*)", name)
        attention = re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.*)", name)
        resnet = re.fullmatch(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.*)", name)
        if found:
            half, side, block, kind, index, rest = found.groups()
            number = int(block) if side == "down" else num_blocks - 1 - int(block)
            inside = f"block.{index}" if kind == "resnets" else f"{side}sample"
            name = f"{half}.{side}.{number}.{inside}.{rest}"
        elif attention:
            name = f"{attention[1]}.mid.attn_1.{replaced(attention[2], VAE_ATTENTION)}"
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        elif resnet:
            name = f"{resnet[1]}.mid.block_{int(resnet[2]) + 1}.{resnet[3]}"
        renamed[replaced(name, VAE_TOP)] = tensor
    return renamed


def original_open_clip(weights):
    """Query, key and value in one matrix, the projection turned."""
    plain = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    renamed = {}
    for name, tensor in plain.items():
        if name == "text_projection.weight":
            renamed["text_projection"] = tensor.T.contiguous()
        elif ".q_proj." in name:
            parts = [plain[name.replace("q_proj", other)] for other in ("q_proj", "k_proj", "v_proj")]
            renamed[replaced(name, OPEN_CLIP).replace("self_attn.q_proj.", "attn.in_proj_")] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            renamed[replaced(name, OPEN_CLIP)] = tensor
    return renamed


def original_clip(weights):
    named = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in weights.items()}
    return {**named, "text_model.embeddings.position_ids": torch.arange(77)[None]}


def weights_of(folder, part):
    (path,) = (folder / part).glob("*.safetensors")
    return load_file(path)


def tensors_of(folder, text_parts):
    """Every tensor of a folder under its original name.

    Args:
        folder: a pipeline folder.
        text_parts: part -> (its prefix in the file, how its tensors are renamed).
    """
    parts = {
        "unet": ("model.diffusion_model.", original_unet),
        "vae": ("first_stage_model.", original_vae),
        **text_parts,
    }
    return {
        prefix + name: tensor.contiguous()
        for part, (prefix, rename) in parts.items()
        for name, tensor in rename(weights_of(folder, part)).items()
    }


SD1 = {"text_encoder": ("cond_stage_model.transformer.", original_clip)}
SD2 = {"text_encoder": ("cond_stage_model.model.", original_open_clip)}
SDXL = {
    "text_encoder": ("conditioner.embedders.0.transformer.", original_clip),
    "text_encoder_2": ("conditioner.embedders.1.model.", original_open_clip),
}


def with_a_24th_layer(tensors):
    """Published SD 2.x files hold a last text layer that nothing uses, and a projection."""
    last = {
        name.replace("resblocks.22.", "resblocks.23."): tensor + 1
        for name, tensor in tensors.items()
        if "resblocks.22." in name
    }
    width = tensors["cond_stage_model.model.ln_final.weight"].shape[0]
    return {
        **tensors,
        **last,
        "cond_stage_model.model.text_projection": torch.ones(width, width),
        "cond_stage_model.model.logit_scale": torch.tensor(4.6),
    }


def write_checkpoint(path, tensors, metadata=None, marks=()):
    save_file({**tensors, **{mark: torch.tensor([]) for mark in marks}}, path, {"format": "pt", **(metadata or {})})
    return path


def configs_of(folder):
    """The settings of a folder's parts, as those that ship for the published sizes."""
    names = {path.parent.name: path for path in folder.glob("*/*config.json") if "tokenizer" not in path.name}
    return {part: json.loads(path.read_text()) for part, path in names.items()}

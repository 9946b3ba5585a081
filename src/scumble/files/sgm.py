"""The denoiser's layer names as Stability's own code has them ("SGM"), beside those of diffusers.

SGM counts the layers of all blocks through, three to a block: two, and one that changes the resolution.
"""

import re
from collections.abc import Collection, Iterable

ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
"""Layers outside the blocks."""

RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
"""A ResNet's layers; those of an attention keep their names."""

UP_ATTENTION = re.compile(r"up_blocks\.(\d+)\.attentions\.")


def sgm_path(path: str, plain_up_blocks: Collection[int] = ()) -> str | None:
    """A denoiser layer's path in diffusers' names -> its path in SGM's.

    Args:
        path: such as "down_blocks.1.attentions.0.proj_in".
        plain_up_blocks: the up blocks that have no attention: their upsampler is one place earlier.
    Returns:
        None if SGM has no such layer.
    """
    match path.split("."):
        case ["down_blocks", i, "resnets", j, child] if child in RESNET:
            return f"input_blocks.{1 + 3 * int(i) + int(j)}.0.{RESNET[child]}"
        case ["down_blocks", i, "attentions", j, *rest]:
            return ".".join([f"input_blocks.{1 + 3 * int(i) + int(j)}.1", *rest])
        case ["down_blocks", i, "downsamplers", "0", "conv"]:
            return f"input_blocks.{3 + 3 * int(i)}.0.op"
        case ["mid_block", "resnets", j, child] if child in RESNET:
            return f"middle_block.{2 * int(j)}.{RESNET[child]}"
        case ["mid_block", "attentions", "0", *rest]:
            return ".".join(["middle_block.1", *rest])
        case ["up_blocks", i, "resnets", j, child] if child in RESNET:
            return f"output_blocks.{3 * int(i) + int(j)}.0.{RESNET[child]}"
        case ["up_blocks", i, "attentions", j, *rest]:
            return ".".join([f"output_blocks.{3 * int(i) + int(j)}.1", *rest])
        case ["up_blocks", i, "upsamplers", "0", "conv"]:
            return f"output_blocks.{2 + 3 * int(i)}.{1 if int(i) in plain_up_blocks else 2}.conv"
    return ENDS.get(path)


def sgm_paths(paths: Iterable[str]) -> dict[str, str]:
    """The layers of a denoiser that SGM has: diffusers' path -> SGM's.

    Args:
        paths: all layers of the denoiser, so that the blocks without attention are known.
    """
    paths = list(paths)
    with_attention = {int(match[1]) for path in paths if (match := UP_ATTENTION.match(path))}
    blocks = {int(path.split(".")[1]) for path in paths if path.startswith("up_blocks.")}
    found = {path: sgm_path(path, blocks - with_attention) for path in paths}
    return {path: name for path, name in found.items() if name is not None}

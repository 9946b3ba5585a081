"""A layer as the two factors that PEFT and diffusers know: down and up, without a third one between them."""

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.lorafile import LoraLayer


def down_and_up(key: str, layer: LoraLayer) -> tuple[Tensor, Tensor]:
    """A [r, in(, k, k)] and B [out, r(, 1, 1)] of a LoRA that is to be written; alpha is not in them.

    A Tucker core goes into A: sum over s of mid[r, s, k, k] down[s, in], exactly the same change.

    Raises:
        LoraFileError: the layer's algorithm is not LoRA.
    """
    if layer.algorithm != "lora":
        raise LoraFileError(
            f"{key}: diffusers' naming has no {layer.algorithm}; expected lora: write kohya's or PEFT's"
        )
    down, up = layer.tensors["down"].detach(), layer.tensors["up"].detach()
    if "mid" in layer.tensors:
        mid = layer.tensors["mid"].detach().float()
        down = torch.einsum("rskl,si->rikl", mid, down.float().flatten(1))
    return down, up

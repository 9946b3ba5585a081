"""Does a LoRA file mean what was trained? It is read back by a foreign reader, put on a fresh base, and compared.

Shapes: B batch, C latent channels, H W latent height and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from scumble.edit.independent import read_independently
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel, TextState

TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.15}
"""Largest relative error of the effect, by precision of the weights: what rounding explains, and no more."""


@dataclass(frozen=True)
class Probe:
    """One fixed question to the denoiser, and the answers with and without the trained adapter.

    Attributes:
        noisy: [B, C, H, W].
        timesteps: [B].
        text: batched text state.
        trained: the denoiser's output with the adapter, [B, C, H, W].
        plain: its output without.
    """

    noisy: Tensor
    timesteps: Tensor
    text: TextState
    trained: Tensor
    plain: Tensor


@torch.no_grad()
def effect_error(path: Path, base: BaseModel, probe: Probe) -> float:
    """How far the file's effect is from the trained one: |file - trained| / |trained - plain|, root mean square.

    The file's keys are resolved by diffusers' own reader, and its change is added to a base loaded anew.

    Args:
        path: the LoRA file.
        base: the base it was trained on.
        probe: on the device and in the precision to compare in.
    Raises:
        LoraFileError: the foreign reader does not understand the file, or the error is more than rounding explains.
    """
    denoiser = base.load_denoiser(probe.noisy.dtype, probe.noisy.device)
    changes = read_independently(path, denoiser.config)
    hooks = [_hook_change(denoiser, layer, change) for layer, change in changes.items()]
    answer = base.predict(denoiser, probe.noisy, probe.timesteps, probe.text)
    for hook in hooks:
        hook.remove()
    effect = _norm(probe.trained - probe.plain)
    difference = _norm(answer - probe.trained)
    if effect == 0:
        return float(difference)
    error = float(difference / effect)
    limit = TOLERANCE[probe.noisy.dtype]
    if not error <= limit:
        raise LoraFileError(
            f"{path}: read back by diffusers, its effect differs from what was trained by {error:.2g} of the effect "
            f"(limit {limit:g}); do not use this file, and please report it"
        )
    return error


def _hook_change(denoiser: nn.Module, layer: str, change: Tensor) -> torch.utils.hooks.RemovableHandle:
    """Add x W_change^T to a layer's output: a third way of applying it, beside adapters and folding."""
    module = denoiser.get_submodule(layer)

    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        (x,) = inputs
        return output + functional.linear(x, change.to(x.device, x.dtype))

    return module.register_forward_hook(add)


def _norm(difference: Tensor) -> Tensor:
    return difference.float().square().mean().sqrt()


def ask(base: BaseModel, denoiser: nn.Module, noisy: Tensor, timesteps: Tensor, text: Mapping[str, Tensor]) -> Tensor:
    """The denoiser's answer without a gradient."""
    with torch.no_grad():
        return base.predict(denoiser, noisy, timesteps, text)

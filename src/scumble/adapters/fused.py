"""A frozen linear layer and its LoRA as one operation: half of the kernels that the formula starts.

Y = X W^T + b + s (X A^T) B^T. With G the gradient of Y and T = s G B, that of X is G W + T A, of A it is T^T X, of B it
is s G^T (X A^T). Sums are made by the matrix product that yields their last term, and so is every scaling.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from scumble.adapters.stored import StoredLayer
from scumble.adapters.weight import bias_of, weight_of


def can_be_fused(layer: nn.Module) -> bool:
    """Whether a frozen layer is one whose product may be made here, in the place of its own forward pass and its hooks."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return False
    if isinstance(layer, StoredLayer):
        return not layer.geometry.is_conv
    return type(layer) is nn.Linear and not layer.weight.requires_grad


def linear_with_lora(x: Tensor, layer: nn.Linear | StoredLayer, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """The layer's output with its LoRA, [..., out], in the dtype of x.

    Args:
        x: [..., in].
        layer: one that `can_be_fused`, of x's dtype; a stored weight is made again for the backward pass.
        down: A, [r, in], cast to x's dtype.
        up: B, [out, r], cast likewise.
        scale: s.
    """
    output: Tensor = _LinearWithLora.apply(x, layer, down, up, scale)
    return output


class _LinearWithLora(torch.autograd.Function):
    """See the formulas above; the input, A, B and the thin product are kept. Autograd casts gradients to A's and B's dtype."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Linear | StoredLayer, down: Tensor, up: Tensor, scale: float) -> Tensor:
        down, up, rows = down.to(x.dtype), up.to(x.dtype), x.reshape(-1, x.shape[-1])
        thin = rows @ down.t()
        weight, bias = weight_of(layer).to(x.dtype), bias_of(layer)
        bias = None if bias is None else bias.to(x.dtype)
        output = functional.linear(rows, weight, bias).addmm_(thin, up.t(), alpha=scale)
        ctx.save_for_backward(rows, down, up, thin)
        ctx.layer, ctx.scale, ctx.shape = layer, scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable  # the thin product is a constant to a second derivative, which would be wrong
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        rows, down, up, thin = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, len(up))
        # with beta 0 addmm never reads its first argument: what is left is a product that is scaled as it is made
        of_thin = torch.addmm(up[0], gradient, up, beta=0, alpha=ctx.scale)
        of_up = torch.addmm(up, gradient.t(), thin, beta=0, alpha=ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            layer = ctx.layer
            weight = layer.made_weight(is_backward=True) if isinstance(layer, StoredLayer) else layer.weight
            of_x = (gradient @ weight.to(gradient.dtype)).addmm_(of_thin, down).view(ctx.shape)
        return of_x, None, of_thin.t() @ rows, of_up, None

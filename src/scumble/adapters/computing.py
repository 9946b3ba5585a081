"""A model that computes in another precision than its weights are kept in: each layer's are converted for as long as it runs.

The numbers are those of `model.to(dtype)`, which would need room for all layers' at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


@contextmanager
def computing_in(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Let a model take and give a precision while the with-block lasts; for passes without a gradient.

    Args:
        model: its weights are the same tensors afterwards.
        dtype: a floating one.
    """
    handles = []
    for module in model.modules():
        others = [each for each in _own(module) if each.is_floating_point() and each.dtype != dtype]
        if others:
            kept = [each.data for each in others]
            handles.append(module.register_forward_pre_hook(partial(_convert, others, dtype)))
            handles.append(module.register_forward_hook(partial(_restore, others, kept), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _own(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def _convert(tensors: list[Tensor], dtype: torch.dtype, *_: object) -> None:
    for tensor in tensors:
        tensor.data = tensor.data.to(dtype)


def _restore(tensors: list[Tensor], kept: list[Tensor], *_: object) -> None:
    for tensor, data in zip(tensors, kept, strict=True):
        tensor.data = data

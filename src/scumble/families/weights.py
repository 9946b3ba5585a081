"""Weights read a piece at a time: the pages of a file that is mapped never lie in memory beside the model made of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from scumble.errors import BaseModelError
from scumble.families.parts import first_line

A_PIECE = 32
"""Tensors read before the file is opened anew: what was read of it till then is given back to the system."""


@contextmanager
def opened(path: Path, name: str) -> Iterator[Any]:
    """A safetensors file for reading single tensors.

    Args:
        path: the file.
        name: the base as the person named it.
    Raises:
        BaseModelError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise BaseModelError(f"base {name}: cannot read {path}: {first_line(error)}") from error


def shapes_of(path: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape, of a file; no weight is read.

    Args:
        path: the file.
        name: the base as the person named it.
    Raises:
        BaseModelError: it cannot be read.
    """
    with opened(path, name) as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


def read(path: Path, name: str, wanted: Sequence[str], dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    """Tensors of a file, some at a time, floating-point ones in one precision.

    Args:
        path: the file.
        name: the base as the person named it.
        wanted: names of the tensors.
        dtype: the precision.
    Raises:
        BaseModelError: the file cannot be read.
    """
    for first in range(0, len(wanted), A_PIECE):
        with opened(path, name) as file:
            yield {each: _in_precision(file.get_tensor(each), dtype) for each in wanted[first : first + A_PIECE]}


_EMPTYING = Lock()
"""accelerate exchanges a method of all modules meanwhile, which two threads at once would not put back."""


def empty_model(model_class: Any, config: Mapping[str, Any]) -> Any:
    """The model without numbers, but for the buffers that no file holds."""
    from accelerate import init_empty_weights

    with _EMPTYING, init_empty_weights():
        if hasattr(model_class, "from_config"):  # diffusers; transformers builds from an object of settings
            return model_class.from_config(dict(config))
        return model_class(model_class.config_class.from_dict(dict(config)))


def fits(model: Any, path: Path, name: str) -> bool:
    """Whether a file's tensors are the model's, name by name and shape by shape."""
    return shapes_of(path, name) == {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def fill(model: Any, path: Path, name: str, dtype: torch.dtype, device: torch.device) -> None:
    """Give an empty model the numbers of a file that fits it, each at once where it belongs."""
    for piece in read(path, name, list(model.state_dict()), dtype):
        there = {key: tensor.to(device) for key, tensor in piece.items()}
        model.load_state_dict(there, strict=False, assign=True)


def _in_precision(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor

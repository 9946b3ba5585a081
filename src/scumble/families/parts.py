"""The parts of a base on the disk, wherever they lie: what a family asks of a pipeline folder or a checkpoint file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from scumble.errors import BaseModelError


class Parts(Protocol):
    """A base's parts by diffusers' names: unet, vae, text_encoder, text_encoder_2, tokenizer, scheduler.

    Attributes:
        name: the base as the person named it.
        path: the folder or file.
    """

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...

    def config(self, part: str) -> dict[str, Any]:
        """The settings of a part.

        Raises:
            BaseModelError: it cannot be read.
        """
        ...

    def load(self, part: str, model_class: Any, dtype: torch.dtype, device: torch.device) -> Any:
        """A part as a frozen model in eval mode, of the class asked for.

        Raises:
            BaseModelError: its weights are not there, not whole, or of another shape.
        """
        ...

    def tokenizer(self, part: str, pad_token: str) -> Any:
        """The CLIPTokenizer of a part; a folder's own tokenizer knows its padding, else it is `pad_token`.

        Raises:
            BaseModelError: there is none to be had.
        """
        ...

    def digest(self, parts: Sequence[str]) -> str:
        """A hash that changes when the weights or settings of these parts do."""
        ...


def read_json(path: Path, name: str) -> dict[str, Any]:
    """A JSON object of a base.

    Raises:
        BaseModelError: no such file, or something else in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaseModelError(f"base {name}: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise BaseModelError(f"base {name}: {path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise BaseModelError(
            f"base {name}: {path} is not settings: found a {type(values).__name__}, expected an object"
        )
    return values


def frozen(model: Any, device: torch.device) -> Any:
    """The model on its device, without gradients, in eval mode."""
    return model.to(device).requires_grad_(False).eval()


def refuse_missing(missing: Sequence[str], name: str, where: Path | str) -> None:
    """Raise where weights are not there: the libraries would make them up.

    Raises:
        BaseModelError: names the first.
    """
    if missing:
        raise BaseModelError(
            f"base {name}: {where} lacks {len(missing)} of its weights, first {min(missing)}: get it again"
        )


def first_line(error: Exception) -> str:
    """The first line of what another library complains of."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def same_vae_scale(config: Mapping[str, Any]) -> tuple[int, float]:
    """What an autoencoder must share with the one its denoiser was trained on: latent channels and scale."""
    return int(config["latent_channels"]), float(config["scaling_factor"])

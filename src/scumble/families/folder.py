"""A pipeline folder, as diffusers saves it: each part a folder with its settings and weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from scumble.errors import BaseModelError, nearest
from scumble.families.base import Advice
from scumble.families.parts import first_line, frozen, read_json, refuse_missing
from scumble.families.weights import empty_model, fill, fits

ADVICE_FILE = "scumble.json"
CONFIG_NAMES = {"scheduler": "scheduler_config.json"}
"""Part -> name of its settings, where that is not config.json."""


@dataclass(frozen=True)
class FolderParts:
    """The parts in a pipeline folder.

    Attributes:
        name: the base as the person named it.
        path: the folder.
        variant: variant of the weight files, such as "fp16".
    """

    name: str
    path: Path
    variant: str | None = None

    def config(self, part: str) -> dict[str, Any]:
        return read_json(self.path / part / CONFIG_NAMES.get(part, "config.json"), self.name)

    def load(self, part: str, model_class: Any, dtype: torch.dtype, device: torch.device) -> Any:
        """Files of another precision become the dtype asked for; pickles are never read."""
        folder = self.path / part
        if (model := self._own_weights(part, model_class, dtype, device)) is not None:
            return frozen(model, device)
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model, report = model_class.from_pretrained(
                folder, torch_dtype=dtype, variant=self.variant, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = first_line(error)
            if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")):
                reason = (
                    "its weights are a pickle (.bin), which can run code and is never read: convert it to .safetensors"
                )
            raise BaseModelError(f"base {self.name}: cannot load {folder}: {reason}") from error
        refuse_missing(sorted(report["missing_keys"]), self.name, folder)
        return frozen(model, device)

    def _own_weights(self, part: str, model_class: Any, dtype: torch.dtype, device: torch.device) -> Any:
        """A model of diffusers' filled from a file that has its own names, in half the memory that the library takes;
        None where there is no such file, and the library has to look: older names, several files, packed weights.
        """
        file = self.path / part / ".".join(("diffusion_pytorch_model", *filter(None, (self.variant,)), "safetensors"))
        config = self.config(part)
        if not file.is_file() or not hasattr(model_class, "from_config") or "quantization_config" in config:
            return None
        try:
            model = empty_model(model_class, config)
            if not fits(model, file, self.name):
                return None
            fill(model, file, self.name, dtype, device)
        except (BaseModelError, ValueError, TypeError):
            return None  # the library finds the same, and `load` says it
        return model

    def tokenizer(self, part: str, pad_token: str) -> Any:
        from transformers import CLIPTokenizer

        try:
            return CLIPTokenizer.from_pretrained(self.path / part)
        except (OSError, ValueError) as error:
            raise BaseModelError(f"base {self.name}: cannot read {self.path / part}: {first_line(error)}") from error

    def digest(self, parts: Sequence[str]) -> str:
        """SHA-256 over the names and bytes of the parts' files, and which variant of them is read."""
        digest = hashlib.sha256((self.variant or "").encode())
        for path in (path for part in parts for path in sorted((self.path / part).iterdir())):
            if path.suffix in {".json", ".safetensors", ".txt"}:
                digest.update(path.name.encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def refuse_without(self, parts: Sequence[str]) -> None:
        """Raise if one of the parts is not there at all.

        Raises:
            BaseModelError: names it.
        """
        for part in parts:
            if not (self.path / part).is_dir():
                raise BaseModelError(
                    f"base {self.name}: {self.path} has no {part} folder, so it is not a whole pipeline folder"
                )

    def advice(self) -> Advice:
        """What its author advises.

        Raises:
            BaseModelError: advice on what nobody asks.
        """
        path = self.path / ADVICE_FILE
        if not path.is_file():
            return Advice()
        values = read_json(path, self.name)
        known = {field.name for field in fields(Advice)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BaseModelError(f"base {self.name}: {path} advises on '{unknown[0]}'{nearest(unknown[0], known)}")
        return Advice(**values)

"""One .safetensors file that holds a whole base under the original names; the settings of its parts ship with us."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scumble.errors import BaseModelError, LoraFileError
from scumble.families.convert import EMA_PREFIX, Layout, Weights
from scumble.families.parts import frozen, read_json, refuse_missing
from scumble.families.vocabulary import clip_tokenizer
from scumble.families.weights import empty_model, opened, read, shapes_of
from scumble.files.guard import read_metadata

CONFIGS = Path(str(resources.files("scumble"))) / "families" / "configs"
"""Settings of the published models: a folder a family, in it a file a part."""


@dataclass(frozen=True)
class Header:
    """What a checkpoint file says before its numbers.

    Attributes:
        name: the base as the person named it.
        path: the file.
        shapes: tensor name -> shape.
        metadata: its texts.
    """

    name: str
    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]

    def has(self, prefix: str) -> bool:
        """Whether any tensor's name begins so."""
        return any(name.startswith(prefix) for name in self.shapes)


def read_header(path: Path, name: str) -> Header:
    """The names and shapes in a checkpoint file; no weight is read.

    Raises:
        BaseModelError: it is not a whole safetensors file.
    """
    try:
        metadata = read_metadata(path)
    except LoraFileError as error:
        raise BaseModelError(f"base {name}: {error}") from error
    return Header(name, path, shapes_of(path, name), metadata)


def shipped_configs(family: str) -> dict[str, dict[str, Any]]:
    """Model part -> the settings that ship with us for a family's checkpoint files."""
    return {path.stem: read_json(path, family) for path in sorted((CONFIGS / family).glob("*.json"))}


@dataclass(frozen=True)
class CheckpointParts:
    """The parts in a checkpoint file.

    Attributes:
        header: of the file.
        layout: where each part lies in it.
        configs: settings of the parts.
    """

    header: Header
    layout: Layout
    configs: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def path(self) -> Path:
        return self.header.path

    def config(self, part: str) -> dict[str, Any]:
        return dict(self.configs[part])

    def load(self, part: str, model_class: Any, dtype: torch.dtype, device: torch.device) -> Any:
        """Built empty from the settings that ship with us, filled from the file."""
        stored = self.layout[part]
        model = empty_model(model_class, self.config(part))
        weights = stored.convert(self._tensors(part, dtype), model, stored.prefix)
        try:
            report = model.load_state_dict(weights, strict=False, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise BaseModelError(
                f"base {self.name}: the {part} in {self.path.name} has other shapes than its family has: {reason}"
            ) from error
        refuse_missing(report.missing_keys, self.name, f"the {part} in {self.path.name}")
        if report.unexpected_keys:
            raise BaseModelError(
                f"base {self.name}: the {part} in {self.path.name} has {len(report.unexpected_keys)} weights that its "
                f"family has not, first {min(report.unexpected_keys)}: it is of another architecture"
            )
        return frozen(model, device)

    def tokenizer(self, part: str, pad_token: str) -> Any:
        return clip_tokenizer(pad_token)

    def digest(self, parts: Sequence[str]) -> str:
        """SHA-256 over the names, shapes and bytes of the parts' tensors; tokenizers are the same in all such files."""
        digest = hashlib.sha256()
        for part in (part for part in parts if part in self.layout):
            with opened(self.path, self.name) as file:
                for name in self._names(part):
                    tensor: Tensor = file.get_tensor(name)
                    digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
                    digest.update(tensor.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @cached_property
    def notes(self) -> Sequence[str]:
        """What the person should know about the file."""
        if self.header.has(EMA_PREFIX):
            return [f"{self.path.name} also holds averaged (EMA) weights: the plain ones are taken"]
        return []

    def _names(self, part: str) -> list[str]:
        return sorted(name for name in self.header.shapes if name.startswith(self.layout[part].prefix))

    def _tensors(self, part: str, dtype: torch.dtype) -> Weights:
        pieces = read(self.path, self.name, self._names(part), dtype)
        return {name: tensor for piece in pieces for name, tensor in piece.items()}

"""The LoRA file in its canonical form: what every format is read into and written from.

A layer's key is the model part and the dotted path inside it, in diffusers' names with transformers' classic
`text_model`: "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

PARTS = ("unet", "text_encoder", "text_encoder_2")
"""The model parts that a LoRA may change, as diffusers' pipelines call them."""


@dataclass(frozen=True)
class LoraLayer:
    """The change of one layer.

    Attributes:
        algorithm: the adapter plug-in that reads the tensors.
        tensors: the algorithm's numbers by its own names; for LoRA "down" [r, in] and "up" [out, r].
        rank: rank of the change.
        alpha: the change is scaled by alpha / rank.
    """

    algorithm: str
    tensors: Mapping[str, Tensor]
    rank: int
    alpha: float


@dataclass(frozen=True)
class LoraFile:
    """A LoRA: layers by canonical key, and the file's metadata as plain strings."""

    layers: Mapping[str, LoraLayer]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, LoraLayer]:
        """The layers of one model part, by dotted path inside that part."""
        prefix = name + "."
        return {key.removeprefix(prefix): layer for key, layer in self.layers.items() if key.startswith(prefix)}


class Format(Protocol):
    """What a module of the registry's kind "format" offers: a way to name the tensors of a LoRA."""

    def matches(self, keys: Iterable[str]) -> bool:
        """Whether tensors of these names are a LoRA in this naming."""
        ...

    def read(
        self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], layer_paths: Mapping[str, Sequence[str]]
    ) -> LoraFile:
        """Tensors by this naming -> canonical form.

        Args:
            tensors: all tensors of the file.
            metadata: the file's metadata.
            layer_paths: model part -> dotted paths of the base's layers, in canonical names.
        Raises:
            LoraFileError: a tensor is not understood, matches no layer, or lacks its partner.
        """
        ...

    def write(self, file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Canonical form -> tensors and metadata by this naming; what is computed here is float32.

        Raises:
            LoraFileError: the naming cannot express the LoRA.
        """
        ...

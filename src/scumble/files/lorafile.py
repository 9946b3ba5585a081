"""The LoRA file in its canonical form: what every format is read into and written from.

A layer's key is the model part and the dotted path inside it, in diffusers' names with transformers' classic
`text_model`: "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from scumble.files.embeddings import Embeddings
from scumble.files.namings import Naming
from scumble.files.tensornames import TensorName


@dataclass(frozen=True)
class LoraLayer:
    """The change of one layer.

    Attributes:
        algorithm: the adapter plug-in that reads the tensors.
        tensors: the algorithm's numbers by its own names, in the shapes of `layouts.LAYOUTS`; with DoRA also
            "magnitude", [out, 1(, 1, 1)] = a norm of each output row, or [1, in(, 1, 1)] = of each input channel.
        rank: rank of the change; 1 for a LoKr of two whole factors.
        alpha: the change is scaled by alpha / rank.
        idle_alpha: an alpha that a file states and that has no effect, so that writing gives it back: a LoKr of two
            whole factors has scale 1 whatever its alpha says.
    """

    algorithm: str
    tensors: Mapping[str, Tensor]
    rank: int
    alpha: float
    idle_alpha: float | None = None

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class LoraFile:
    """A LoRA.

    Attributes:
        layers: by canonical key.
        metadata: the file's, as plain strings.
        left_out: layers and tensors of the file that were not read, by their names there: only where the caller allowed
            a part of a file to be read, and to be told to the person.
        embeddings: words that mean learned vectors where the LoRA is in use.
    """

    layers: Mapping[str, LoraLayer]
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    embeddings: Embeddings = field(default_factory=dict)

    def part(self, name: str) -> dict[str, LoraLayer]:
        """The layers of one model part, by dotted path inside that part."""
        prefix = name + "."
        return {key.removeprefix(prefix): layer for key, layer in self.layers.items() if key.startswith(prefix)}


class Format(Protocol):
    """What a module of the registry's kind "format" offers: a way to name the tensors of a LoRA.

    Which files it reads is said by the table in `detect`.

    Attributes:
        NAMINGS: how it spells the names of layers.
    """

    NAMINGS: Sequence[Naming]

    def split(self, key: str) -> tuple[str, TensorName] | None:
        """A tensor's name -> its layer's name and what it is of that; None if it is not understood."""
        ...

    def read(
        self,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, str],
        layer_paths: Mapping[str, Sequence[str]],
        allow_partial: bool = False,
    ) -> LoraFile:
        """Tensors by this naming -> canonical form.

        Args:
            tensors: all tensors of the file.
            metadata: the file's metadata.
            layer_paths: model part -> dotted paths of the base's layers, in canonical names.
            allow_partial: leave out what is not understood, matches no layer or lacks its partner, and say so in
                `LoraFile.left_out`.
        Raises:
            LoraFileError: a tensor is not understood, matches no layer, or lacks its partner; or nothing is left.
        """
        ...

    def write(self, file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Canonical form -> tensors and metadata by this naming; what is computed here is float32.

        Raises:
            LoraFileError: the naming cannot express the LoRA.
        """
        ...

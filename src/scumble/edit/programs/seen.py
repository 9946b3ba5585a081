"""A LoRA file as the rules of other programs look at it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from scumble.edit.change import MAGNITUDE
from scumble.edit.programs.effects import Effect
from scumble.families.layers import LayerTable
from scumble.files.embeddings import BUNDLE
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.spelling import Written, as_written

TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class Seen:
    """A layer of a file.

    Attributes:
        key: canonical key.
        layer: what it holds.
        written: how the file writes it.
    """

    key: str
    layer: LoraLayer
    written: Written

    @property
    def part(self) -> str:
        """The model part."""
        return self.key.partition(".")[0]

    @property
    def begin(self) -> str:
        """How its name begins."""
        return self.written.spelling.begin

    @property
    def path(self) -> str:
        """Whose names follow: those of diffusers, of Stability's code ("sgm"), or "short"."""
        return self.written.spelling.path

    @property
    def lengths(self) -> str | None:
        """Axis of DoRA's lengths: "output", "input", or None."""
        if MAGNITUDE not in self.layer.tensors:
            return None
        return "output" if self.layer.tensors[MAGNITUDE].shape[1] == 1 else "input"

    @property
    def states_alpha(self) -> bool:
        """Whether a tensor says its alpha."""
        return self.written.has(".alpha")


@dataclass(frozen=True)
class SeenFile:
    """A file, and the base that it is for.

    Attributes:
        layers: of the file, by canonical key.
        table: layers of the base.
        metadata: the file's.
        has_words: whether it brings words.
    """

    layers: Mapping[str, Seen]
    table: LayerTable
    metadata: Mapping[str, str]
    has_words: bool = False

    @cached_property  # asked of every layer
    def has_two_encoders(self) -> bool:
        """Whether the base has two text encoders."""
        return any(key.startswith("text_encoder_2.") for key in self.table.shapes)

    def of(self, part: str) -> list[Seen]:
        """The layers of one model part."""
        return [layer for layer in self.layers.values() if layer.part == part]

    def whole_attention(self, key: str) -> bool:
        """Whether q, k, v and out of a text encoder's attention are all in the file."""
        block, _, last = key.rpartition(".")
        return last not in TEXT_ATTENTION or all(f"{block}.{name}" in self.layers for name in TEXT_ATTENTION)


Rule = Callable[[SeenFile], Mapping[str, Effect]]
"""What a program makes of each layer of a file."""


def seen(file: LoraFile, names: Mapping[str, object], table: LayerTable) -> SeenFile:
    """A file that was read, and the names in it.

    Args:
        file: in canonical form.
        names: of its tensors.
        table: layers of the base.
    """
    of_layers = [name for name in names if not name.startswith(BUNDLE)]  # in their order, which diffusers goes by
    written = as_written(of_layers, table.paths()) if of_layers else {}
    layers = {key: Seen(key, file.layers[key], how) for key, how in written.items() if key in file.layers}
    return SeenFile(layers, table, file.metadata, bool(file.embeddings))

"""How a LoRA file spells its layers: what other programs decide by, and the canonical form does not show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scumble.files.detect import format_of
from scumble.files.lorafile import Format
from scumble.files.namings import Spelling, spelled_names
from scumble.registry import load


@dataclass(frozen=True)
class Written:
    """A layer as a file writes it.

    Attributes:
        spelling: how its name came about.
        tensors: the names of its tensors in the file.
    """

    spelling: Spelling
    tensors: frozenset[str]

    def has(self, *ends: str) -> bool:
        """Whether the name of one of its tensors ends so."""
        return any(name.endswith(ends) for name in self.tensors)


def as_written(names: Iterable[str], layer_paths: Mapping[str, Sequence[str]]) -> dict[str, Written]:
    """Canonical key -> how a file writes the layer; of the layers that this base has.

    Args:
        names: of all tensors of the file.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
    Raises:
        LoraFileError: it is no LoRA file.
    """
    names = list(names)
    plugin: Format = load("format", format_of(names))
    spellings: dict[str, Spelling] = {}
    for layer, each in spelled_names(plugin.NAMINGS, layer_paths):
        spellings.setdefault(layer, each)
    found: dict[str, tuple[Spelling, set[str]]] = {}
    for name in names:
        parts = plugin.split(name)
        spelling = None if parts is None else spellings.get(parts[0])
        if spelling is not None:
            found.setdefault(spelling.key, (spelling, set()))[1].add(name)
    return {key: Written(spelling, frozenset(tensors)) for key, (spelling, tensors) in found.items()}

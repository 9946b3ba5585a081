"""The layers of a base by the names that LoRA files give them: their shapes, and where their weights lie on the disk.

A table is of an opened base, or of a published architecture of which no weight is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from scumble.errors import BaseModelError
from scumble.families.base import BaseModel, FileIdentity
from scumble.families.find import open_base
from scumble.families.hub import IN_THE_BOX
from scumble.families.outline import Shape
from scumble.families.shapes import layer_paths, layer_shapes, shipped_table
from scumble.families.stored import StoredWeight, stored_weights
from scumble.families.unet import UnetBase
from scumble.families.weights import opened
from scumble.registry import load, names


@dataclass(frozen=True)
class LayerTable:
    """The layers that a LoRA may change.

    Attributes:
        name: the base as the person named it, or the architecture.
        identity: how LoRA files name the family.
        shapes: canonical key -> shape of the layer's weight, [out, in] or [out, in, k, k].
        stored: canonical key -> where its weight lies; a folder may hold it in several precisions, the one that is
            loaded first. {} where no weight is there.
    """

    name: str
    identity: FileIdentity
    shapes: Mapping[str, Shape]
    stored: Mapping[str, Sequence[StoredWeight]] = field(default_factory=dict)

    def paths(self) -> dict[str, list[str]]:
        """Model part -> dotted paths of its layers."""
        return layer_paths(self.shapes)

    def text_widths(self) -> dict[str, int]:
        """Model part -> width of each text encoder."""
        return {
            key.partition(".")[0]: shape[1]
            for key, shape in self.shapes.items()
            if key.endswith("encoder.layers.0.self_attn.q_proj")
        }

    def weight(self, key: str) -> Tensor:
        """A layer's weight as it lies on the disk, in its own precision.

        Raises:
            BaseModelError: it is not there, or has another shape than the architecture says.
        """
        stored = self.stored[key][0]
        with opened(stored.file, self.name) as file:
            rows = stored.rows
            tensor: Tensor = file.get_slice(stored.name)[rows[0] : rows[1]] if rows else file.get_tensor(stored.name)
        if tuple(tensor.shape) != self.shapes[key]:
            raise BaseModelError(
                f"base {self.name}: {stored.name} in {stored.file.name} is {list(tensor.shape)}, expected "
                f"{list(self.shapes[key])}: it is of another architecture"
            )
        return tensor


def table_of(base: BaseModel, weights: bool = True) -> LayerTable:
    """The layers of an opened base; no weight is read.

    Args:
        base: an opened base.
        weights: find out where its weights lie.
    Raises:
        BaseModelError: a layer's weight is not in its files.
    """
    assert isinstance(base, UnetBase), "every family so far denoises with a UNet"
    shapes = layer_shapes(base.configs)
    return LayerTable(base.name, base.file_identity(), shapes, stored_weights(base, shapes) if weights else {})


def known_tables() -> Iterator[LayerTable]:
    """The models in the box and the published architectures; the code of no model is imported for it."""
    for name in IN_THE_BOX:
        base, shapes = open_base(name), shipped_table(name).shapes
        yield LayerTable(name, base.file_identity(), shapes, stored_weights(base, shapes))
    for family in names("family"):
        yield LayerTable(family, load("family", family).KIND.file_identity("epsilon"), shipped_table(family).shapes)

"""The layers of a base by the names that LoRA files give them: their shapes, and where their weights lie on the disk.

A table is of an opened base, or of a published architecture of which no weight is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from scumble.errors import BaseModelError
from scumble.families.base import BaseModel, FileIdentity
from scumble.families.checkpoint import CONFIGS
from scumble.families.clip import canonical_text_paths
from scumble.families.find import open_base
from scumble.families.hub import IN_THE_BOX
from scumble.families.stored import StoredWeight, stored_weights
from scumble.families.unet import Configs, UnetBase
from scumble.families.weights import opened
from scumble.registry import load, names

Shape = tuple[int, ...]

TABLES = CONFIGS.with_name("tables")
"""Layers and shapes of the known architectures, one file each, as tests/families/make_layer_tables.py writes them."""


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
        found: dict[str, list[str]] = {}
        for key in self.shapes:
            part, _, path = key.partition(".")
            found.setdefault(part, []).append(path)
        return found

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
        base, shapes = open_base(name), _shipped_shapes(name)
        yield LayerTable(name, base.file_identity(), shapes, stored_weights(base, shapes))
    for family in names("family"):
        yield LayerTable(family, load("family", family).KIND.file_identity("epsilon"), _shipped_shapes(family))


def _shipped_shapes(name: str) -> dict[str, Shape]:
    lines = (TABLES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {key: tuple(map(int, sizes)) for key, *sizes in map(str.split, lines)}


def layer_shapes(configs: Configs) -> dict[str, Shape]:
    """Canonical key -> shape of the weight, from the settings of the denoiser and of each text encoder."""
    shapes = _denoiser_shapes(configs["unet"])
    for part in configs:
        if part != "unet":
            shapes |= _text_shapes(part, configs[part])
    return shapes


def _denoiser_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    with torch.device("meta"):
        denoiser = UNet2DConditionModel.from_config(dict(config))
    return {
        f"unet.{path}": tuple(layer.weight.shape)
        for path, layer in denoiser.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }


def _text_shapes(part: str, config: Mapping[str, Any]) -> dict[str, Shape]:
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    sizes = {"fc1": (inner, width), "fc2": (width, inner)}
    return {
        f"{part}.{path}": sizes.get(path.rpartition(".")[2], (width, width))
        for path in canonical_text_paths(int(config["num_hidden_layers"]))
    }

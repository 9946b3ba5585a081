"""The layers of a base by its settings; of a known architecture off a table, so that no code of a model is imported for it.

tests/families/make_layer_tables.py writes the tables: the first line has the numbers of the whole denoiser, each other one a
layer's canonical key and the sizes of its weight.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scumble.families.checkpoint import CONFIGS, shipped_configs
from scumble.families.clip import canonical_text_paths
from scumble.families.hub import IN_THE_BOX
from scumble.families.outline import Outline, Shape, tree
from scumble.families.parts import read_json
from scumble.registry import names

Configs = Mapping[str, Mapping[str, Any]]
"""Model part -> its settings."""

TABLES = CONFIGS.with_name("tables")
DEFAULTS = TABLES / "defaults.json"
"""Settings of a UNet that its file leaves out."""

DENOISER = "unet"
NO_SHAPE = {"sample_size", "upcast_attention"}
"""Settings by which no layer's shape changes, and in which bases of one architecture differ."""


@dataclass(frozen=True)
class Table:
    """A known architecture.

    Attributes:
        num_parameters: of the denoiser.
        shapes: canonical key -> shape of the layer's weight, [out, in] or [out, in, k, k].
    """

    num_parameters: int
    shapes: Mapping[str, Shape]


@cache
def shipped_table(name: str) -> Table:
    """The table of a base in the box or of a family."""
    first, *lines = (TABLES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    shapes = {key: tuple(map(int, sizes)) for key, *sizes in map(str.split, lines)}
    return Table(int(first.removeprefix(DENOISER)), shapes)


def layer_shapes(configs: Configs) -> dict[str, Shape]:
    """Canonical key -> shape of the weight, from the settings of the denoiser and of each text encoder."""
    shapes = _denoiser_shapes(configs[DENOISER])
    for part in configs:
        if part != DENOISER:
            shapes |= text_shapes(part, configs[part])
    return shapes


def layer_paths(shapes: Mapping[str, Shape]) -> dict[str, list[str]]:
    """Model part -> dotted paths of its layers, of canonical keys."""
    found: dict[str, list[str]] = {}
    for key in shapes:
        part, _, path = key.partition(".")
        found.setdefault(part, []).append(path)
    return found


def outline_of(configs: Configs) -> Outline:
    """The base that has such settings."""
    texts = {part: tree(_paths(text_shapes(part, config))) for part, config in configs.items() if part != DENOISER}
    denoiser = tree(_paths(_denoiser_shapes(configs[DENOISER])))
    return Outline({DENOISER: denoiser, **texts}, _table_of(configs[DENOISER]).num_parameters)


def empty_unet(config: Mapping[str, Any]) -> nn.Module:
    """The UNet of these settings, on the meta device."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    with torch.device("meta"):
        denoiser: nn.Module = UNet2DConditionModel.from_config(dict(config))
    return denoiser


def known_as(config: Mapping[str, Any]) -> str | None:
    """Name of the table that tells the layers of a UNet with these settings; None = there is none."""
    wanted = _whole(config)
    return None if wanted is None else next((name for name, known in _known() if known == wanted), None)


@cache
def _known() -> Sequence[tuple[str, Mapping[str, Any] | None]]:
    box = Path(str(resources.files("scumble")))
    own = {name: read_json(box / place / DENOISER / "config.json", name) for name, place in IN_THE_BOX.items()}
    settings = own | {family: shipped_configs(family)[DENOISER] for family in names("family")}
    return [(name, _whole(config)) for name, config in settings.items()]


@cache
def _defaults() -> Mapping[str, Any]:
    return read_json(DEFAULTS, DEFAULTS.name)


def _whole(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """All settings that may matter to a shape; None where one of them was not known when the tables were written."""
    given = {name: value for name, value in config.items() if not name.startswith("_")}
    if not given.keys() <= _defaults().keys():
        return None
    return {name: value for name, value in {**_defaults(), **given}.items() if name not in NO_SHAPE}


def _denoiser_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    return {key: shape for key, shape in _table_of(config).shapes.items() if key.startswith(f"{DENOISER}.")}


def _table_of(config: Mapping[str, Any]) -> Table:
    name = known_as(config)
    return _made_table(json.dumps(dict(config), sort_keys=True)) if name is None else shipped_table(name)


@lru_cache(maxsize=8)
def _made_table(config: str) -> Table:
    """Of an architecture that is not known, off its UNet, which is built empty."""
    denoiser = empty_unet(json.loads(config))
    return Table(sum(map(torch.Tensor.numel, denoiser.parameters())), shapes_in(denoiser))


def shapes_in(denoiser: nn.Module) -> dict[str, Shape]:
    """Canonical key -> shape, of a UNet's layers that a LoRA may change."""
    return {
        f"{DENOISER}.{path}": tuple(layer.weight.shape)
        for path, layer in denoiser.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }


def text_shapes(part: str, config: Mapping[str, Any]) -> dict[str, Shape]:
    """Canonical key -> shape, of a CLIP text model's layers that a LoRA may change."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    sizes = {"fc1": (inner, width), "fc2": (width, inner)}
    return {
        f"{part}.{path}": sizes.get(path.rpartition(".")[2], (width, width))
        for path in canonical_text_paths(int(config["num_hidden_layers"]))
    }


def _paths(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Of one part: canonical keys without the part's name."""
    return {key.partition(".")[2]: shape for key, shape in shapes.items()}

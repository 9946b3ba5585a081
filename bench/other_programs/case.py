"""A file: which layers, how they are made, and how it spells them."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from base_models import Base
from exact import exact_change
from factors import Change
from layer_names import Spelling
from reading import changes_name
from safetensors.torch import save_file
from selections import Select
from tensor_names import WITH_ALPHA, TensorSpelling, kohya
from torch import Tensor

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""PEFT's files in its folders."""

VERSIONS = {"sd1": "sd_v1", "sdxl": "sdxl_base_v1-0"}
"""Family -> how kohya's metadata call it."""


@dataclass(frozen=True)
class Case:
    """A file.

    Attributes:
        name: what it is for people.
        family: of its base.
        select: its layers.
        spell: how it names them.
        change: how they are made.
        tensors: how it names their tensors.
        settings: where PEFT's settings go: to the "metadata", as diffusers has them, to a "folder", as PEFT has them.
        rewritten: the format in which our own writer writes it again, if it does.
        dtype: of its numbers.
    """

    name: str
    family: str
    select: Select
    spell: Spelling
    change: Change = field(default=Change())
    tensors: TensorSpelling = kohya
    settings: str | None = None
    rewritten: str | None = None
    dtype: torch.dtype = torch.float32


def sides_of(case: Case, base: Base) -> dict[str, dict[str, Tensor]]:
    """Canonical key -> the layer's tensors by kohya's names."""
    seed = zlib.crc32(f"{case.family} {case.name}".encode()) % 10_000
    keys = case.select(base)
    made = {key: case.change.of(base.weights[key], index, seed) for index, key in enumerate(keys)}
    return {key: {name: tensor.to(case.dtype) for name, tensor in sides.items()} for key, sides in made.items()}


def exact_changes(case: Case, base: Base) -> dict[str, Tensor]:
    """Canonical key -> the change that the file means, float64."""
    made = sides_of(case, base)
    if case.tensors not in WITH_ALPHA and not case.settings:
        made = {key: {name: side for name, side in sides.items() if name != "alpha"} for key, sides in made.items()}
    return {key: exact_change(sides, base.weights[key]) for key, sides in made.items()}


def write_case(case: Case, base: Base, folder: Path) -> Path:
    """Write the file.

    Args:
        case: what to write.
        base: what it is for.
        folder: where to.
    Returns:
        The .safetensors file; of a PEFT folder the one inside.
    """
    tensors: dict[str, Tensor] = {}
    made = sides_of(case, base)
    for key, sides in made.items():
        tensors |= case.tensors(case.spell(base, key), sides)
    path = folder / case.family / changes_name(case.name)
    metadata = {"ss_base_model_version": VERSIONS[case.family]} if case.tensors is kohya else {}
    if case.settings == "metadata":
        metadata["lora_adapter_metadata"] = json.dumps(_settings(case, made))
    if case.settings == "folder":
        path = _started_folder(path.with_suffix(""), {"peft_type": "LORA", **_settings(case, made)})
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return _rewritten(path, case.rewritten, base) if case.rewritten else path


def _started_folder(folder: Path, settings: Mapping[str, object]) -> Path:
    """A PEFT folder of the denoiser with its settings; returns where its tensors go."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {name.removeprefix("unet."): value for name, value in settings.items()}
    (folder / SETTINGS).write_text(json.dumps(own), encoding="utf-8")
    return folder / WEIGHTS


def _settings(case: Case, made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, object]:
    """PEFT's settings of every model part, flat, as diffusers saves them."""
    settings: dict[str, object] = {}
    for part in dict.fromkeys(key.partition(".")[0] for key in made):
        paths = [key.removeprefix(f"{part}.") for key in made if key.startswith(f"{part}.")]
        if part != "unet":
            paths = [path.removeprefix("text_model.") for path in paths]
        own = [sides for key, sides in made.items() if key.startswith(f"{part}.")]
        ranks = {path: sides["lora_down.weight"].shape[0] for path, sides in zip(paths, own, strict=True)}
        alphas = {path: sides["alpha"].item() for path, sides in zip(paths, own, strict=True)}
        rank, alpha = case.change.ranks[0], case.change.alphas[0]
        settings |= {
            f"{part}.r": rank,
            f"{part}.lora_alpha": alpha,
            f"{part}.rank_pattern": {path: other for path, other in ranks.items() if other != rank},
            f"{part}.alpha_pattern": {path: other for path, other in alphas.items() if other != alpha},
            f"{part}.target_modules": paths,
        }
    return settings


def _rewritten(path: Path, format: str, base: Base) -> Path:
    from scumble.files.read import read_lora, write_lora

    paths: dict[str, list[str]] = {}
    for key in base.weights:
        part, _, rest = key.partition(".")
        paths.setdefault(part, []).append(rest)
    file = read_lora(path, paths)
    if format != "peft":
        write_lora(file, path, format)
        return path
    path.unlink()
    write_lora(file, path.with_suffix(""), format)
    (weights,) = path.with_suffix("").rglob(WEIGHTS)  # the denoiser alone: one folder
    return weights

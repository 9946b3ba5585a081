"""Where the weight of each layer lies in a base's files, by the name that LoRA files give the layer."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scumble.errors import BaseModelError
from scumble.families.base import BaseModel
from scumble.families.checkpoint import read_header
from scumble.families.convert import UNET, Layout, Stored, open_clip_weights
from scumble.files.sgm import sgm_paths
from scumble.registry import load

OPEN_CLIP = {
    "self_attn.q_proj": ("attn.in_proj_weight", 0),
    "self_attn.k_proj": ("attn.in_proj_weight", 1),
    "self_attn.v_proj": ("attn.in_proj_weight", 2),
    "self_attn.out_proj": ("attn.out_proj.weight", None),
    "mlp.fc1": ("mlp.c_fc.weight", None),
    "mlp.fc2": ("mlp.c_proj.weight", None),
}
"""transformers' layer -> OpenCLIP's tensor, and which third of its rows; None = all of them."""

TEXT_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)")


@dataclass(frozen=True)
class StoredWeight:
    """A layer's weight on the disk.

    Attributes:
        file: a .safetensors file.
        name: the tensor's name in it.
        rows: begin and end of the layer's rows in a tensor that several layers share; None = it is the layer's own.
    """

    file: Path
    name: str
    rows: tuple[int, int] | None = None


def stored_weights(base: BaseModel, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[StoredWeight]]:
    """Where every layer's weight lies; a folder may hold it in several precisions, the one that is loaded first.

    Args:
        base: an opened base.
        shapes: canonical key -> shape of its layers.
    Raises:
        BaseModelError: a layer's weight is in none of the files.
    """
    found = _in_file(base, shapes) if base.path.is_file() else _in_folder(base, shapes)
    missing = sorted(shapes.keys() - found.keys())
    if missing:
        raise BaseModelError(
            f"base {base.name}: {base.path} has no weights in .safetensors for {len(missing)} of {len(shapes)} layers, "
            f"first {missing[0]}: get it again, in that format"
        )
    return found


def _in_folder(base: BaseModel, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[StoredWeight]]:
    names = {
        part: [(file, set(read_header(file, base.name).shapes)) for file in weight_files(base.path / part)]
        for part in dict.fromkeys(key.partition(".")[0] for key in shapes)
    }
    found: dict[str, list[StoredWeight]] = {}
    for key in shapes:
        part, _, path = key.partition(".")
        # newer transformers have no `text_model` in their files
        spellings = (f"{path}.weight", f"{path.removeprefix('text_model.')}.weight")
        for file, inside in names[part]:
            name = next((spelling for spelling in spellings if spelling in inside), None)
            if name is not None:
                found.setdefault(key, []).append(StoredWeight(file, name))
    return found


def weight_files(folder: Path) -> list[Path]:
    """The .safetensors files of a part, plain ones before variants such as model.fp16.safetensors."""
    return sorted(folder.glob("*.safetensors"), key=lambda file: (file.name.count("."), file.name))


def _in_file(base: BaseModel, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[StoredWeight]]:
    inside = read_header(base.path, base.name).shapes
    layout: Layout = load("family", base.family).LAYOUT
    denoiser = sgm_paths(key.removeprefix("unet.") for key in shapes if key.startswith("unet."))
    found: dict[str, list[StoredWeight]] = {}
    for key, shape in shapes.items():
        part, _, path = key.partition(".")
        if part == "unet":
            spellings = [StoredWeight(base.path, f"{UNET.prefix}{denoiser[path]}.weight")] if path in denoiser else []
        else:
            spellings = list(_text_spellings(base.path, layout[part], path, shape[0]))
        if places := [place for place in spellings if place.name in inside]:
            found[key] = places
    return found


def _text_spellings(file: Path, stored: Stored, path: str, num_rows: int) -> Iterator[StoredWeight]:
    if stored.convert is not open_clip_weights:
        yield StoredWeight(file, f"{stored.prefix}{path}.weight")
        yield StoredWeight(file, f"{stored.prefix}{path.removeprefix('text_model.')}.weight")
        return
    layer = TEXT_LAYER.fullmatch(path)
    assert layer is not None
    name, third = OPEN_CLIP[layer[2]]
    rows = None if third is None else (third * num_rows, (third + 1) * num_rows)
    yield StoredWeight(file, f"{stored.prefix}transformer.resblocks.{layer[1]}.{name}", rows)

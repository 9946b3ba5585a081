"""Every picture of the tables, once: what lies there from an earlier time is taken, the rest is drawn and kept."""

import importlib.metadata
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from scumble.compare.bases import OnBase
from scumble.compare.cells import Cell
from scumble.compare.events import Drawn, LaidOut
from scumble.compare.kept import KeptCells, key_of, state_of
from scumble.compare.kin import Kin
from scumble.compare.layout import Layout, Spot
from scumble.compare.paint import Clock, Studio, paint_on, work_of
from scumble.config.compare import CompareConfig
from scumble.device import choose_dtype, take_device
from scumble.generate.events import Noted
from scumble.generate.prepare import precision_notes
from scumble.generate.recipe import Recipe


@dataclass(frozen=True)
class Drawing:
    """What came of a comparison.

    Attributes:
        cells: each with its picture, or the reason why there is none.
        keys: recipe -> the hash by which its picture is known.
        kins: how each base is related to those that the LoRAs were trained on.
        kept: the folder of the pictures.
    """

    cells: Mapping[Spot, Cell]
    keys: Mapping[Recipe, str]
    kins: Sequence[Kin]
    kept: KeptCells


def unfinished(out: Path) -> Path:
    """Where pictures are kept until a comparison is done: a folder beside the one it writes."""
    return out.with_name(f"{out.stem}-unfinished")


def draw_cells(
    config: CompareConfig, layout: Layout, bases: Mapping[str | None, OnBase], cells: Mapping[Spot, Cell]
) -> Generator[Noted | LaidOut | Drawn, None, Drawing]:
    """Draw what is not there yet, one base after the other.

    Raises:
        ConfigError: no such device or precision, or a folder that cannot be written to.
        LoraFileError: a LoRA does not fit the only base.
        BaseModelError: a part of a base cannot be loaded.
        OutOfMemoryError: a base alone does not fit.
        ScumbleError: the disk does not take a picture.
    """
    device = take_device(config.device)
    dtype = choose_dtype(config.mixed_precision, device)
    yield from precision_notes(dtype, device)
    kept = KeptCells(config.cells or unfinished(config.out), stays=config.cells is not None)
    keys = _keys(config, cells, device, dtype)
    images = {recipe: kept.find(key, recipe) for recipe, key in keys.items()}
    drawable = {cell.recipe: spot for spot, cell in reversed(list(cells.items())) if not cell.reason}
    wanted = [recipe for recipe in keys if recipe in drawable and images[recipe] is None]
    yield _laid_out(layout, len(drawable), len(drawable) - len(wanted))
    studio = Studio(device, dtype, Clock(len(wanted), sum(map(work_of, wanted))), has_one_base=len(bases) == 1)
    reasons: dict[Recipe, str] = {}
    kins: list[Kin] = []
    for name, on_base in bases.items():
        for event in paint_on(on_base, [each for each in wanted if cells[drawable[each]].base == name], studio):
            if isinstance(event, Kin):
                kins.append(event)
                continue
            if isinstance(event, Drawn):
                images[event.recipe], reasons[event.recipe] = event.image, event.reason
                if event.image is not None:
                    kept.keep(keys[event.recipe], event.recipe, event.image, _label(layout, drawable[event.recipe]))
            yield event
    done = {
        spot: replace(cell, image=images[cell.recipe], reason=cell.reason or reasons.get(cell.recipe, ""))
        for spot, cell in cells.items()
    }
    return Drawing(done, keys, kins, kept)


def _keys(
    config: CompareConfig, cells: Mapping[Spot, Cell], device: torch.device, dtype: torch.dtype
) -> dict[Recipe, str]:
    """Recipe -> the hash by which its picture is found, each recipe once, in the order of the cells."""
    vae = config.vae or ""
    shared = {
        "version": importlib.metadata.version("scumble"),
        "device": f"{device.type} {dtype}",
        "base settings": f"{config.preset} {config.prediction_type} {config.zero_terminal_snr} {config.allow_partial}",
        "vae": f"{vae} {state_of(vae) if vae else ''}",
    }
    states = {name: state_of(name) for name in {cell.recipe.base for cell in cells.values()}}
    recipes = dict.fromkeys(cell.recipe for cell in cells.values())
    return {recipe: key_of(recipe, {**shared, "state": states[recipe.base]}) for recipe in recipes}


def _laid_out(layout: Layout, pictures: int, kept: int) -> LaidOut:
    columns, rows, tables = (len(axis.choices) for axis in layout.axes)
    return LaidOut(columns, rows, tables, pictures, kept)


def _label(layout: Layout, spot: Spot) -> str:
    """What a picture's file is called after."""
    return " ".join(axis.choices[at].label for axis, at in zip(layout.axes, spot, strict=True)).strip()

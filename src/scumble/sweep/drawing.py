"""The pictures of a sweep: the same prompts and seeds by the base and by every cell's best LoRA."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL import Image

from scumble.files.atomic import write_atomically
from scumble.files.read import read_lora
from scumble.generate.infotext import png_texts
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Picture, Recipe
from scumble.generate.save import png_bytes
from scumble.train.plan import Plan

FIRST_SEED = 1025
STEPS = 25
SAMPLER = "DPM++ 2M Karras"
BASE = "base"


@dataclass(frozen=True)
class Drawing:
    """What is drawn.

    Attributes:
        prompts: each with every seed.
        seeds: of the noise.
    """

    prompts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def columns(self) -> list[tuple[str, int]]:
        """(prompt, seed) of each picture of a row."""
        return [(prompt, seed) for prompt in self.prompts for seed in self.seeds]

    def folder(self, sweep: Path, row: str) -> Path:
        """Where the pictures of the base or of a cell lie; other prompts have another place."""
        what = hashlib.sha256(json.dumps([asdict(self), STEPS, SAMPLER]).encode()).hexdigest()[:8]
        return sweep / "pictures" / what / row

    def files(self, sweep: Path, row: str) -> list[Path]:
        """The pictures of a row, drawn or not yet."""
        return [self.folder(sweep, row) / f"{index:02d}.png" for index in range(len(self.columns))]

    def is_drawn(self, sweep: Path, row: str) -> bool:
        """Whether all pictures of a row are there."""
        return all(file.exists() for file in self.files(sweep, row))


def draw_missing(plan: Plan, drawing: Drawing, sweep: Path, cell: str, lora: Path) -> None:
    """Draw the base's row and the cell's, each where it is not there yet.

    Args:
        plan: of the cell: its base, device and precision.
        drawing: the prompts and seeds.
        sweep: the sweep's folder.
        cell: the name of its row.
        lora: that is used with its row, at full strength.
    """
    missing = [row for row in (BASE, cell) if not drawing.is_drawn(sweep, row)]
    if not missing:
        return
    painter = Painter.load(plan.base, plan.device, plan.dtype)
    painter.add_lora(cell, read_lora(lora, plan.base.layer_paths()))
    for row in missing:
        loras = () if row == BASE else (LoraUse(cell),)
        recipe = replace(recipe_of(plan), loras=loras)
        pictures = painter.paint([replace(recipe, prompt=prompt, seed=seed) for prompt, seed in drawing.columns])
        _save(pictures, drawing.files(sweep, row))


def recipe_of(plan: Plan) -> Recipe:
    """How pictures of a sweep are drawn; the prompt and the seed are still to be said."""
    side, clip_skip = plan.config.data.resolution, plan.config.model.clip_skip
    assert side is not None
    assert clip_skip is not None
    return Recipe(
        prompt="",
        width=side,
        height=side,
        steps=STEPS,
        guidance_scale=plan.base.advice.guidance_scale,
        sampler=SAMPLER,
        clip_skip=clip_skip,
        base=plan.base.name,
    )


def _save(pictures: Sequence[Picture], files: Sequence[Path]) -> None:
    for picture, file in zip(pictures, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, png_bytes(picture.image, png_texts(picture.recipe)))


def read_row(files: Sequence[Path]) -> list[Image.Image]:
    """The pictures of a row, in memory."""
    images = []
    for file in files:
        with Image.open(file) as image:
            images.append(image.convert("RGB"))
    return images

"""A model that enlarges what a first pass has drawn; recipes name it by its file, and know it by its hash."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from PIL import Image

from scumble.config.upscale import OVERLAP_PX
from scumble.device import take_device
from scumble.errors import ConfigError
from scumble.generate.hires import LANCZOS, LATENT
from scumble.generate.recipe import Recipe
from scumble.upscale.model import Upscaler, open_upscaler
from scumble.upscale.passes import interpolated
from scumble.upscale.size import num_passes
from scumble.upscale.tile_size import choose_tiling
from scumble.upscale.tiles import Tiling, enlarge

Result = TypeVar("Result")


@dataclass
class Enlarger:
    """A loaded model, and the tiles that it enlarges in.

    Attributes:
        upscaler: the model.
        tiling: None until something is enlarged: they are then chosen by the memory that is left beside the base.
        chosen_px: side of the tiles that it began with; the memory may have been enough for smaller ones only.
    """

    upscaler: Upscaler
    tiling: Tiling | None = None
    chosen_px: int = 0

    @classmethod
    def open(cls, path: Path, device: str | None, precision: str | None) -> Self:
        """Load a model.

        Args:
            path: its file.
            device: as it was asked for; None = the best there is.
            precision: of the base as it was asked for; "no" holds for the model too, which otherwise takes half precision
                where it is on a GPU and its architecture bears that.
        Raises:
            ConfigError: its name means something else, there is no such file, or spandrel is not installed.
            UpscalerError: damaged, or a model of another kind.
        """
        if path.stem in (LATENT, LANCZOS):
            raise ConfigError(f"hires_upscaler={path}: {path.stem} is no model's name in a recipe: rename the file")
        if not path.is_file():
            raise ConfigError(f"hires_upscaler={path}: is no file; take {LATENT}, {LANCZOS} or the file of a model")
        return cls(open_upscaler(path, take_device(device), "no" if precision == "no" else None))

    @property
    def tile_px(self) -> int:
        """Side of its tiles; 0 = it has enlarged nothing yet."""
        return 0 if self.tiling is None else self.tiling.tile_px

    @property
    def shortage(self) -> str | None:
        """That the tiles became smaller, in words; None where they did not."""
        if self.tile_px >= self.chosen_px:
            return None
        return (
            f"the memory was not enough for tiles of {self.chosen_px} px: {self.upscaler.name} enlarged in tiles of "
            f"{self.tile_px} px, as the recipe says"
        )

    def with_tiles(self, tile_px: int) -> Self:
        """The same with tiles of a known side; 0 = by the memory."""
        return replace(self, tiling=Tiling(tile_px, OVERLAP_PX) if tile_px else None)

    def told(self, recipe: Recipe) -> Recipe:
        """A recipe that names this model, with its hash."""
        assert recipe.hires is not None
        return replace(recipe, hires=replace(recipe.hires, upscaler_hash=self.upscaler.digest))

    def __call__(self, image: Image.Image, size_px: tuple[int, int]) -> Image.Image:
        """An RGB picture at a larger size: by the model as often as it takes, and by Lanczos from there.

        Raises:
            OutOfMemoryError: the memory is not enough for the smallest tiles.
        """
        tiling = self.tiling or choose_tiling(self.upscaler, OVERLAP_PX)
        self.chosen_px = self.chosen_px or tiling.tile_px
        for _ in range(num_passes(image.size, size_px, self.upscaler.scale)):
            image, tiling = _result(enlarge(self.upscaler, image, tiling))
        self.tiling = tiling
        return interpolated(image, size_px)


def _result(work: Generator[object, None, Result]) -> Result:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result

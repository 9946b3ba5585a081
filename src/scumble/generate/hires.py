"""Enlarging what a first pass has drawn, for a second pass to refine."""

from PIL import Image
from torch import Tensor
from torch.nn import functional

from scumble.families.base import BaseModel
from scumble.generate.draw import size_grid
from scumble.generate.recipe import Recipe

LATENT, LANCZOS = "latent", "lanczos"


def hires_size(base: BaseModel, size_px: tuple[int, int], scale: float) -> tuple[int, int]:
    """Width and height of the second pass: the first's times the scale, cut to what the base can draw."""
    grid = size_grid(base)
    width, height = (int(side * scale) // grid * grid for side in size_px)
    return width, height


def final_size(base: BaseModel, recipe: Recipe) -> tuple[int, int]:
    """Width and height of the picture that a recipe ends in."""
    size_px = recipe.width, recipe.height
    return size_px if recipe.hires is None else hires_size(base, size_px, recipe.hires.scale)


def enlarged_latents(latents: Tensor, size: tuple[int, int]) -> Tensor:
    """Latents [B, C, H, W] of another size (width, height), between their numbers: what the WebUI calls "Latent"."""
    return functional.interpolate(latents, (size[1], size[0]), mode="bilinear", align_corners=False)


def by_lanczos(image: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    """A picture resized without a model."""
    return image.resize(size_px, Image.Resampling.LANCZOS)

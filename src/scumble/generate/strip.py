"""The reverse process as a strip: each row a picture, each column a moment on the way from noise to it."""

from collections.abc import Sequence

from PIL import Image

from scumble.generate.grid import labelled_grid
from scumble.generate.recipe import Picture

MAX_CELL_PX = 256


def strip(pictures: Sequence[Picture], title: str | None = None) -> Image.Image:
    """Draw the moments that pictures were painted with.

    Args:
        pictures: painted with `num_moments` >= 2, all with equally many steps.
        title: above everything.
    """
    assert all(picture.moments for picture in pictures), "paint with num_moments"
    return labelled_grid(
        [[moment.image for moment in picture.moments] for picture in pictures],
        [_moment_label(moment.step, pictures[0].recipe.source is not None) for moment in pictures[0].moments],
        [picture_label(picture, pictures) for picture in pictures],
        title,
        MAX_CELL_PX,
    )


def picture_label(picture: Picture, among: Sequence[Picture]) -> str:
    """What tells a picture from the others: its prompt, or its seed where the prompts are equal, or both."""
    prompt, seed = picture.recipe.prompt or "(empty prompt)", f"seed {picture.recipe.seed}"
    prompts = {other.recipe.prompt for other in among}
    seeds = {other.recipe.seed for other in among}
    if len(seeds) == 1:
        return prompt
    return seed if len(prompts) == 1 else f"{prompt}\n{seed}"


def _moment_label(step: int, is_over_picture: bool) -> str:
    start = "the picture, noised" if is_over_picture else "noise"
    return start if step == 0 else f"step {step}"

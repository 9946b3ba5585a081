"""Which part of a picture counts: a grey picture of the same name in a folder of masks, or the picture's own alpha channel.

White counts, black does not, grey in between.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from scumble.data.picture_files import opened
from scumble.data.pictures import SUFFIXES, read_picture
from scumble.errors import DataError

BLAME = "its mask "
"""How the reason begins why a picture is left out that is good itself."""

SHAPE_TOLERANCE = 0.02
"""By how much the aspect ratio of a mask may differ from its picture's."""


@dataclass(frozen=True)
class MaskRule:
    """Where masks come from.

    Attributes:
        folder: of masks, each with the name of its picture but for the suffix; None = none.
        alpha: take the alpha channel of pictures that have one.
    """

    folder: Path | None = None
    alpha: bool = False


WITHOUT_MASKS = MaskRule()


@dataclass(frozen=True)
class Mask:
    """The mask of a picture.

    Attributes:
        path: of the mask, or of the picture whose alpha channel it is.
        is_alpha: whether it is an alpha channel.
        content: SHA-256 of its grey values.
    """

    path: Path
    is_alpha: bool
    content: str

    def read(self) -> Image.Image:
        """Grey, upright."""
        return _read(self.path, self.is_alpha)


def mask_of(picture: Path, size_px: tuple[int, int], rule: MaskRule) -> Mask | None:
    """The mask of a picture, or None where the whole picture counts.

    Args:
        picture: its file.
        size_px: its width and height, upright.
        rule: where masks come from.
    Raises:
        DataError: a mask cannot be read, is of another shape than its picture, or leaves nothing of it.
    """
    path = _file_of(picture, rule.folder) if rule.folder is not None else None
    is_alpha = path is None and rule.alpha and _has_alpha(picture)
    if path is None and not is_alpha:
        return None
    path = path or picture
    grey = _grey(path, is_alpha)
    ratio = grey.width * size_px[1] / (grey.height * size_px[0])
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        raise DataError(
            f"{BLAME}{path.name} is {grey.width} x {grey.height} px, the picture {size_px[0]} x {size_px[1]}: expected the "
            "same shape"
        )
    values = np.asarray(grey)
    if not values.any():
        raise DataError(f"{BLAME}{path.name} is black everywhere: nothing of the picture would count")
    return Mask(path, is_alpha, hashlib.sha256(values.tobytes()).hexdigest())


def fit_mask(
    mask: Image.Image, size_px: tuple[int, int], latent_px: int, place: tuple[float, float] = (0.5, 0.5)
) -> Tensor:
    """A mask cut as its picture is, in the size of its latents: float32 [1, height, width], 0..1.

    Args:
        mask: grey.
        size_px: width and height that the picture is cut to.
        latent_px: side of a latent in pixels.
        place: of what is kept; see `fit`.
    """
    cut = ImageOps.fit(mask, size_px, method=Image.Resampling.BOX, centering=place)
    small = cut.resize((size_px[0] // latent_px, size_px[1] // latent_px), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).float()[None] / 255


def blames_mask(reason: str) -> bool:
    """Whether a picture is left out only because of its mask."""
    return reason.startswith(BLAME)


def _grey(path: Path, is_alpha: bool) -> Image.Image:
    try:
        return _read(path, is_alpha)
    except DataError as error:
        raise DataError(f"{BLAME}cannot be used: {error}") from None


def idle_masks(folder: Path, pictures: Iterable[Path]) -> list[Path]:
    """What lies in a folder of masks and is the mask of no picture, by name; hidden names are passed over.

    Args:
        folder: of masks.
        pictures: all that there are, usable or not.
    """
    masks = (_file_of(picture, folder) for picture in pictures)
    used = {(mask.stem, mask.suffix.lower()) for mask in masks if mask is not None}
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if (path.stem, path.suffix.lower()) not in used)


def _file_of(picture: Path, folder: Path) -> Path | None:
    spellings = (spelled for suffix in sorted(SUFFIXES) for spelled in (suffix, suffix.upper()))
    names = (folder / f"{picture.stem}{spelled}" for spelled in spellings)
    return next((path for path in names if path.is_file()), None)


def _has_alpha(picture: Path) -> bool:
    with opened(picture) as image:
        return "A" in image.getbands() or "transparency" in image.info


def _read(path: Path, is_alpha: bool) -> Image.Image:
    if not is_alpha:
        return read_picture(path).convert("L")
    with opened(path) as image:
        return ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")

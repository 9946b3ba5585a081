"""Reading one picture and making it the square that training sees."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from scumble.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
MAX_PIXELS = 100_000_000
BACKGROUND = (255, 255, 255)
"""What shows through transparency."""


def read_picture(path: Path) -> Image.Image:
    """A picture file as upright 8-bit RGB.

    Turned as its EXIF says, 16-bit values scaled down, transparency laid over white.

    Raises:
        DataError: not a picture, damaged, animated, or too large to be decoded safely.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS // 1_000_000} million")
            if getattr(image, "n_frames", 1) > 1 and image.format in {"GIF", "WEBP", "PNG"}:
                raise DataError("an animation; save the frame you want as a picture")
            image.load()
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise DataError("empty file" if path.stat().st_size == 0 else "not a picture that can be read") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot be decoded: {error}") from None
    return _to_rgb(upright)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        # Pillow's own conversion clips at 255 instead of scaling
        values = np.asarray(image).astype(np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values / top * 255).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def fit_square(image: Image.Image, size_px: int) -> Tensor:
    """The picture's middle square, resized: float32 [3, size_px, size_px] in [-1, 1]."""
    square = ImageOps.fit(image, (size_px, size_px), method=Image.Resampling.LANCZOS)
    pixels_HWC = torch.from_numpy(np.array(square))
    return pixels_HWC.permute(2, 0, 1).float() / 127.5 - 1

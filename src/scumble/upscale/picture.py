"""A picture with all that a larger one is to keep: colours, transparency, texts; and what it cannot keep."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageFilter, ImageOps
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from scumble.data.colours import WITH_ALPHA, inks_as_meant, opposite_is_meant, to_rgb
from scumble.data.picture_files import DAMAGE
from scumble.data.pictures import checked, upright

WHITE = (255, 255, 255)
GRAY = frozenset({"1", "L", "LA", "La", "I", "F"})
OF_SCREENS = GRAY | {"P", "PA", "RGB", "RGBA", "RGBa"}
"""Modes whose colour profile is right for the result too."""
XMP = "XML:com.adobe.xmp"
REACHES_PX = (2, 8, 32)


@dataclass(frozen=True)
class Original:
    """A picture file, read.

    Attributes:
        path: the file.
        rgb: upright; beneath what is transparent the colours of its surroundings.
        alpha: of one channel; None = nothing is transparent.
        is_gray: whether the result is to be gray too.
        texts: of a PNG, by name.
        profile: its colour profile.
        exif: without how it is to be turned, as bytes.
        lost: what the result will not have.
    """

    path: Path
    rgb: Image.Image
    alpha: Image.Image | None
    is_gray: bool
    texts: Mapping[str, str]
    profile: bytes | None
    exif: bytes | None
    lost: tuple[str, ...]


def read_original(path: Path, first_frame: bool = False) -> Original:
    """Read a picture file with all that a larger one is to keep.

    Args:
        path: the file.
        first_frame: of an animation take the first frame, of several pages the first one.
    Raises:
        DataError: why it cannot be read, without its name.
    """
    with checked(path, first_frame) as image:
        is_opposite, is_deep = opposite_is_meant(image), _is_deep(image)
        image.load()
        mode, texts = image.mode, {name: str(text) for name, text in getattr(image, "text", {}).items()}
        has_xmp = bool({"xmp", XMP} & image.info.keys())
        profile = image.info.get("icc_profile") or None
        turned = upright(inks_as_meant(image))
        rgb, alpha = _separated(turned)
        exif, exif_lost = _exif(image)
    if is_opposite:
        rgb = ImageOps.invert(rgb)
    lost = {
        "the finer half of its 16 bits": is_deep,
        "its transparency, which is one value of 16 bits": is_deep and alpha is None and "transparency" in turned.info,
        "its colour profile, which is one for printing": profile is not None and not _is_of_screens(mode),
        "its XMP": has_xmp,
        "its EXIF, which is damaged": exif_lost,
    }
    return Original(
        path,
        rgb,
        alpha,
        mode in GRAY or mode.startswith("I;16"),
        {name: text for name, text in texts.items() if name != XMP},  # it would say again how to turn the picture
        profile if _is_of_screens(mode) else None,
        exif,
        tuple(what for what, is_lost in lost.items() if is_lost),
    )


def png_bytes(original: Original, rgb: Image.Image, alpha: Image.Image | None, done: Mapping[str, str]) -> bytes:
    """A result as a PNG file, with what it keeps of the original.

    Args:
        original: what it was made from.
        rgb: the result.
        alpha: its transparency, of the same size.
        done: texts by name on how it was made; they replace those of these names.
    """
    image = rgb.convert("L") if original.is_gray else rgb.copy()
    if alpha is not None:
        image.putalpha(alpha)
    info = PngInfo()
    for name, text in {**original.texts, **done}.items():
        info.add_text(name, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, icc_profile=original.profile, exif=original.exif or b"")
    return buffer.getvalue()


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a picture, not loaded yet, has more than 8 bits for a value."""
    return image.mode in {"I", "F"} or any(";16" in str(tile[3]) for tile in image.tile)


def _is_of_screens(mode: str) -> bool:
    return mode in OF_SCREENS or mode.startswith("I;16")


def _separated(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours and transparency of a loaded picture."""
    is_deep = image.mode in {"I", "F"} or image.mode.startswith("I;16")
    if is_deep or not ("transparency" in image.info or image.mode in WITH_ALPHA):
        return to_rgb(image, WHITE), None
    whole = image.convert("RGBA")
    alpha = whole.getchannel("A")
    return with_surroundings(whole.convert("RGB"), alpha), alpha


def with_surroundings(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    """Colours in which what is wholly transparent takes those of its surroundings: what lies there by chance, often black,
    would be drawn into the edges.
    """
    seen = np.asarray(alpha, np.float32)[..., None] / 255
    colours = np.asarray(rgb, np.float32)
    if (seen > 0).all() or not (seen > 0).any():
        return rgb
    filled, hidden = colours.copy(), seen[..., 0] == 0
    for reach_px in REACHES_PX:
        near = _blurred(np.concatenate([colours * seen, 255 * seen], axis=-1), reach_px)
        takes = hidden & (near[..., 3] > 0)
        filled[takes] = near[takes, :3] * 255 / near[takes, 3:]
        hidden &= ~takes
    return Image.fromarray(filled.round().clip(0, 255).astype(np.uint8))


def _blurred(channels_HWC: np.ndarray, reach_px: int) -> np.ndarray:
    blur = ImageFilter.BoxBlur(reach_px)
    values = channels_HWC.round().clip(0, 255).astype(np.uint8)
    blurred = [
        np.asarray(Image.fromarray(values[..., index]).filter(blur), np.float32) for index in range(values.shape[-1])
    ]
    return np.stack(blurred, axis=-1)


def _exif(image: Image.Image) -> tuple[bytes | None, bool]:
    """EXIF as bytes, and whether there is some that cannot be kept."""
    try:
        exif = image.getexif()
        exif.pop(Base.Orientation, None)
        return (exif.tobytes() if len(exif) else None), False
    except DAMAGE:
        return None, True

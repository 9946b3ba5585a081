"""Fonts for labels: the one that matplotlib ships, or one of the system's where a label needs other signs."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import ImageFont

_PREFERRED = (
    "Noto Sans CJK",
    "Source Han Sans",
    "PingFang",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi",
    "Droid Sans Fallback",
    "SimHei",
    "Arial Unicode",
)
_ONLY_BOXES = "Last Resort"  # comes with matplotlib; has every sign, each as a box that names its script


def label_font(text: str, size_px: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font of `size_px` that has all signs of `text` if there is one here, else DejaVu Sans."""
    shipped = _shipped(bold)
    path = shipped if not missing_signs(text, shipped) else _system_font(frozenset(text)) or shipped
    return ImageFont.truetype(str(path), size_px)


def undrawable_signs(texts: Iterable[str]) -> str:
    """The signs of labels for which no font here has all that their label needs: they will show as boxes."""
    found = (missing_signs(text, _shipped(False)) for text in texts if not _system_font_needed_and_found(text))
    return "".join(sorted(set("".join(found))))


def missing_signs(text: str, font: Path) -> str:
    """The signs of a text that a font file does not have."""
    return "".join(sorted({sign for sign in text if not sign.isspace() and ord(sign) not in _signs(font)}))


def _system_font_needed_and_found(text: str) -> bool:
    return bool(missing_signs(text, _shipped(False))) and _system_font(frozenset(text)) is not None


def _shipped(bold: bool) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def _signs(font: Path) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font)).get_charmap())


@cache
def _system_font(signs: frozenset[str]) -> Path | None:
    """The first font of the system that has all these signs, well-known ones for Chinese first."""
    from matplotlib import font_manager

    entries = [entry for entry in font_manager.fontManager.ttflist if not entry.name.startswith(_ONLY_BOXES)]
    fonts = [(entry.name, Path(entry.fname)) for entry in entries]
    fonts.sort(key=lambda font: _rank(font[0]))
    text = "".join(signs)
    for _, path in fonts:
        if path.is_file() and not missing_signs(text, path):
            return path
    return None


def _rank(name: str) -> tuple[int, str]:
    known = [index for index, start in enumerate(_PREFERRED) if name.startswith(start)]
    return (known[0] if known else len(_PREFERRED), name)

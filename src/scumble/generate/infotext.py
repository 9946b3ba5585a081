"""The recipe in the picture file: as text that the WebUI (A1111) reads, and exactly, as JSON of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scumble.errors import DataError
from scumble.generate.recipe import HiresPass, LoraUse, Made, Recipe, SourcePicture
from scumble.generate.webui_text import from_infotext, to_infotext

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

WEBUI_KEY = "parameters"
OWN_KEY = "scumble"


def png_texts(*recipes: Recipe, made: Sequence[Made | None] = ()) -> PngInfo:
    """The text fields of a PNG that shows one or several recipes; the WebUI reads the first of them.

    Args:
        recipes: at least one.
        made: with what the picture of each was drawn, where that is known.
    """
    from PIL.PngImagePlugin import PngInfo

    fields = PngInfo()
    fields.add_text(WEBUI_KEY, to_infotext(recipes[0]))
    known = [*made, *[None] * (len(recipes) - len(made))]
    entries = [as_data(recipe, one) for recipe, one in zip(recipes, known, strict=True)]
    fields.add_text(OWN_KEY, json.dumps(entries, ensure_ascii=False))
    return fields


def as_data(recipe: Recipe, made: Made | None = None) -> dict[str, Any]:
    """A recipe as plain values for JSON."""
    return {**asdict(recipe), **({} if made is None else {"made": asdict(made)})}


def read_infotext(path: Path) -> Recipe:
    """The recipe of a picture; of several, the first.

    Raises:
        DataError: not a picture, or one without a recipe.
    """
    return read_recipes(path)[0]


def read_recipes(path: Path) -> list[Recipe]:
    """All recipes in a picture drawn here, or the one in a picture of the WebUI.

    Raises:
        DataError: not a picture, or one without a recipe.
    """
    return [recipe for recipe, _ in read_all(path)]


def read_all(path: Path) -> list[tuple[Recipe, Made | None]]:
    """All recipes in a picture, each with how it was made, where it says that.

    Raises:
        DataError: not a picture, or one without a recipe.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # text may come after the pixels
            texts = {key: image.info[key] for key in (OWN_KEY, WEBUI_KEY) if key in image.info}
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: cannot read the picture: {error}") from None
    if OWN_KEY in texts:
        return _from_json(path, texts[OWN_KEY])
    if WEBUI_KEY in texts:
        return [(from_infotext(texts[WEBUI_KEY]), None)]
    raise DataError(f"{path}: the picture carries no recipe (PNG text '{OWN_KEY}' or '{WEBUI_KEY}')")


def _from_json(path: Path, text: str) -> list[tuple[Recipe, Made | None]]:
    try:
        return [_of_entry(values) for values in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: its recipe is not one of this version: {error}") from None


def _of_entry(values: Mapping[str, Any]) -> tuple[Recipe, Made | None]:
    plain = {name: value for name, value in values.items() if name != "made"}
    source, hires, made = (values.get(name) for name in ("source", "hires", "made"))
    parts = {
        "loras": tuple(LoraUse(**lora) for lora in values["loras"]),
        "source": source and SourcePicture(**source),
        "hires": hires and HiresPass(**hires),
    }
    return Recipe(**{**plain, **parts}), made and Made(**made)

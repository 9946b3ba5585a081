"""Drawing a picture again from the recipe that it carries, and saying whether it is the same one."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from scumble.config.recipe import RecipeConfig
from scumble.data.pictures import read_picture
from scumble.device import memory_advice
from scumble.errors import ConfigError
from scumble.families.base import BaseModel, PredictionType
from scumble.families.find import open_base
from scumble.generate.enlarger import Enlarger
from scumble.generate.events import Event, Noted, Painted
from scumble.generate.hires import LANCZOS, LATENT
from scumble.generate.infotext import png_texts, read_all
from scumble.generate.painter import Painter
from scumble.generate.pixels import difference, pixel_hash
from scumble.generate.plan import check_recipe
from scumble.generate.prepare import OUT_OF_MEMORY_ADVICE, load_painter
from scumble.generate.prompt import places_of
from scumble.generate.recipe import Made, Picture, Recipe
from scumble.generate.save import check_folder, save_new
from scumble.generate.used_loras import find_used


def redraw(config: RecipeConfig) -> Iterator[Event]:
    """Draw every recipe that a picture carries once more, into `config.out`.

    A picture that was drawn in a batch is drawn in a batch of that size again, at its place, among copies of itself: sums
    of floating-point numbers depend on the shape of what is computed, not on what the neighbours show.

    Raises:
        DataError: the picture cannot be read, or carries no recipe.
        ConfigError: something that the recipe needs is not at hand; nothing was drawn then.
        LoraFileError, BaseModelError, UpscalerError: a LoRA, the base or the upscaling model cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    check_folder(config.out)
    entries = read_all(config.picture)
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        yield from _redraw(config, entries)


def _redraw(config: RecipeConfig, entries: Sequence[tuple[Recipe, Made | None]]) -> Iterator[Event]:
    first, made = entries[0]
    base = _open_base(config, first, made)
    for recipe, _ in entries:
        check_recipe(base, recipe)
    image = _source(config, first)
    uses = list({use.name: use for recipe, _ in entries for use in recipe.loras}.values())
    found = find_used(uses, places_of(config.lora, config.lora_dir, config.runs_dir))
    precision = config.mixed_precision or (made.precision if made else None)
    enlarger = _enlarger(config, first, precision)
    painter, loras = yield from load_painter(base, found, config.device, precision, allow_partial=True)
    if image is not None:
        first = replace(first, source=first.source and replace(first.source, hash=painter.add_image(image)))
    if enlarger is not None and first.hires is not None:
        painter.add_upscaler(first.hires.upscaler, enlarger.with_tiles(made.upscaler_tile_px if made else 0))
        first = enlarger.told(first)
    hashes = {lora.use.name: lora.use.hash for lora in loras}
    for index, (recipe, one) in enumerate([(first, made), *entries[1:]], 1):
        if one is not None:
            yield from _notes(painter, one)
        whole = replace(recipe, loras=tuple(replace(use, hash=hashes[use.name]) for use in recipe.loras))
        picture = _again(painter, replace(whole, base=base.name), one)
        texts = png_texts(picture.recipe, made=[picture.made])
        path = save_new(config.out, str(recipe.seed), picture.image, texts)
        yield Painted(path, picture.image, picture.recipe, index, len(entries), picture.made)
        yield verdict(picture.image, one, config.picture if len(entries) == 1 else None)


def _open_base(config: RecipeConfig, recipe: Recipe, made: Made | None) -> BaseModel:
    """The base, noised and decoded as it was.

    Raises:
        ConfigError: the picture tells the base by its short name only.
        BaseModelError: it is not to be found.
    """
    if config.base is None and made is None:
        said = f" names its base '{recipe.base}' only" if recipe.base else " names no base"
        raise ConfigError(f"{config.picture}{said}: say by --base which hub id, folder or file that is")
    if made is None:
        return open_base(config.base)
    prediction_type: PredictionType = "v_prediction" if made.prediction_type == "v_prediction" else "epsilon"
    base = open_base(
        config.base or recipe.base,
        prediction_type=prediction_type,
        zero_terminal_snr=made.zero_terminal_snr,
        vae=made.vae or None,
    )
    return base.with_tiles() if made.is_tiled else base


def _source(config: RecipeConfig, recipe: Recipe) -> Image.Image | None:
    """The picture that was started from.

    Raises:
        ConfigError: it was not given, is another one, or is not needed.
    """
    if recipe.source is None:
        if config.image is not None:
            raise ConfigError("image would have no effect: the recipe starts from noise alone; leave image out")
        return None
    name = " ".join(part for part in (recipe.source.name, recipe.source.hash[:12]) if part)
    if config.image is None:
        raise ConfigError(f"missing is the picture that it started from ({name or 'it does not say which'}): --image")
    image = read_picture(config.image)
    if recipe.source.hash and pixel_hash(image) != recipe.source.hash:
        raise ConfigError(f"image={config.image}: has the hash {pixel_hash(image)[:12]}; it was drawn from {name}")
    return image


def _enlarger(config: RecipeConfig, recipe: Recipe, precision: str | None) -> Enlarger | None:
    """The model that enlarged between the passes, whatever its file is called now.

    Raises:
        ConfigError: it was not given, is another one, or is not needed.
        UpscalerError: it cannot be used.
    """
    path, hires = config.hires_upscaler, recipe.hires
    if hires is None or hires.upscaler in (LATENT, LANCZOS):
        if path is not None:
            raise ConfigError("hires_upscaler would have no effect: no model enlarged; leave hires_upscaler out")
        return None
    name = f"{hires.upscaler} (hash {hires.upscaler_hash[:12] or 'not said'})"
    if path is None:
        raise ConfigError(f"missing is the model that enlarged between the passes, {name}: --hires-upscaler")
    enlarger = Enlarger.open(path, config.device, precision)
    digest = enlarger.upscaler.digest
    if not digest.startswith(hires.upscaler_hash):
        raise ConfigError(f"hires_upscaler={path}: has the hash {digest[:12]}; what enlarged was {name}")
    return enlarger


def _notes(painter: Painter, made: Made) -> Generator[Noted, None, None]:
    """What is not as it was."""
    now = painter.setting
    for part, digest in made.base.items():
        if now.base.get(part) != digest:
            yield Noted(f"{part} of {painter.base.name} is not what it was: other weights", warning=True)
    for what, before, present in (("device", made.device, now.device), ("precision", made.precision, now.precision)):
        if before != present:
            yield Noted(f"{what}: it was {before}, now {present}")


def _again(painter: Painter, recipe: Recipe, made: Made | None) -> Picture:
    """The picture, drawn at its place in a batch of the size it had."""
    size, place, folded = (1, 0, False) if made is None else (made.batch_size, made.batch_place, made.is_folded)
    return painter.paint([recipe] * size, size, folded=folded)[place]


def verdict(image: Image.Image, made: Made | None, before: Path | None) -> Noted:
    """Whether a picture is the one that was drawn before, or how far off it is.

    Args:
        image: drawn again.
        made: what is known of the one before.
        before: its file, if it shows that picture alone.
    """
    if made is not None and made.pixels == pixel_hash(image):
        return Noted("the pixels are the same")
    old = None if before is None else read_picture(before)
    if old is None or old.size != image.size:
        return Noted("the pixels are not the same, and there is nothing of its size to compare with", warning=True)
    if made is not None and pixel_hash(old) != made.pixels:
        return Noted("the pixels are not the same; those of the file were changed after it was drawn", warning=True)
    apart = difference(image, old)
    if apart.largest == 0:
        return Noted("the pixels are the same")
    return Noted(
        f"the pixels differ in {apart.share:.1%} of the picture, by {apart.largest} of 255 at most, {apart.mean:.2g} on average",
        warning=True,
    )

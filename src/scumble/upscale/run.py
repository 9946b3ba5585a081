"""Upscale and resize-pictures: from settings to larger pictures in a folder, told as events."""

from collections.abc import Generator, Iterator

from scumble.config.upscale import OVERLAP_PX, ResizePicturesConfig, UpscaleConfig
from scumble.device import take_device
from scumble.quantities import counted
from scumble.upscale.each import Made, make_each
from scumble.upscale.events import Event, Planned
from scumble.upscale.model import Upscaler, open_upscaler
from scumble.upscale.passes import enlarge_to, interpolate
from scumble.upscale.picture import Original
from scumble.upscale.places import Places, find_places
from scumble.upscale.size import Wanted
from scumble.upscale.tile_size import choose_tiling
from scumble.upscale.tiles import Retiled, Tiling

LANCZOS = "Lanczos"


def upscale(config: UpscaleConfig) -> Iterator[Event]:
    """Enlarge pictures by a model, each at once written as a PNG with the texts it had and what was done.

    Raises:
        ConfigError: a setting that cannot be; nothing was written then.
        UpscalerError: the model is not to be had, or is one for something else.
        DataError: no picture, or none that could be enlarged.
        OutOfMemoryError: the device has too little memory.
    """
    assert config.model is not None
    places = find_places(config.picture, config.out, config.overwrite)
    wanted = Wanted(config.scale, config.width, config.height)
    upscaler = open_upscaler(config.model, take_device(config.device), config.mixed_precision)
    overlap_px = config.overlap or OVERLAP_PX
    chosen = Tiling(config.tile, overlap_px) if config.tile else choose_tiling(upscaler, overlap_px)
    yield Planned("Enlarging pictures", _card(upscaler, chosen, places, config))

    tiling = chosen

    def make(original: Original) -> Generator[float | Retiled, None, Made]:
        nonlocal tiling
        size = wanted.of(original.rgb.size, upscaler.scale)
        larger = yield from enlarge_to(upscaler, original, size, tiling)
        assert larger.tiling is not None
        tiling = larger.tiling  # what was too large once is so again
        return Made(larger, upscaler.name, _facts(upscaler, larger.passes, tiling))

    yield from make_each(places, make, config.out, config.first_frame)


def resize_pictures(config: ResizePicturesConfig) -> Iterator[Event]:
    """Bring pictures to a size by Lanczos, each at once written as a PNG with the texts it had and what was done.

    Raises:
        ConfigError: a setting that cannot be; nothing was written then.
        DataError: no picture, or none that could be read.
    """
    places = find_places(config.picture, config.out, config.overwrite)
    wanted = Wanted(config.scale, config.width, config.height)

    def make(original: Original) -> Generator[float | Retiled, None, Made]:
        yield from ()  # it is done at once
        return Made(interpolate(original, wanted.of(original.rgb.size)), LANCZOS, {})

    yield from make_each(places, make, config.out, config.first_frame)


def _card(upscaler: Upscaler, tiling: Tiling, places: Places, config: UpscaleConfig) -> dict[str, str]:
    millions = upscaler.num_parameters / 1e6
    number = f"{millions:.3g} million" if millions >= 0.1 else f"{upscaler.num_parameters:,}"
    precision = str(upscaler.dtype).removeprefix("torch.")
    why = "as asked" if config.tile else "by the free memory"
    return {
        "model": f"{upscaler.name}: {upscaler.architecture}, {upscaler.scale}x, {number} parameters",
        "computes": f"in {precision} on {upscaler.device}",
        "tiles": f"{tiling.tile_px} px, {why}; neighbours share {tiling.overlap_px} px",
        "pictures": counted(len(places.pictures), "picture") + f", results in {config.out}",
    }


def _facts(upscaler: Upscaler, passes: int, tiling: Tiling) -> dict[str, object]:
    return {
        "architecture": upscaler.architecture,
        "sha256": upscaler.digest,
        "passes": passes,
        "tile": tiling.tile_px,
        "overlap": tiling.overlap_px,
        "precision": str(upscaler.dtype).removeprefix("torch."),
    }

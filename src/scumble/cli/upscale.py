"""The commands that make pictures larger: upscale, resize-pictures."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config.upscale import ResizePicturesConfig, UpscaleConfig

UpscaleFlags = flags_model(UpscaleConfig, without=frozenset({"picture"}))
ResizePicturesFlags = flags_model(ResizePicturesConfig, without=frozenset({"picture"}))
AFTER_STOP = "the pictures written are whole"


def upscale(
    picture: Annotated[
        tuple[Path, ...], Parameter(help=UpscaleConfig.model_fields["picture"].description, negative_iterable=())
    ],
    *,
    flags: Annotated[UpscaleFlags, Parameter(name="*")] = UpscaleFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Enlarge pictures by a model that was made for it (ESRGAN, SwinIR, HAT, DAT, SPAN, ...), or let a base draw over them.

    scumble upscale pictures --model 4x-model.safetensors --scale 2 --out larger
    """
    settings = ready(UpscaleConfig, {"picture": picture, **nested(UpscaleConfig, flags)})
    if settings.model is None:
        from scumble.generate.refine import refine

        play(refine(settings), AFTER_STOP)
    else:
        from scumble.upscale.run import upscale as run

        play(run(settings), AFTER_STOP)


def resize_pictures(
    picture: Annotated[
        tuple[Path, ...], Parameter(help=ResizePicturesConfig.model_fields["picture"].description, negative_iterable=())
    ],
    *,
    flags: Annotated[ResizePicturesFlags, Parameter(name="*")] = ResizePicturesFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Make pictures larger or smaller by interpolation, without a model; to make a LoRA smaller is scumble resize.

    scumble resize-pictures pictures --width 1024 --out wider
    """
    settings = ready(ResizePicturesConfig, {"picture": picture, **nested(ResizePicturesConfig, flags)})
    from scumble.upscale.run import resize_pictures as run

    play(run(settings), AFTER_STOP)

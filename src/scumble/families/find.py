"""From what a person calls a base model to its folder on the disk, and the family that reads it."""

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from scumble import registry
from scumble.errors import BaseModelError, ConfigError
from scumble.families.base import BaseModel, PredictionType

DEFAULT_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
MOVED = {
    "runwayml/stable-diffusion-v1-5": DEFAULT_BASE,
    "runwayml/stable-diffusion-inpainting": "stable-diffusion-v1-5/stable-diffusion-inpainting",
}
"""Hub ids that are gone -> where the same weights are now."""

IN_THE_BOX = {"mini": "mini/weights"}
"""Bases that ship with the package -> their folder in it."""


def is_folder(name: str) -> bool:
    """Whether a base of this name is a folder of the person's; a name in the box means the one in the box."""
    return name not in IN_THE_BOX and Path(name).expanduser().is_dir()


_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def open_base(
    name: str | None = None,
    revision: str | None = None,
    variant: str | None = None,
    prediction_type: PredictionType | None = None,
) -> BaseModel:
    """Open a base model; nothing heavy is read yet.

    Args:
        name: hub id, pipeline folder, or the name of a base in the box; None = Stable Diffusion 1.5.
        revision: revision on the hub.
        variant: variant of the weight files, such as "fp16".
        prediction_type: what the denoiser predicts, where the base's own settings are wrong.
    Raises:
        BaseModelError: not found, not to be had offline, or of no known family.
    """
    name = name or DEFAULT_BASE
    notes = []
    if name in MOVED:
        notes.append(f"base {name} has moved: taking {MOVED[name]}, the same weights")
        name = MOVED[name]
    try:
        folder = find_folder(name, revision, variant)
    except BaseModelError as error:
        raise BaseModelError("; ".join([*notes, str(error)])) from error.__cause__
    index = _read_index(folder, name)
    for family in registry.names("family"):
        plugin = registry.load("family", family)
        if index.get("_class_name") in plugin.PIPELINE_CLASSES:
            base: BaseModel = plugin.open_folder(name, folder, variant, prediction_type, notes)
            return base
    readable = ", ".join(
        kind for family in registry.names("family") for kind in registry.load("family", family).PIPELINE_CLASSES
    )
    raise BaseModelError(f"base {name} is a {index.get('_class_name')}, which is not there yet; expected {readable}")


def find_folder(name: str, revision: str | None, variant: str | None) -> Path:
    """The pipeline folder of a base, fetched from the hub where needed.

    Raises:
        BaseModelError: not found here, and not to be had from the hub.
        ConfigError: a revision of something that is not on the hub.
    """
    path = Path(name).expanduser()
    if name in IN_THE_BOX:
        path = Path(str(resources.files("scumble"))) / IN_THE_BOX[name]
    if path.is_dir():
        if revision is not None:
            raise ConfigError(f"revision={revision} would have no effect: base {name} is a folder; leave revision out")
        return path
    if path.suffix in {".safetensors", ".ckpt"}:
        raise BaseModelError(
            f"base {name}: a single checkpoint file is not there yet; give a pipeline folder or a hub id"
        )
    if not _HUB_ID.fullmatch(name):
        raise BaseModelError(f"base {name}: no such folder, and not a hub id (owner/name)")
    return _from_hub(name, revision, variant)


def _from_hub(name: str, revision: str | None, variant: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    tag = f".{variant}" if variant else ""
    wanted = ["model_index.json", "*/config.json", "scheduler/*.json", "tokenizer*/*"]
    wanted += [f"{part}/diffusion_pytorch_model{tag}.safetensors" for part in ("unet", "vae")]
    wanted += [f"text_encoder*/model{tag}.safetensors"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except HFValidationError:
        raise BaseModelError(f"base {name}: no such folder, and not a hub id (owner/name)") from None
    except LocalEntryNotFoundError as error:
        raise BaseModelError(
            f"base {name}: no such folder here, not in the hub cache, and the hub cannot be reached. On a machine with "
            f"internet run 'hf download {name}', or give --base a pipeline folder. --base mini is in the box and needs "
            "no download."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BaseModelError(
            f"base {name}: the hub does not give it: {reason}. Check the name, or give a folder."
        ) from error


def _read_index(folder: Path, name: str) -> Mapping[str, Any]:
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaseModelError(
            f"base {name}: {folder} has no model_index.json, so it is not a diffusers pipeline folder"
        ) from None
    except ValueError as error:
        raise BaseModelError(f"base {name}: {path} is not JSON: {error}") from None
    if not isinstance(index, dict):
        raise BaseModelError(f"base {name}: {path} is not a pipeline's index: expected a JSON object")
    return index

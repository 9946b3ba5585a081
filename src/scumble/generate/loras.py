"""LoRA files opened for a base: read, hashed, and what should be said about them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from scumble.adapters.weight import weight_of
from scumble.config import ModelConfig, from_values, read_toml
from scumble.errors import ConfigError, LoraFileError
from scumble.families.base import BaseModel
from scumble.families.find import DEFAULT_BASE, is_local
from scumble.files.fingerprint import distance, fingerprint
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora
from scumble.generate.events import Noted
from scumble.generate.prompt import FoundLora
from scumble.generate.recipe import LoraUse

SAME_BASE = 0.01
"""Fingerprints nearer than this are of one base, stored in other precisions."""
DISTANT_BASE = 0.5
"""Fingerprints farther apart than this are of bases that have little in common; unrelated ones are about 1.4 apart."""

_CLOSE_OR_DISTANT = "it works on a close relative, poorly on a distant one"


@dataclass(frozen=True)
class OpenedLora:
    """A LoRA file, read.

    Attributes:
        use: its name, weight and hash.
        file: what it changes.
        notes: what the person should know about it.
    """

    use: LoraUse
    file: LoraFile
    notes: Sequence[str]


def open_loras(found: Sequence[FoundLora], base: BaseModel) -> list[OpenedLora]:
    """Read LoRA files for a base; nothing of the base is loaded.

    Raises:
        LoraFileError: a file is damaged, not understood, or is for another base.
    """
    if not found:
        return []
    paths = base.layer_paths()
    return [_open(lora, base, paths) for lora in found]


def _open(found: FoundLora, base: BaseModel, paths: Mapping[str, Sequence[str]]) -> OpenedLora:
    notes = []
    if found.also:
        others = ", ".join(map(str, found.also))
        notes.append(f"LoRA {found.name}: taking {found.path}; not used is what has the same name: {others}")
    file = read_lora(found.path, paths)
    return OpenedLora(LoraUse(found.name, found.weight, tensor_hash(found.path), found.blocks), file, notes)


def stranger_note(lora: OpenedLora, base: BaseModel, denoiser: nn.Module) -> Noted | None:
    """What to say of a LoRA that was trained on another base than this; None if it was trained on this one.

    By the fingerprint of the adapted layers where the file has one, else by the base's name.
    """
    metadata, name = lora.file.metadata, lora.use.name
    trained = trained_on(metadata)
    apart = _distance(metadata.get("scumble.fingerprint"), lora.file, base, denoiser)
    if apart is None:
        if trained is None or trained == base.name:
            return None
        return Noted(f"LoRA {name} was trained on {trained}, not {base.name}: {_CLOSE_OR_DISTANT}")
    if apart < SAME_BASE:
        return None
    found = (
        f"LoRA {name} was trained on {trained or 'another base'}, whose layers differ by {apart:.0%} from {base.name}'s"
    )
    return Noted(f"{found}: {_CLOSE_OR_DISTANT}", warning=apart > DISTANT_BASE)


def _distance(known: str | None, lora: LoraFile, base: BaseModel, denoiser: nn.Module) -> float | None:
    """How far the base's layers are from those that the LoRA was trained on; None where that cannot be told."""
    paths = [base.module_path("unet", path, denoiser) for path in lora.part("unet")]
    if known is None or not paths:
        return None
    try:
        return distance(known, fingerprint({path: weight_of(denoiser.get_submodule(path)) for path in paths}))
    except (AttributeError, LoraFileError):
        return None  # other layers than those of training, as after a merge: attaching will tell whether they fit


def trained_on(metadata: Mapping[str, str]) -> str | None:
    """The base that a LoRA was trained on, as its metadata names it."""
    return metadata.get("scumble.base") or metadata.get("ss_sd_model_name") or None


def base_of(files: Sequence[Path]) -> tuple[str, str]:
    """The base that LoRA files were trained on, and what to say about the choice.

    A file in the folder of its run is asked for by the run's settings, which know where a local base lies.

    Raises:
        ConfigError: they were trained on several bases.
        LoraFileError: a file cannot be read.
    """
    bases = {path: model_of_run(path).base or trained_on(read_metadata(path)) for path in files}
    names = sorted({name for name in bases.values() if name is not None})
    if len(names) > 1:
        said = ", ".join(f"{path.name} on {name}" for path, name in bases.items() if name is not None)
        raise ConfigError(f"the LoRAs were trained on different bases ({said}): say by --base which to take")
    if not names:
        return DEFAULT_BASE, f"no LoRA says what it was trained on: taking {DEFAULT_BASE}; --base names another"
    if names[0].lower().endswith((".safetensors", ".ckpt")) and not is_local(names[0]):
        return DEFAULT_BASE, f"trained on the checkpoint file {names[0]}: taking {DEFAULT_BASE}; --base names another"
    return names[0], f"base: {names[0]}, which the LoRA was trained on"


def model_of_run(lora: Path) -> ModelConfig:
    """What the settings beside a LoRA of this program say about its base; all open where there are none.

    Raises:
        ConfigError: they say what cannot be.
    """
    settings = lora.parent / "config.toml"
    section = read_toml(settings).get("model", {}) if settings.is_file() else {}
    known = section if isinstance(section, dict) else {}  # another program's file may have other things there
    return from_values(ModelConfig, {key: value for key, value in known.items() if key in ModelConfig.model_fields})


def tensor_hash(path: Path) -> str:
    """SHA-256 in hex of all bytes after a safetensors file's header: the WebUI's hash, which metadata do not change."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        file.seek(8 + header_bytes)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

"""LoRA files opened for a base: read, hashed, and what should be said about them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from scumble.adapters.weight import weight_of
from scumble.config import ModelConfig, from_values, read_toml
from scumble.errors import ConfigError
from scumble.families.base import BaseModel
from scumble.families.find import DEFAULT_BASE, is_local
from scumble.files.folder import metadata_in, weight_files
from scumble.files.kinship import DISTANT, STRANGER, kinship, trained_on
from scumble.files.left_out import left_out_words
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora
from scumble.generate.events import Noted
from scumble.generate.prompt import FoundLora
from scumble.generate.recipe import LoraUse


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
    notes: Sequence[Noted]


def open_loras(found: Sequence[FoundLora], base: BaseModel, allow_partial: bool = False) -> list[OpenedLora]:
    """Read LoRA files for a base; nothing of the base is loaded.

    Args:
        found: the files.
        base: what they are for.
        allow_partial: see `files.read.read_lora`.
    Raises:
        LoraFileError: a file is damaged, not understood, or is for another base.
    """
    if not found:
        return []
    paths = base.layer_paths()
    return [_open(lora, paths, allow_partial) for lora in found]


def _open(found: FoundLora, paths: Mapping[str, Sequence[str]], allow_partial: bool) -> OpenedLora:
    notes = []
    if found.also:
        others = ", ".join(map(str, found.also))
        notes.append(Noted(f"LoRA {found.name}: taking {found.path}; not used is what has the same name: {others}"))
    file = read_lora(found.path, paths, allow_partial)
    if file.left_out:
        notes.append(Noted(f"LoRA {found.name}: {left_out_words(file.left_out)}", warning=True))
    use = LoraUse(found.name, found.weight, tensor_hash(found.path), found.blocks, found.text_weight)
    return OpenedLora(use, file, notes)


def stranger_note(lora: OpenedLora, base: BaseModel, denoiser: nn.Module) -> Noted | None:
    """What to say of a LoRA that was trained on another base than this; None if it was trained on this one."""

    def weights() -> dict[str, Tensor]:
        paths = [base.module_path("unet", path, denoiser) for path in lora.file.part("unet")]
        return {path: weight_of(denoiser.get_submodule(path)) for path in paths}

    known = kinship(lora.file.metadata, base.name, weights)
    if known.is_own:
        return None
    return Noted(f"LoRA {lora.use.name}: {known.words}", warning=known.verdict in (DISTANT, STRANGER))


def base_of(files: Sequence[Path]) -> tuple[str, str]:
    """The base that LoRA files were trained on, and what to say about the choice.

    A file in the folder of its run is asked for by the run's settings, which know where a local base lies.

    Raises:
        ConfigError: they were trained on several bases.
        LoraFileError: a file cannot be read.
    """
    bases = {path: model_of_run(path).base or trained_on(metadata_in(path)) for path in files}
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
    """SHA-256 in hex of all bytes after a safetensors file's header: the WebUI's hash, which metadata do not change.

    Of a PEFT folder, of those of its files, one after the other.
    """
    digest = hashlib.sha256()
    for each in weight_files(path):
        with each.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            file.seek(8 + header_bytes)
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

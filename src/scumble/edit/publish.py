"""A LoRA file as a folder that is ready to share: previews, cards and a workflow beside it; whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scumble.config.publish import PublishConfig
from scumble.data.content import hash_file
from scumble.edit.card import MARK, Shared, first_of, model_card, sidecar
from scumble.edit.previews import draw_previews, prompts_for, usual_recipe
from scumble.edit.programs.readings import in_words
from scumble.edit.push import check_repository, push_folder
from scumble.edit.shared_file import SharedFile, shared_file
from scumble.edit.workflow import workflow
from scumble.errors import ConfigError, LoraFileError
from scumble.files.atomic import whole_folder
from scumble.files.folder import metadata_in, weight_files
from scumble.files.guard import read_metadata
from scumble.files.kinship import trained_on
from scumble.files.left_out import left_out_words
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX, SETTINGS, plain_name
from scumble.generate.events import Noted
from scumble.generate.infotext import png_texts
from scumble.generate.loras import model_of_run, tensor_hash
from scumble.generate.prepare import check_settings
from scumble.generate.recipe import LoraUse, Picture, Recipe
from scumble.generate.save import png_bytes

CARD = "README.md"
CURVES = "curves.png"
TRIGGERS = ("modelspec.trigger_phrase", "scumble.trigger")


def publish(config: PublishConfig, api: Any = None) -> Generator[Noted, None, None]:
    """Write the folder, and send it to the hub where that is asked for.

    Args:
        config: the settings.
        api: a huggingface_hub.HfApi; None = one with the person's own token.
    Yields:
        What was done and what the person should know.
    Raises:
        ConfigError: a setting that cannot be, or something is in the way; nothing was done then.
        LoraFileError, BaseModelError: the LoRA, or the base for its previews, cannot be used.
        ScumbleError: the hub does not take the folder.
    """
    name, out = _place(config)
    sampler = check_settings(
        config.negative_prompt, config.guidance_scale, config.sampler, config.steps, config.schedule
    )
    metadata = metadata_in(config.file)
    trigger = config.trigger or first_of(metadata, TRIGGERS)
    prompts = prompts_for(config, metadata, trigger)
    if config.push is not None:
        api = api or _own_api()
        check_repository(api, config.push, config.overwrite)
    with tempfile.TemporaryDirectory(prefix="scumble-") as temporary:
        found = shared_file(config, Path(temporary) / f"{name}{FILE_SUFFIX}")
        file = found.path
        yield Noted(found.words)
        if found.left_out:
            yield Noted(f"{config.file}: {left_out_words(found.left_out)}", warning=True)
        is_lost = not any(reading.is_as_trained for reading in found.readings.values())
        yield Noted(f"what programs apply of it: {in_words(found.readings)}", warning=is_lost)
        use = LoraUse(name, config.weight, tensor_hash(file))
        pictures: list[Picture] = []
        if config.previews:
            pictures = yield from draw_previews(config, use, prompts, sampler)
        recipe = pictures[0].recipe if pictures else usual_recipe(config, use, metadata, prompts[0], sampler)
        shared = _shared(config, name, found, trigger, recipe, pictures)
        with whole_folder(out) as folder:
            _fill(folder, config.file, file, shared, pictures)
    yield Noted(f"published: {out}")
    if shared.license is None:
        yield Noted("the card says that no licence is stated; --license names one", warning=True)
    if config.push is not None:
        yield Noted(f"sent: {push_folder(api, out, config.push, config.private)}")


def _own_api() -> Any:
    from huggingface_hub import HfApi

    return HfApi()


def _place(config: PublishConfig) -> tuple[str, Path]:
    """The name of the shared files and the folder for them, which may be written."""
    if not config.file.is_dir() and (config.file.suffix.lower() != FILE_SUFFIX or not config.file.is_file()):
        raise LoraFileError(f"{config.file}: expected a LoRA: a .safetensors file or a PEFT folder")
    name = config.name or plain_name(config.file.name)
    out = config.out if config.out is not None else config.file.parent / f"{name}-published"
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {out.parent}; make it first")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return name, out
    if not config.overwrite:
        raise ConfigError(f"out={out}: is there already; give another name, or --overwrite to replace it")
    card = out / CARD
    if not card.is_file() or MARK not in card.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"out={out}: is no folder that publish made, so it is not replaced; give another name")
    if out.resolve() in config.file.resolve().parents:
        raise ConfigError(f"out={out}: holds the file that is published; give another name")
    return name, out


def _shared(
    config: PublishConfig,
    name: str,
    file: SharedFile,
    trigger: str | None,
    recipe: Recipe,
    pictures: Sequence[Picture],
) -> Shared:
    metadata = read_metadata(file.path)
    base = trained_on(metadata) or recipe.base or None
    return Shared(
        name=name,
        metadata=metadata,
        recipe=recipe,
        previews={f"previews/{index:02}.png": picture.recipe for index, picture in enumerate(pictures, 1)},
        base=base,
        trigger=trigger,
        license=config.license or first_of(metadata, ("modelspec.license",)),
        description=config.description or first_of(metadata, ("modelspec.description",)),
        file_hash=hash_file(file.path),
        tensor_hash=recipe.loras[0].hash,
        has_curves=_curves_of(config.file).is_file(),
        has_peft_folder=config.file.is_dir(),
        readings=file.readings,
    )


def _curves_of(source: Path) -> Path:
    """The picture of the losses in the folder of a LoRA's run."""
    return source.parent / CURVES


def _fill(folder: Path, source: Path, file: Path, shared: Shared, pictures: Sequence[Picture]) -> None:
    """Everything that is shared.

    Args:
        folder: to fill.
        source: the LoRA as it was given, with its run around it.
        file: the one file that is shared: the same, or made of it.
        shared: what is said of it.
        pictures: the previews.
    """
    name = shared.name
    shutil.copyfile(file, folder / f"{name}{FILE_SUFFIX}")
    if shared.has_peft_folder:
        for each in (*weight_files(source), *(path.with_name(SETTINGS) for path in weight_files(source))):
            target = folder / f"{name}{PEFT_SUFFIX}" / each.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, target)
    for path, picture in zip(shared.previews, pictures, strict=True):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(png_bytes(picture.image, png_texts(picture.recipe)))
    if pictures:
        shutil.copyfile(folder / next(iter(shared.previews)), folder / f"{name}.png")  # the WebUI's picture of it
    if shared.has_curves:
        shutil.copyfile(_curves_of(source), folder / CURVES)
    _write_json(folder / f"{name}.json", sidecar(shared))
    _write_json(folder / f"{name}-comfyui.json", _workflow(source, shared))
    (folder / CARD).write_text(model_card(shared), encoding="utf-8", newline="\n")


def _workflow(source: Path, shared: Shared) -> dict[str, Any]:
    base = (shared.base or "checkpoint").rpartition("/")[2]
    checkpoint = base if base.endswith(".safetensors") else f"{base}.safetensors"
    predicts_v = shared.metadata.get("modelspec.prediction_type", "").startswith("v")
    zero_snr = bool(model_of_run(source).zero_terminal_snr)
    return workflow(shared.recipe, f"{shared.name}.safetensors", checkpoint, predicts_v, zero_snr)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")

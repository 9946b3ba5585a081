"""What is said of a shared LoRA: the model card in the hub's form, and the WebUI's few words beside the file."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scumble.edit.programs.readings import Reading, in_words
from scumble.edit.provenance import made_from_words
from scumble.files.places import PEFT_SUFFIX
from scumble.generate.recipe import Recipe, plain_number

MARK = "<!-- made by scumble publish -->"
"""By this a folder is known as one that may be replaced."""

DIFFUSERS = "diffusers"
TAGS = ("text-to-image", "stable-diffusion", "lora", DIFFUSERS, "template:sd-lora")
"""What the hub shows LoRAs under; the last one gives the page its gallery."""
TAG_OF_XL = "stable-diffusion-xl"

TRAINED_HERE = "scumble.targets"
"""Metadata by which files are known that `train` wrote."""

PROGRAMS = {"A1111": "WebUI"}
"""How the card calls a program where `readings` calls it otherwise."""
DRAW = ("A1111", "ComfyUI", DIFFUSERS)
"""Programs that people draw with; the other ones train and merge."""

PRECISIONS = {"no": "fp32"}
"""How precisions are called where the metadata say otherwise."""

MODULE = re.compile(r"^[\w.]+\.(?=\w+(?:\(|$))")
"""Where an optimizer comes from, before its name: "torch.optim.adamw."."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SETTINGS = {
    "rank": ("scumble.rank", "ss_network_dim"),
    "alpha": ("scumble.alpha", "ss_network_alpha"),
    "layers": ("scumble.targets",),
    "steps": ("ss_steps",),
    "epochs": ("ss_epoch",),
    "pictures": ("ss_num_train_images",),
    "pictures a step": ("ss_total_batch_size",),
    "resolution": ("modelspec.resolution", "ss_resolution"),
    "learning rate": ("ss_unet_lr", "ss_learning_rate"),
    "schedule": ("ss_lr_scheduler",),
    "optimizer": ("ss_optimizer",),
    "precision": ("ss_mixed_precision",),
    "loss": ("ss_loss_type",),
    "Huber c": ("ss_huber_c",),
    "Huber schedule": ("ss_huber_schedule",),
    "min-SNR gamma": ("ss_min_snr_gamma",),
    "soft min-SNR gamma": ("scumble.soft_snr_gamma",),
    "debiased estimation": ("ss_debiased_estimation",),
    "noise offset": ("ss_noise_offset",),
    "multires noise iterations": ("ss_multires_noise_iterations",),
    "multires noise discount": ("ss_multires_noise_discount",),
    "input perturbation": ("ss_ip_noise_gamma",),
    "timestep sampling": ("scumble.timestep_sampling",),
    "first timestep": ("ss_min_timestep",),
    "timesteps below": ("ss_max_timestep",),
    "caption dropout": ("ss_caption_dropout_rate",),
    "seed": ("ss_seed",),
    "clip skip": ("ss_clip_skip",),
    "merged from": ("scumble.merged_from", "modelspec.merged_from"),
    "resized from": ("scumble.resized_from",),
    "fitted from": ("scumble.fitted_from",),
    "extracted from": ("scumble.extracted_from",),
}
"""What people ask -> the metadata that say it, the most telling first."""


@dataclass(frozen=True)
class Shared:
    """Everything that is said of a shared LoRA.

    Attributes:
        name: of the LoRA and its files.
        metadata: of the file.
        recipe: how to draw with it.
        previews: path in the folder -> the recipe of the picture there.
        base: hub id or file name of what it was trained on; None where nobody says.
        trigger: the word that calls it.
        license: by its hub name.
        description: a few words of the person.
        file_hash: SHA-256 of the file in hex.
        tensor_hash: SHA-256 of its numbers, by which the WebUI knows it.
        has_curves: whether the folder holds curves.png.
        has_peft_folder: whether the LoRA is there in PEFT's form too.
        readings: program -> what it makes of the file.
    """

    name: str
    metadata: Mapping[str, str]
    recipe: Recipe
    previews: Mapping[str, Recipe]
    base: str | None
    trigger: str | None
    license: str | None
    description: str | None
    file_hash: str
    tensor_hash: str
    has_curves: bool
    has_peft_folder: bool
    readings: Mapping[str, Reading]

    @property
    def weight(self) -> float:
        """The strength to use it with."""
        return self.recipe.loras[0].weight


def first_of(metadata: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of several fields that says something."""
    return next((metadata[name] for name in names if metadata.get(name) not in (None, "", "None")), None)


def sidecar(shared: Shared) -> dict[str, Any]:
    """What the WebUI shows and inserts when the LoRA's card is clicked."""
    return {
        "description": shared.description or "",
        "activation text": shared.trigger or "",
        "preferred weight": shared.weight,
        "negative text": shared.recipe.negative_prompt,
        "notes": f"trained on {shared.base}" if shared.base else "",
    }


def model_card(shared: Shared) -> str:
    """README.md: front matter for the hub, then what a person wants to know."""
    front = "".join(f"{key}: {_yaml(value)}\n" for key, value in _front_matter(shared))
    return f"---\n{front}---\n\n{MARK}\n\n" + "\n\n".join(_sections(shared)) + "\n"


def _front_matter(shared: Shared) -> Iterator[tuple[str, Any]]:
    family = first_of(shared.metadata, ("modelspec.architecture", "ss_base_model_version")) or ""
    tags = [tag for tag in TAGS if tag != DIFFUSERS or _is_for_diffusers(shared)]
    yield "tags", [*tags, *([TAG_OF_XL] if "xl" in family else [])]
    if shared.base and HUB_ID.fullmatch(shared.base):
        yield "base_model", shared.base
        yield "base_model_relation", "adapter"
    yield "pipeline_tag", "text-to-image"
    if _is_for_diffusers(shared):
        yield "library_name", DIFFUSERS
    if shared.license:
        yield "license", shared.license
    if shared.trigger:
        yield "instance_prompt", shared.trigger
    if shared.previews:
        yield "widget", [_widget(path, recipe) for path, recipe in shared.previews.items()]


def _is_for_diffusers(shared: Shared) -> bool:
    return shared.readings[DIFFUSERS].is_as_trained


def _widget(path: str, recipe: Recipe) -> dict[str, Any]:
    negative = {"parameters": {"negative_prompt": recipe.negative_prompt}} if recipe.negative_prompt else {}
    return {"text": recipe.prompt or " ", **negative, "output": {"url": path}}


def _yaml(value: Any) -> str:
    """A value in YAML, whose flow style takes JSON as it is."""
    return json.dumps(value, ensure_ascii=False)


def _sections(shared: Shared) -> Iterator[str]:
    yield f"# {_plain(shared.name)}"
    if shared.description:
        yield shared.description
    if shared.previews:
        yield "<Gallery />"
    yield f"## Trigger\n\n{_trigger(shared)} Strength {plain_number(shared.weight)} is a good start."
    yield _use(shared)
    yield f"## Training\n\n{_table(dict(_settings(shared)))}"
    if shared.has_curves:
        yield "![loss over the steps](curves.png)"
    yield f"## The file\n\n{_table(_hashes(shared))}"
    yield f"## Licence\n\n{_plain(shared.license) if shared.license else 'Not stated: ask the author before use.'}"


def _trigger(shared: Shared) -> str:
    if shared.trigger:
        return f"Write `{shared.trigger}` in the prompt."
    if TRAINED_HERE in shared.metadata:  # such a file names the trigger if there is one
        return "It has no trigger word."
    return "The file does not say a trigger word."


def _use(shared: Shared) -> str:
    recipe = shared.recipe
    how = f"{recipe.sampler}, {recipe.steps} steps, guidance {plain_number(recipe.guidance_scale)}"
    drawn = f"The pictures were drawn with {how}" if shared.previews else f"Start with {how}"
    also = "; each picture carries its recipe" if shared.previews else ""
    peft = (
        f"- **PEFT**: `{shared.name}{PEFT_SUFFIX}` is the same LoRA as PEFT saves it.\n"
        if shared.has_peft_folder
        else ""
    )
    others = {program: reading for program, reading in shared.readings.items() if program not in DRAW}
    return f"""## Use

{drawn}, {recipe.width} x {recipe.height} px{also}.

{_in_program(shared, "A1111", _in_webui(shared))}
{_in_program(shared, "ComfyUI", _in_comfyui(shared))}
{peft}{_in_program(shared, "diffusers", _in_diffusers(shared))}

For training on and merging: {in_words(others)}."""


def _in_program(shared: Shared, program: str, how: str) -> str:
    """How to use the file in a program that applies it as trained; of another, what it does."""
    reading = shared.readings[program]
    shown = PROGRAMS.get(program, program)
    if reading.is_as_trained:
        return f"- **{shown}**: {how}"
    return f"- **{shown}** does not apply it as it was trained, but: {reading.words}."


def _in_webui(shared: Shared) -> str:
    picture = f", `{shared.name}.png`" if shared.previews else ""
    tag = shared.recipe.loras[0].tag
    return (
        f"put `{shared.name}.safetensors`{picture} and `{shared.name}.json` into `models/Lora`, and `{tag}` into the\n"
        "  prompt."
    )


def _in_comfyui(shared: Shared) -> str:
    return (
        f"put `{shared.name}.safetensors` into `models/loras` and drop `{shared.name}-comfyui.json` on the canvas; choose"
        " your\n  checkpoint in its first node."
    )


def _in_diffusers(shared: Shared) -> str:
    base = shared.base if shared.base and HUB_ID.fullmatch(shared.base) else "folder of the base"
    return f"""in Python:

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained({json.dumps(base)})
pipeline.load_lora_weights(".", weight_name={json.dumps(f"{shared.name}.safetensors")})
image = pipeline({json.dumps(shared.recipe.prompt, ensure_ascii=False)}).images[0]
```"""


def _settings(shared: Shared) -> Iterator[tuple[str, str]]:
    if shared.base:
        yield "base", shared.base
    for what, names in SETTINGS.items():
        value = first_of(shared.metadata, names)
        if value is not None:
            yield what, _in_words(what, value)
    dataset = shared.metadata.get("scumble.dataset")
    if dataset:
        yield "pictures and captions, SHA-256", dataset


def _in_words(what: str, value: str) -> str:
    """A setting's value without what only programs need."""
    if what == "precision":
        return PRECISIONS.get(value, value)
    if what == "optimizer":
        return MODULE.sub("", value)
    return made_from_words(value)


def _hashes(shared: Shared) -> dict[str, str]:
    return {
        "SHA-256": shared.file_hash,
        "AutoV2": shared.file_hash[:10].upper(),
        "AutoV3 (numbers alone)": shared.tensor_hash[:12].upper(),
    }


def _table(rows: Mapping[str, str]) -> str:
    if not rows:
        return "The file does not say how it was trained."
    return "\n".join(["| | |", "| --- | --- |", *(f"| {what} | {_plain(value)} |" for what, value in rows.items())])


def _plain(text: str) -> str:
    """Text in which Markdown finds no table cell, tag or emphasis."""
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", " ".join(text.split()))

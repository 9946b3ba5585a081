"""The recipe as the text that the WebUI (A1111) writes into its pictures and reads out of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from scumble.errors import DataError
from scumble.generate.prompt import parse_tags
from scumble.generate.recipe import HiresPass, LoraUse, Recipe, SourcePicture, plain_number
from scumble.generate.samplers.names import AUTOMATIC, SAMPLERS, join_sampler, split_sampler, told_schedule

WEBUI_UPSCALERS = {"latent": "Latent", "lanczos": "Lanczos"}
"""Our name of what enlarges without a model -> the WebUI's."""

_NEGATIVE = "Negative prompt:"
_LIKE_NEGATIVE = re.compile(rf"\s*\n\s*(?={_NEGATIVE})")
_PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')  # as the WebUI splits the last line


def to_infotext(recipe: Recipe) -> str:
    """The recipe as the WebUI writes it: prompt with LoRA tags, negative prompt, one line of settings.

    A prompt's line that begins like the negative prompt goes on in the line before it: to the text encoder line breaks are
    blanks. In the first line that cannot be, and the WebUI takes what follows for the negative prompt.
    """
    prompt = _unmistakable(" ".join([recipe.prompt, *(lora.tag for lora in recipe.loras)]))
    unwanted = _unmistakable(recipe.negative_prompt)
    negative = [f"{_NEGATIVE} {unwanted}"] if unwanted else []
    sampler, schedule = split_sampler(recipe.sampler)
    settings = {
        "Steps": str(recipe.steps),
        "Sampler": sampler,
        "Schedule type": told_schedule(sampler, schedule),
        "CFG scale": plain_number(recipe.guidance_scale),
        "Seed": str(recipe.seed),
        "Size": f"{recipe.width}x{recipe.height}",
        "Model": recipe.base.replace("\\", "/").rstrip("/").rpartition("/")[2],
        **_passes(recipe),
        "Clip skip": str(recipe.clip_skip) if recipe.clip_skip > 1 else "",
        "Lora hashes": ", ".join(f"{lora.name}: {lora.hash[:12]}" for lora in recipe.loras if lora.hash),
    }
    line = ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value)
    return "\n".join([prompt, *negative, line])


def from_infotext(text: str) -> Recipe:
    """The recipe that a WebUI text tells; blanks at the ends of the prompt's lines are not part of it.

    Raises:
        DataError: the text has no line of settings with steps and size.
    """
    *lines, last = text.strip().split("\n")
    settings = {key: _unquoted(value) for key, value in _PARAMETER.findall(last)}
    try:
        width, _, height = settings["Size"].partition("x")
        prompt, negative = _split_prompts(lines)
        hashes = dict(pair.split(": ") for pair in settings.get("Lora hashes", "").split(", ") if ": " in pair)
        cleaned, tags = parse_tags(prompt)
        return Recipe(
            prompt=cleaned,
            negative_prompt=negative,
            width=int(width),
            height=int(height),
            steps=int(settings["Steps"]),
            guidance_scale=float(settings.get("CFG scale", "7")),
            sampler=_with_schedule(settings.get("Sampler", "Euler a"), settings.get("Schedule type", AUTOMATIC)),
            seed=int(settings.get("Seed", "0")),
            clip_skip=int(settings.get("Clip skip", "1")),
            loras=tuple(
                LoraUse(tag.name, tag.weight, hashes.get(tag.name, ""), tag.blocks, tag.text_weight) for tag in tags
            ),
            base=settings.get("Model", ""),
            source=_source_of(settings),
            hires=_hires_of(settings, int(width)),
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"no recipe in the text: its last line is '{last[:80]}': {error}") from None


def _passes(recipe: Recipe) -> dict[str, str]:
    """What the WebUI says of img2img, and of a second pass."""
    if recipe.source is not None:
        return {"Denoising strength": plain_number(recipe.source.strength)}
    if recipe.hires is None:
        return {}
    return {
        "Denoising strength": plain_number(recipe.hires.strength),
        "Hires upscale": plain_number(recipe.hires.scale),
        "Hires steps": str(recipe.hires.steps or ""),
        "Hires upscaler": WEBUI_UPSCALERS.get(recipe.hires.upscaler, recipe.hires.upscaler),
    }


def _source_of(settings: Mapping[str, str]) -> SourcePicture | None:
    """What a WebUI text says of img2img: the strength, and not from which picture."""
    if "Denoising strength" not in settings or "Hires upscaler" in settings:
        return None
    return SourcePicture("", float(settings["Denoising strength"]))


def _hires_of(settings: Mapping[str, str], width: int) -> HiresPass | None:
    """What a WebUI text says of a second pass."""
    if "Hires upscaler" not in settings:
        return None
    wide = settings.get("Hires resize", "").partition("x")[0]
    scale = int(wide) / width if wide.isdigit() and int(wide) else float(settings.get("Hires upscale", "2"))
    ours = {theirs: own for own, theirs in WEBUI_UPSCALERS.items()}
    upscaler = ours.get(settings["Hires upscaler"], settings["Hires upscaler"])
    strength = float(settings.get("Denoising strength", "0.7"))
    return HiresPass(scale, int(settings.get("Hires steps", "0")), strength, upscaler)


def _unmistakable(prompt: str) -> str:
    return _LIKE_NEGATIVE.sub(" ", prompt).strip()


def _split_prompts(lines: list[str]) -> tuple[str, str]:
    """Prompt and negative prompt: what follows the line that starts so is all negative."""
    lines = [line.strip() for line in lines]
    starts = [index for index, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    middle = starts[0] if starts else len(lines)
    return "\n".join(lines[:middle]), "\n".join(lines[middle:]).removeprefix(_NEGATIVE).strip()


def _with_schedule(sampler: str, schedule: str) -> str:
    """Newer WebUIs write "DPM++ 2M" and its schedule "Karras" apart, and one that has no effect too."""
    name, said = split_sampler(sampler)
    takes_schedule = name not in SAMPLERS or SAMPLERS[name].takes_schedule
    return join_sampler(name, schedule if said == AUTOMATIC and takes_schedule else said)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(",\n:") & set(text) else text


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text.strip()
    try:
        return str(json.loads(text))
    except ValueError:
        return text

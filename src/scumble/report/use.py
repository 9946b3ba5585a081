"""How to use a run's LoRA, and how to go on: the exact lines, with this file's name, its trigger and a strength."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scumble.edit.card import HUB_ID
from scumble.files.places import FILE_SUFFIX, plain_name
from scumble.generate.prompt import split_prompts
from scumble.generate.recipe import LoraUse, plain_number
from scumble.report.learnt import COPIES, OVERFITTED, Verdict
from scumble.report.told import Told

FULL, CAREFUL = 1.0, 0.8
"""The strength that was trained with, and one that leaves the base more of its own."""


@dataclass(frozen=True)
class Use:
    """How a LoRA is used.

    Attributes:
        trigger: the word that calls it; None = there is none.
        strength: to start with.
        why: of the strength.
        prompt: an example, without the LoRA.
        steps: program -> what is to be done there, in order; what begins with a tab is a line to copy.
    """

    trigger: str | None
    strength: float
    why: str
    prompt: str
    steps: Mapping[str, tuple[str, ...]]


def use_of(lora: Path, told: Told, verdict: Verdict, caption: str) -> Use:
    """How to use a file.

    Args:
        lora: the file or PEFT folder.
        told: names base and trigger.
        verdict: of an overfitted LoRA, or one that draws copies, a lower strength is a better start.
        caption: of a training picture, for the example.
    """
    is_careful = verdict.word == OVERFITTED or any(
        each.about == COPIES and each.kind == "warn" for each in verdict.statements
    )
    strength = CAREFUL if is_careful else FULL
    why = (
        "because of what the verdict warns of; 1 is as it was trained"
        if is_careful
        else "as it was trained and as its sample pictures are drawn; less leaves the base more of its own"
    )
    prompt = (
        next(iter(split_prompts(told.setting("validation", "validation_prompt"))), "") or caption or told.trigger or ""
    )
    name = plain_name(lora.name)
    steps = {
        "A1111, Forge": _in_webui(lora, f"{prompt} {LoraUse(name, strength).tag}".strip()),
        "ComfyUI": _in_comfyui(lora, strength),
        "diffusers": _in_diffusers(lora, told.setting("model", "base"), prompt, strength),
        "scumble": (f'\tscumble generate "{_quoted(prompt)} {LoraUse(name, strength).tag}" --lora "{lora}"',),
    }
    return Use(told.trigger, strength, why, prompt, steps)


def _in_webui(lora: Path, prompt: str) -> tuple[str, ...]:
    if lora.suffix != FILE_SUFFIX:
        return _as_file(lora, "models/Lora")
    return (
        f"Put {lora.name} into models/Lora, choose the base it was trained on, and write into the prompt:",
        f"\t{prompt}",
    )


def _in_comfyui(lora: Path, strength: float) -> tuple[str, ...]:
    if lora.suffix != FILE_SUFFIX:
        return _as_file(lora, "models/loras")
    return (
        f"Put {lora.name} into models/loras; between the checkpoint and what uses it, a Load LoRA node with:",
        f"\tlora_name {lora.name}   strength_model {plain_number(strength)}   strength_clip {plain_number(strength)}",
    )


def _as_file(lora: Path, folder: str) -> tuple[str, ...]:
    target = f"{plain_name(lora.name)}{FILE_SUFFIX}"
    return (
        f"It reads files, and this is a PEFT folder. This makes a file for {folder}:",
        f'\tscumble convert "{lora}" --to kohya --out {target}',
    )


def _in_diffusers(lora: Path, base: str | None, prompt: str, strength: float) -> tuple[str, ...]:
    if lora.suffix != FILE_SUFFIX:
        return _as_file(lora, "this folder")
    where = base if base is not None and HUB_ID.fullmatch(base) else "folder of the base"
    called = f'{json.dumps(prompt, ensure_ascii=False)}, cross_attention_kwargs={{"scale": {plain_number(strength)}}}'
    return (
        "\tfrom diffusers import DiffusionPipeline",
        "\t",
        f"\tpipeline = DiffusionPipeline.from_pretrained({json.dumps(where, ensure_ascii=False)})",
        f'\tpipeline.load_lora_weights(".", weight_name={json.dumps(lora.name, ensure_ascii=False)})  # needs peft',
        f"\timage = pipeline({called}).images[0]",
    )


def next_steps(told: Told, lora: Path | None, prompt: str) -> list[tuple[str, str]]:
    """What can be done now: what for, and the line."""
    config = told.folder.config
    lines = []
    if told.run.state in {"stopped", "killed"} and config.exists():
        lines.append(("to go on from the newest checkpoint", f'scumble train --config "{config}" --resume'))
    if told.run.state == "diverged" and config.exists():
        rate = told.setting("optimizer", "learning_rate")
        lower = f" --learning-rate {rate / 3:.1g}" if isinstance(rate, float) else ""
        lines.append(("to begin anew, learning slower", f'scumble train --config "{config}" --overwrite{lower}'))
    if lora is None:
        return lines
    more = f'--init-lora "{lora}" --name "{told.run.name}-more"'
    return [
        *lines,
        ("to see it beside its base", f'scumble compare --lora "{lora}" --prompt "{_quoted(prompt)}"'),
        ("to learn more from here, in a new run", f'scumble train --config "{config}" {more}'),
        ("to share it, with a card and previews", f'scumble publish "{lora}"'),
        ("to look at the file itself", f'scumble inspect "{lora}"'),
    ]


def _quoted(text: str) -> str:
    """For a shell's double quotes, which the caption is put into."""
    return text.replace('"', "'")

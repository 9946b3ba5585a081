"""Florence-2 (Xiao et al. 2023, arXiv:2311.06242): captions of three lengths, each a task that the prompt names."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from scumble.data.captioners.base import Caption, Captioner, Wishes
from scumble.data.captioners.place import ModelFolder
from scumble.data.captioners.pretrained import (
    WANTED,
    answer,
    check_kind,
    ends_of,
    half_on_gpu,
    is_cut,
    large_enough,
    load_model,
    load_part,
    settings_of,
)
from scumble.errors import ConfigError

__all__ = ["DEFAULT_MODEL", "GIVES_TAGS", "WANTED", "Florence", "open_captioner"]

DEFAULT_MODEL = "florence-community/Florence-2-base"
GIVES_TAGS = False
TASKS = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")
DEFAULT_TASK = TASKS[1]
NUM_BEAMS = 3


def open_captioner(folder: ModelFolder, wishes: Wishes, device: torch.device) -> Captioner:
    """Load Florence-2, of any size, in the layout that transformers has for it.

    Raises:
        CaptionerError: not a whole Florence-2, or one in the layout of its first code.
        ConfigError: a prompt that is no caption task.
    """
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    task = task_named(wishes.prompt)
    check_kind(folder, "florence2")
    if "auto_map" in settings_of(folder):
        raise folder.error(
            "it is laid out for code of its own, which is never run here: the same models are at florence-community on the "
            f"hub, such as {DEFAULT_MODEL}"
        )
    model = load_model(Florence2ForConditionalGeneration, folder, device, half_on_gpu(device))
    return Florence(model, load_part(Florence2Processor, folder), task, wishes.max_tokens)


def task_named(prompt: str | None) -> str:
    """The caption task that a prompt names, with or without its brackets, in any case.

    Raises:
        ConfigError: none of the three.
    """
    task = DEFAULT_TASK if prompt is None else f"<{prompt.strip().strip('<>').upper()}>"
    if task not in TASKS:
        raise ConfigError(f"prompt={prompt}: Florence-2 takes one of its caption tasks: {', '.join(TASKS)}")
    return task


class Florence:
    """Florence-2 with its processor.

    Args:
        task: one of `TASKS`.
    """

    notes: Sequence[str] = ()

    def __init__(self, model: Any, processor: Any, task: str, max_tokens: int) -> None:
        self.model = model
        self.processor = processor
        self.task = task
        self.max_tokens = max_tokens

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """A caption a picture, as long as the task says."""
        inputs = self.processor(images=large_enough(images), text=[self.task] * len(images), return_tensors="pt")
        # one more than may stay: at the last place its settings force an end, whether it has come to one or not
        rows_BT = answer(self.model, inputs, self.max_tokens + 1, NUM_BEAMS)[:, : self.max_tokens + 1]
        texts = self.processor.batch_decode(rows_BT, skip_special_tokens=True)
        cuts = is_cut(rows_BT, ends_of(self.model))
        return [Caption(text.strip(), cut) for text, cut in zip(texts, cuts, strict=True)]

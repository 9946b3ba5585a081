"""Florence-2 (Xiao et al. 2023, arXiv:2311.06242): captions of three lengths, each a task that the prompt names."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from scumble.config.caption import caption_task
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
    room,
    settings_of,
)

__all__ = ["DEFAULT_MODEL", "GIVES_TAGS", "WANTED", "Florence", "open_captioner"]

DEFAULT_MODEL = "florence-community/Florence-2-base"
GIVES_TAGS = False
DEFAULT_TASK = "detailed_caption"
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
    """What the model calls the caption task that a prompt names.

    Raises:
        ConfigError: none of the three.
    """
    return f"<{caption_task(prompt or DEFAULT_TASK).upper()}>"


class Florence:
    """Florence-2 with its processor.

    Args:
        task: as `task_named` gives it.
    """

    def __init__(self, model: Any, processor: Any, task: str, max_tokens: int) -> None:
        self.model = model
        self.processor = processor
        self.task = task
        self.room = room(model, max_tokens, given=2)
        self.notes: Sequence[str] = self.room.notes
        self.max_tokens: int | None = self.room.max_tokens

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """A caption a picture, as long as the task says."""
        inputs = self.processor(images=large_enough(images), text=[self.task] * len(images), return_tensors="pt")
        # one more than may stay: at the last place its settings force an end, whether it has come to one or not
        most = self.room.max_tokens + 1
        rows_BT = answer(self.model, inputs, most, NUM_BEAMS)[:, :most]
        texts = self.processor.batch_decode(rows_BT, skip_special_tokens=True)
        cuts = is_cut(rows_BT, ends_of(self.model))
        return [Caption(text.strip(), cut) for text, cut in zip(texts, cuts, strict=True)]

"""BLIP (Li et al. 2022, arXiv:2201.12086): one plain sentence; a prompt is how it begins."""

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
    half_on_gpu,
    is_cut,
    large_enough,
    load_model,
    load_part,
    room,
)

__all__ = ["DEFAULT_MODEL", "GIVES_TAGS", "WANTED", "Blip", "open_captioner"]

DEFAULT_MODEL = "Salesforce/blip-image-captioning-base"
GIVES_TAGS = False
NUM_BEAMS = 3


def open_captioner(folder: ModelFolder, wishes: Wishes, device: torch.device) -> Captioner:
    """Load BLIP, of any size.

    Raises:
        CaptionerError: not a whole BLIP.
    """
    from transformers import BlipForConditionalGeneration, BlipProcessor

    check_kind(folder, "blip")
    model = load_model(BlipForConditionalGeneration, folder, device, half_on_gpu(device))
    return Blip(model, load_part(BlipProcessor, folder), wishes)


class Blip:
    """BLIP with its processor."""

    def __init__(self, model: Any, processor: Any, wishes: Wishes) -> None:
        self.model = model
        self.processor = processor
        self.wishes = wishes
        text = model.config.text_config
        given = len(processor.tokenizer(wishes.prompt)["input_ids"]) if wishes.prompt else 1
        self.room = room(model, wishes.max_tokens, given)
        self.notes: Sequence[str] = self.room.notes
        self.max_tokens: int | None = self.room.max_tokens
        self.ends = (text.sep_token_id, text.pad_token_id)

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """One sentence a picture, which begins with the prompt where there is one."""
        prompts = [self.wishes.prompt] * len(images) if self.wishes.prompt else None
        inputs = self.processor(images=large_enough(images), text=prompts, return_tensors="pt")
        rows_BT = answer(self.model, inputs, self.room.max_tokens, NUM_BEAMS)
        texts = self.processor.batch_decode(rows_BT, skip_special_tokens=True)
        return [Caption(text.strip(), cut) for text, cut in zip(texts, is_cut(rows_BT, self.ends), strict=True)]

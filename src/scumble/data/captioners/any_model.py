"""Any image-to-text model of transformers: by its chat template where it has one, else by a prompt that begins the text."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scumble.data.captioners.base import Caption, Captioner, Wishes
from scumble.data.captioners.place import ModelFolder
from scumble.data.captioners.pretrained import (
    OWN_CAPTIONERS,
    WANTED,
    answer,
    ends_of,
    is_cut,
    large_enough,
    load_model,
    load_part,
    room,
    settings_of,
)
from scumble.errors import ConfigError

__all__ = ["DEFAULT_MODEL", "GIVES_TAGS", "WANTED", "Begun", "Chatting", "open_captioner"]

DEFAULT_MODEL = None
GIVES_TAGS = False
QUESTION = "Describe this picture in one sentence."
"""What a model with a chat template is asked where the person asks nothing."""


def open_captioner(folder: ModelFolder, wishes: Wishes, device: torch.device) -> Captioner:
    """Load whatever AutoModelForImageTextToText takes.

    Raises:
        CaptionerError: not a whole model, or of no kind that transformers knows.
        ConfigError: a prompt for a model that takes none, or a model that has a captioner of its own.
    """
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

    own = OWN_CAPTIONERS.get(str(settings_of(folder).get("model_type")))
    if own is not None:
        raise ConfigError(f"captioner=any: {folder.name} has a captioner of its own: --captioner {own}")
    dtype = torch.float32 if device.type == "cpu" else "auto"  # float16 is for GPUs
    model = load_model(AutoModelForImageTextToText, folder, device, dtype)
    processor = load_part(AutoProcessor, folder)
    if getattr(processor, "chat_template", None) and hasattr(processor, "image_processor"):
        return Chatting(model, processor, wishes)
    if hasattr(processor, "image_processor"):
        return Begun(model, processor.image_processor, processor.tokenizer, wishes)
    return Begun(model, load_part(AutoImageProcessor, folder), load_part(AutoTokenizer, folder), wishes)


class Chatting:
    """A model that is shown a picture, asked a question, and answers."""

    notes: Sequence[str] = ()

    def __init__(self, model: Any, processor: Any, wishes: Wishes) -> None:
        self.model = model
        self.processor = processor
        self.wishes = wishes
        self.max_tokens: int | None = wishes.max_tokens
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"  # an answer follows its question without a gap
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """The answer for each picture."""
        talks = [[{"role": "user", "content": self._said(image)}] for image in large_enough(images)]
        inputs = self.processor.apply_chat_template(
            talks,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        rows_BT = answer(self.model, inputs, self.wishes.max_tokens)
        if not self.model.config.is_encoder_decoder:
            rows_BT = rows_BT[:, inputs["input_ids"].shape[1] :]
        return _captions(self.model, self.processor, rows_BT)

    def _said(self, image: Image.Image) -> list[dict[str, Any]]:
        question = self.wishes.prompt or QUESTION
        return [{"type": "image", "image": image}, {"type": "text", "text": question}]


class Begun:
    """A model that writes on from how a caption begins; without a prompt, from nothing."""

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, wishes: Wishes) -> None:
        self.model = model
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.wishes = wishes
        if wishes.prompt and model.config.is_encoder_decoder:
            raise ConfigError(f"prompt would have no effect: {type(model).__name__} takes none; leave prompt out")
        self.room = room(model, wishes.max_tokens, self._beginning().shape[1] if wishes.prompt else 1)
        self.notes: Sequence[str] = self.room.notes
        self.max_tokens: int | None = self.room.max_tokens

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """A caption a picture."""
        inputs = dict(self.image_processor(images=large_enough(images), return_tensors="pt"))
        if self.wishes.prompt:
            inputs["input_ids"] = self._beginning().expand(len(images), -1)
        return _captions(self.model, self.tokenizer, answer(self.model, inputs, self.room.max_tokens))

    def _beginning(self) -> Tensor:
        """The prompt as tokens [1, T] that more can follow: with the mark of a beginning, without that of an end."""
        tokens = self.tokenizer(self.wishes.prompt, add_special_tokens=False)["input_ids"]
        first = self.model.generation_config.bos_token_id
        return torch.tensor([[*([] if first is None else [first]), *tokens]])


def _captions(model: Any, decoder: Any, rows_BT: Tensor) -> list[Caption]:
    texts = decoder.batch_decode(rows_BT, skip_special_tokens=True)
    return [Caption(text.strip(), cut) for text, cut in zip(texts, is_cut(rows_BT, ends_of(model)), strict=True)]

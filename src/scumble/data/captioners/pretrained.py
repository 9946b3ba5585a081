"""Loading what transformers saved, and nothing else: no pickles, no code from the model's folder, no missing weights.

Shapes: B pictures, T tokens.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from scumble.data.captioners.place import ModelFolder
from scumble.errors import ConfigError

WANTED = ("*.json", "*.txt", "*.model", "*.jinja", "model*.safetensors")
"""What is fetched of a model on the hub: settings, vocabulary, chat template, weights."""

OWN_CAPTIONERS = {"blip": "blip", "florence2": "florence"}
"""Kinds of models that have a captioner of their own -> its name."""


def settings_of(folder: ModelFolder) -> dict[str, Any]:
    """What the model's config.json says.

    Raises:
        CaptionerError: there is none, or it is damaged.
    """
    path = folder.path / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise folder.not_whole("it has no config.json") from None
    except ValueError:  # not JSON, or not UTF-8
        raise folder.not_whole("its config.json is damaged") from None
    if not isinstance(settings, dict):
        raise folder.not_whole("its config.json is damaged")
    return settings


def check_kind(folder: ModelFolder, expected: str) -> None:
    """Refuse a model of another kind than the captioner's.

    Raises:
        CaptionerError: of another kind; names the captioner for it.
    """
    found = settings_of(folder).get("model_type")
    if found != expected:
        other = OWN_CAPTIONERS.get(str(found), "any")
        raise folder.error(f"found a model of the kind '{found}', expected '{expected}': try --captioner {other}")


def half_on_gpu(device: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def load_model(model_class: Any, folder: ModelFolder, device: torch.device, dtype: torch.dtype | str) -> Any:
    """A model of transformers, ready to be asked.

    Args:
        model_class: the class, or an Auto class.
        folder: as save_pretrained writes it.
        device: where the weights will be.
        dtype: their precision; "auto" = as they were saved.
    Raises:
        CaptionerError: no weights, weights that are pickles, or that lack some the model has.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    if any(folder.path.glob("*.bin")) and not any(folder.path.glob("*.safetensors")):
        raise folder.error("its weights are a pickle (.bin), which can run code and is never read: take another model")
    with _one_line(folder):
        model, report = model_class.from_pretrained(
            folder.path, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    # what a file lacks is filled with random numbers, and the captions are nonsense
    missing = sorted(set(report["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if missing:
        raise folder.error(f"its weights lack {len(missing)} that {type(model).__name__} has, such as {missing[0]}")
    return model.to(device).eval().requires_grad_(False)


def load_part(part_class: Any, folder: ModelFolder) -> Any:
    """A processor, a tokenizer or an image processor.

    Raises:
        CaptionerError: its files are not there, or not understood.
    """
    with _one_line(folder):
        part = part_class.from_pretrained(folder.path, trust_remote_code=False)
    tokenizer = part if hasattr(part, "get_vocab") else getattr(part, "tokenizer", None)
    # without its file some tokenizers come up empty instead of failing, and every caption is empty too
    if tokenizer is not None and len(tokenizer) <= len(tokenizer.all_special_ids):
        raise folder.not_whole("it has no vocabulary, such as tokenizer.json")
    return part


@contextmanager
def _one_line(folder: ModelFolder) -> Iterator[None]:
    """Turn what transformers says of a folder that it cannot load into one line."""
    try:
        yield
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        # it answers missing and odd files with any of these, an AttributeError for a tokenizer that is not there
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise folder.not_whole(f"transformers says: {said[0][:300].rstrip('.')}") from error


@dataclass(frozen=True)
class Room:
    """How long a caption may be.

    Attributes:
        max_tokens: most tokens.
        notes: that they are fewer than were wished for, and why.
    """

    max_tokens: int
    notes: tuple[str, ...] = ()


def room(model: Any, max_tokens: int, given: int = 1) -> Room:
    """As many tokens as were wished for, or as the model has places for: beyond them it can only fail.

    Args:
        model: one that has learnt a vector for each place, and not for those beyond.
        max_tokens: most tokens that were wished for.
        given: tokens that its text begins with.
    Raises:
        ConfigError: there is no place left after the prompt.
    """
    places = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if places is None or max_tokens <= (most := places - given + 1):  # what is said last is not read again
        return Room(max_tokens)
    if most < 1:
        raise ConfigError(f"prompt has {given} tokens, and {type(model).__name__} reads {places} at most: shorten it")
    note = f"captions have {most} tokens at most, not {max_tokens}: {type(model).__name__} writes no longer ones"
    return Room(most, (note,))


def answer(model: Any, inputs: Mapping[str, Any], max_tokens: int, num_beams: int = 1) -> Tensor:
    """What a model generates, always the same for the same pictures.

    Args:
        inputs: of the processor; tensors go where the model is, and in its precision.
        max_tokens: most new tokens.
        num_beams: answers that are followed side by side.
    Returns:
        Token ids [B, T].
    """
    moved = {name: _beside(model, value) if isinstance(value, Tensor) else value for name, value in inputs.items()}
    with torch.inference_mode():
        rows_BT: Tensor = model.generate(**moved, max_new_tokens=max_tokens, num_beams=num_beams, do_sample=False)
    return rows_BT.cpu()


def _beside(model: Any, value: Tensor) -> Tensor:
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)


def is_cut(rows_BT: Tensor, ends: Sequence[int]) -> list[bool]:
    """Whether each answer stopped for want of tokens: it does not end in one of `ends`, its end or padding."""
    return [int(last) not in ends for last in rows_BT[:, -1]]


def ends_of(model: Any) -> list[int]:
    """The token ids that end an answer, padding among them."""
    settings = model.generation_config
    found = settings.eos_token_id
    ends = found if isinstance(found, list) else [found]
    return [int(each) for each in [*ends, settings.pad_token_id] if each is not None]


def large_enough(images: Sequence[Image.Image]) -> list[Image.Image]:
    """The pictures, of four pixels a side at least: up to three are taken for colours."""
    return [image if min(image.size) > 3 else image.resize((max(4, *image.size),) * 2) for image in images]

"""Captions that are longer than the text encoder sees, and the words that are cut off."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from scumble.data.scan import Example
from scumble.errors import BaseModelError
from scumble.families.base import BaseModel
from scumble.families.chunks import Prompt, surely_seen
from scumble.families.clip import Clip
from scumble.families.vocabulary import END, clip_tokenizer
from scumble.generate.prompt import cut_off

USUAL_TOKENS = 75
"""Of a chunk of CLIP's, without start and end."""


@dataclass(frozen=True)
class CutCaption:
    """A caption whose end is not seen.

    Attributes:
        path: its picture.
        text: all of it.
        tokens: how many it has.
        chunks: how many it needs.
        unseen: the words that are cut off.
    """

    path: Path
    text: str
    tokens: int
    chunks: int
    unseen: str


class CountsTokens(Protocol):
    """The half of a text encoder that is needed here."""

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        ...

    def count_chunks(self, prompt: Prompt) -> int:
        """Chunks that the prompt needs, at least one."""
        ...


class ClipCounter:
    """CLIP's tokenizer alone, for when no base is named.

    Raises:
        BaseModelError: its vocabulary is not on this machine.
    """

    def __init__(self) -> None:
        self.clip = Clip(clip_tokenizer(END), model=None, max_tokens=USUAL_TOKENS)

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        return self.clip.count_tokens(prompt)

    def count_chunks(self, prompt: Prompt) -> int:
        """Chunks that the prompt needs, at least one."""
        return len(self.clip.chunks(prompt))


def cut_captions(examples: Sequence[Example], base: BaseModel | None, num_chunks: int) -> list[CutCaption]:
    """The captions that are cut, in order; the text encoder is loaded only where a caption is long.

    Args:
        examples: pictures with captions.
        base: whose text encoder counts; None = CLIP's vocabulary, where it is on this machine.
        num_chunks: chunks that training sees.
    Raises:
        BaseModelError: a caption is long, and there is nothing to count its tokens with.
    """
    room = USUAL_TOKENS if base is None else base.max_tokens
    enough_room = surely_seen(room, num_chunks)
    suspects = [
        (example.path, caption)
        for example in examples
        for caption in example.captions
        if len(caption.encode("utf-8", "replace")) > enough_room or "BREAK" in caption
    ]  # a token is one byte or more
    if not suspects:
        return []
    counter: CountsTokens = ClipCounter() if base is None else base.load_text_encoder(torch.device("cpu"))
    return [_cut(path, text, counter, num_chunks) for path, text in suspects if counter.count_chunks(text) > num_chunks]


def why_uncounted(error: BaseModelError) -> str:
    """What the person is told where tokens could not be counted."""
    return f"tokens are not counted, though there are long captions: {error}"


def _cut(path: Path, text: str, counter: CountsTokens, num_chunks: int) -> CutCaption:
    unseen = cut_off(text, lambda begin: counter.count_chunks(begin) <= num_chunks)
    return CutCaption(path, text, counter.count_tokens(text), counter.count_chunks(text), unseen)

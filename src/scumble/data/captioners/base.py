"""What every captioner does, whatever model is behind it, and what its module offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image

from scumble.data.captioners.place import ModelFolder


@dataclass(frozen=True)
class Caption:
    """What a model says of one picture.

    Attributes:
        text: a sentence, or tags with ", " between them; may be empty.
        is_cut: it would have gone on, but for the largest number of tokens.
    """

    text: str
    is_cut: bool = False


@dataclass(frozen=True)
class Wishes:
    """What the person asks of a captioner; each understands some of it, and the settings refuse the rest.

    Attributes:
        prompt: how a caption begins, a task, or a question, by the captioner; None = its own.
        max_tokens: most tokens of a caption.
        general_threshold: probability from which a tag is taken.
        character_threshold: probability from which the name of a character is taken.
        keep_underscores: tags as the model has them: "long_hair", not "long hair".
    """

    prompt: str | None = None
    max_tokens: int = 75
    general_threshold: float = 0.35
    character_threshold: float = 0.85
    keep_underscores: bool = False


class Captioner(Protocol):
    """A model with its weights in memory.

    Attributes:
        notes: what the person should know about how it runs.
        max_tokens: most tokens of a caption, which may be fewer than were wished for; None = they are not counted.
    """

    notes: Sequence[str]
    max_tokens: int | None

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """What is in each picture, in their order.

        Args:
            images: upright RGB pictures of any sizes; one forward pass takes them all.
        """


class Module(Protocol):
    """What a module under "captioner" in registry.py offers.

    Attributes:
        DEFAULT_MODEL: hub id of the model where none is asked for; None = one has to be.
        GIVES_TAGS: whether its captions are tags rather than sentences.
        WANTED: patterns of the files that are fetched from the hub.
    """

    DEFAULT_MODEL: str | None
    GIVES_TAGS: bool
    WANTED: Sequence[str]

    def open_captioner(self, folder: ModelFolder, wishes: Wishes, device: torch.device) -> Captioner:
        """Load the model.

        Raises:
            CaptionerError: the folder is not whole, or of another kind of model.
            ConfigError: a wish that the model cannot fulfil, or a library that is not installed.
        """

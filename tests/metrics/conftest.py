"""A LoRA on the tiny base, what is looked at to measure it, and a tiny CLIP of the real classes."""

import pytest
import torch
from tests.generate.conftest import random_lora
from tests.metrics.clip_model import write_clip
from tests.train.conftest import common

from scumble.families.find import open_base
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe
from scumble.metrics.album import Album
from scumble.metrics.base import Subject
from scumble.metrics.clip import open_clip

__all__ = ["common"]

SMALL = Recipe("", 32, 32, steps=2, guidance_scale=3.0, base="tiny")


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny-clip", seed=0)


@pytest.fixture(scope="session")
def clip(clip_folder):
    return open_clip(str(clip_folder), torch.device("cpu"))


@pytest.fixture(scope="session")
def album(tiny_base):
    """Pictures of the tiny base, with a LoRA of visible effect within reach."""
    base = open_base(str(tiny_base))
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    painter.add_lora("ink", random_lora(base))
    return Album(painter, 4)


@pytest.fixture
def subject(album, clip):
    """Builds a subject: the LoRA at a strength, on the tiny base."""

    def build(weight=1.0, **more):
        plain = {
            "prompts": ("a handwritten three", "a handwritten four"),
            "other_prompts": ("a handwritten one",),
            "seeds": (1, 2, 3),
            "eyes": clip,
        }
        return Subject(album, (LoraUse("ink", weight, "0123456789abcdef"),), SMALL, **{**plain, **more})

    return build

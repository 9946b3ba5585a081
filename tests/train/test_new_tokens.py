"""New words: textual inversion and pivotal tuning."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file

from scumble.train.events import Finished, Noted, Planned, Stepped
from scumble.train.loop import train


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 2},
        "tokens": {"new_tokens": ["sks=cat"], "num_vectors": 2},
        "output": {"checkpointing_steps": 2},
        "validation": {"validation_steps": 2},
    }
    return lambda **changes: common(own, changes)


def alone(**tokens):
    """Settings of textual inversion: no adapter."""
    return {"tokens": {"tokens_only": True, **tokens}, "adapter": {"rank": None}}


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(events):
    return "\n".join(event.text for event in events if isinstance(event, Noted))


def test_words_and_adapter_are_trained_together(settings, tmp_path):
    events = list(train(settings()))
    assert isinstance(events[-1], Finished)
    tensors = load_file(tmp_path / "runs" / "photos" / "photos.safetensors")
    assert tensors["bundle_emb.sks.string_to_param.*"].shape == (2, 32)
    assert "proved: diffusers' own reader" in said(events)

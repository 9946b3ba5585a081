"""Base models and pictures that tests make for themselves: random weights, real classes, real files."""

import os

os.environ["OMP_NUM_THREADS"] = (
    "1"  # the models are tiny: threads would wait for each other, and tests run side by side
)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

import numpy as np
import pytest
import torch
from PIL import Image

from bases import write_base, write_sd2_base, write_sdxl_base
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.lorafile import LoraFile

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """The smallest pipeline folder that trains: 32 px pictures, 4 x 4 latents, 16 attention layers."""
    folder = tmp_path_factory.mktemp("bases") / "tiny"
    return write_base(folder, channels=(32, 32), layers_per_block=1, cross_attention_dim=32, sample_size=4, seed=0)


@pytest.fixture(scope="session")
def narrow_base(tmp_path_factory):
    """Stable Diffusion 1.5's block structure and its UNet's exact keys, 128 attention layers, with narrow channels."""
    folder = tmp_path_factory.mktemp("bases") / "narrow"
    return write_base(
        folder, channels=(16, 32, 64, 64), layers_per_block=2, cross_attention_dim=32, sample_size=8, seed=1
    )


@pytest.fixture(scope="session")
def sd2_base(tmp_path_factory):
    """Stable Diffusion 2.1's block structure and exact keys, with narrow channels; it predicts v."""
    return write_sd2_base(tmp_path_factory.mktemp("bases") / "sd2", seed=2)


@pytest.fixture(scope="session")
def sdxl_base(tmp_path_factory):
    """SDXL's block structure and its UNet's exact keys, with narrow channels and two narrow text encoders."""
    return write_sdxl_base(tmp_path_factory.mktemp("bases") / "sdxl", seed=3)


@pytest.fixture(scope="session")
def attention_lora(narrow_base):
    """A LoRA of all 128 attention layers of the narrow base, whose names `tests.files.mismatches` spoils."""
    from tests.files.kinds import random_layer

    table = table_of(open_base(str(narrow_base)))
    keys = [key for key in table.shapes if ".attn1." in key or ".attn2." in key]
    assert len(keys) == 128
    return LoraFile({key: random_layer("lora", table.shapes[key], 2, 1.0, seed=1) for key in keys})


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures, each with a caption beside it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(7)
    for index in range(12):
        pixels = np.full((48, 40, 3), random.integers(0, 256, 3), np.uint8)
        pixels[8:30, 10:25] = random.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"a photo of sks dog, number {index % 3}", encoding="utf-8")
    return folder


@pytest.fixture
def cpu():
    return torch.device("cpu")

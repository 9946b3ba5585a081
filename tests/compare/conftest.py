"""A LoRA of visible effect on the smallest base, and settings that draw in an instant."""

import pytest
import torch

from scumble.adapters.targets import find_targets
from scumble.adapters.weight import weight_of
from scumble.config import CompareConfig
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora


@pytest.fixture
def lora(tiny_base):
    """A LoRA of visible effect."""
    denoiser = open_base(str(tiny_base)).empty_denoiser()
    generator = torch.Generator().manual_seed(0)
    layers = {}
    for path in find_targets(denoiser, ["attention"]):
        out_features, in_features = weight_of(denoiser.get_submodule(path)).shape
        down = torch.randn(4, in_features, generator=generator) * 0.4
        up = torch.randn(out_features, 4, generator=generator) * 0.4
        layers[f"unet.{path}"] = LoraLayer("lora", {"down": down, "up": up}, 4, 3.0)
    return LoraFile(layers, {"scumble.base": str(tiny_base)})


@pytest.fixture
def config(tmp_path):
    plain = {"prompt": ("a handwritten three",), "steps": 2, "device": "cpu", "out": tmp_path / "sub" / "compare.png"}
    return lambda **settings: CompareConfig(**{**plain, **settings})


@pytest.fixture
def ink(tmp_path, lora):
    write_lora(lora, tmp_path / "ink.safetensors")
    return tmp_path / "ink.safetensors"

"""A loaded tiny base, painters on it, and LoRAs of visible effect."""

import pytest
import torch

from scumble.adapters.targets import find_targets
from scumble.adapters.weight import weight_of
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora
from scumble.generate.painter import Painter

RANK, ALPHA = 4, 3.0


def random_lora(base, seed=0, size=0.4):
    """A LoRA of the denoiser's attention, alpha not its rank."""
    denoiser = base.empty_denoiser()
    generator = torch.Generator().manual_seed(seed)
    paths = find_targets(denoiser, ["attention"])
    shapes = {f"unet.{path}": weight_of(denoiser.get_submodule(path)).shape for path in paths}
    return LoraFile({key: random_layer(shape, generator, size) for key, shape in shapes.items()})


def random_layer(shape, generator, size=0.4):
    down = torch.randn(RANK, shape[1], generator=generator) * size
    up = torch.randn(shape[0], RANK, generator=generator) * size
    return LoraLayer("lora", {"down": down, "up": up}, RANK, ALPHA)


@pytest.fixture(scope="session")
def parts(tiny_base):
    """An opened base and its loaded denoiser, text encoder and autoencoder; leave them as they are."""
    base, cpu = open_base(str(tiny_base)), torch.device("cpu")
    return base, base.load_denoiser(torch.float32, cpu), base.load_text_encoder(cpu), base.load_autoencoder(cpu)


@pytest.fixture
def painter(parts):
    """A painter that nothing is attached to, before and after the test."""
    painter = Painter(*parts)
    yield painter
    for name in painter.lora_names:
        painter.remove_lora(name)


@pytest.fixture
def make_lora(parts):
    """Makes a LoRA for the tiny base or another, of a seed and a size."""
    return lambda seed=0, size=0.4, base=parts[0]: random_lora(base, seed, size)


@pytest.fixture
def make_layer():
    """Makes the LoRA of one layer, of a shape, from a generator."""
    return random_layer


@pytest.fixture
def ink_file(tmp_path, make_lora):
    """The file of a LoRA named ink, in the folder of a run of that name."""
    path = tmp_path / "runs" / "ink" / "ink.safetensors"
    path.parent.mkdir(parents=True)
    write_lora(make_lora(), path)
    return path

"""The example that students read: it trains, and diffusers understands its file."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from scripts import load_script

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_in_one_file.py"
SIZE = 32


@pytest.fixture(scope="module")
def example():
    return load_script(EXAMPLE)


@pytest.fixture
def trained(example, tiny_base, photos, tmp_path):
    """The folder it wrote, and its losses."""
    out = tmp_path / "lora"
    arguments = f"--steps 6 --rank 3 --rate 1e-2 --resolution {SIZE}".split()
    losses = example.main(["--base", str(tiny_base), "--pictures", str(photos), "--out", str(out), *arguments])
    return out, losses


def drawn(pipe):
    noise = torch.Generator().manual_seed(3)
    return pipe("a photo of sks dog", SIZE, SIZE, num_inference_steps=3, generator=noise, output_type="np").images[0]


def test_it_fits_into_150_lines():
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 150


def test_it_trains_with_a_finite_loss_and_shows_before_and_after(trained):
    out, losses = trained
    assert len(losses) == 6
    assert all(math.isfinite(loss) for loss in losses)
    picture = np.asarray(Image.open(out / "before_after.png"), dtype=int)
    assert picture.shape == (SIZE, 2 * SIZE, 3)
    assert (picture[:, :SIZE] != picture[:, SIZE:]).any()


def test_diffusers_loads_its_file_and_draws_the_same(example, trained, tiny_base):
    pytest.importorskip("peft")
    out, _ = trained
    base, ours, theirs = (example.load_base(str(tiny_base)) for _ in range(3))
    example.load(ours.unet, out)
    theirs.load_lora_weights(str(out), weight_name=example.FILE_NAME)
    assert np.abs(drawn(theirs) - drawn(base)).max() > 1e-3
    np.testing.assert_allclose(drawn(ours), drawn(theirs), rtol=0, atol=1e-4)


def test_its_file_holds_the_adapter_and_nothing_else(trained):
    tensors = load_file(trained[0] / "lora.safetensors")
    assert len(tensors) == 2 * 32
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in tensors)
    assert all(3 in tensor.shape for tensor in tensors.values())


def test_a_new_layer_changes_nothing(example, tiny_base):
    base, adapted = (example.load_base(str(tiny_base)) for _ in range(2))
    layers = example.inject(adapted.unet, rank=4, alpha=8)
    assert sum(parameter.numel() for parameter in adapted.unet.parameters() if parameter.requires_grad) == sum(
        layer.A.numel() + layer.B.numel() for layer in layers.values()
    )
    np.testing.assert_array_equal(drawn(base), drawn(adapted))

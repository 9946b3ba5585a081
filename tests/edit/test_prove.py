"""The proof after saving finds a file that is not what was trained, and is not fooled by rounding."""

import pytest
import torch

from scumble.adapters import lora
from scumble.adapters.inject import attach, set_strength
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.edit.prove import Probe, prove_file
from scumble.errors import LoraFileError
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora


@pytest.fixture
def trained(tiny_base, cpu):
    """A base with an adapter that changes it, the probe's answers, and the adapters by path."""

    def build(dtype=torch.float32, size=0.1):
        base = open_base(str(tiny_base))
        denoiser = base.load_denoiser(dtype, cpu)
        generator = torch.Generator().manual_seed(3)
        adapters = {
            path: lora.create(denoiser.get_submodule(path), AdapterRecipe("lora", 4, 3.0), generator)
            for path in find_targets(denoiser, ["attention"])
        }
        for adapter in adapters.values():
            adapter.up.data.normal_(std=size, generator=generator)
        attach(denoiser, "a", adapters)
        noisy = torch.randn(2, 4, 4, 4, generator=generator).to(dtype)
        timesteps = torch.tensor([100, 700])
        state = base.load_text_encoder(cpu).encode(["three"], 1)[0]["hidden"].to(dtype)
        text = {"hidden": torch.stack([state, state])}
        with torch.no_grad():
            answer = base.predict(denoiser, noisy, timesteps, text)
            set_strength(denoiser, "a", 0.0)
            plain = base.predict(denoiser, noisy, timesteps, text)
        return base, Probe(noisy, timesteps, text, answer, plain), adapters

    return build


def written(adapters, path, alpha=3.0, dtype=torch.float32, without=0):
    layers = {
        f"unet.{name}": LoraLayer("lora", {"down": a.down.detach(), "up": a.up.detach()}, 4, alpha)
        for name, a in list(adapters.items())[without:]
    }
    write_lora(LoraFile(layers), path, "kohya", dtype)
    return path


def deltas(adapters):
    return lambda fresh: [(f"unet.{path}", adapter.delta().detach()) for path, adapter in adapters.items()]


def test_a_right_file_is_proved(trained, tmp_path):
    base, probe, adapters = trained()
    proof = prove_file(written(adapters, tmp_path / "a.safetensors"), base, probe, deltas(adapters), torch.float32)
    assert proof.weight_error < 1e-6
    assert proof.effect_error < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_file_in_half_precision_is_proved_to_its_rounding(trained, tmp_path, dtype):
    base, probe, adapters = trained()
    path = written(adapters, tmp_path / "a.safetensors", dtype=dtype)
    assert 1e-5 < prove_file(path, base, probe, deltas(adapters), dtype).weight_error < 2e-2


def test_an_effect_smaller_than_bf16_rounding_is_no_false_alarm(trained, tmp_path):
    base, probe, adapters = trained(torch.bfloat16, size=1e-4)
    proof = prove_file(written(adapters, tmp_path / "a.safetensors"), base, probe, deltas(adapters), torch.float32)
    assert proof.weight_error < 1e-6
    assert proof.rounding > 0.1


def test_a_wrong_alpha_is_found(trained, tmp_path):
    base, probe, adapters = trained()
    path = written(adapters, tmp_path / "a.safetensors", alpha=4.0)
    with pytest.raises(LoraFileError, match="weight change differs"):
        prove_file(path, base, probe, deltas(adapters), torch.float32)


def test_a_missing_layer_is_found(trained, tmp_path):
    base, probe, adapters = trained()
    path = written(adapters, tmp_path / "a.safetensors", without=1)
    with pytest.raises(LoraFileError, match="missing"):
        prove_file(path, base, probe, deltas(adapters), torch.float32)


def test_a_base_that_answers_otherwise_is_found(trained, tmp_path, narrow_base):
    base, probe, adapters = trained()
    other = Probe(probe.noisy, probe.timesteps, probe.text, probe.trained + 0.1, probe.plain)
    with pytest.raises(LoraFileError, match="effect differs"):
        prove_file(written(adapters, tmp_path / "a.safetensors"), base, other, deltas(adapters), torch.float32)

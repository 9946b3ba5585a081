"""Models of many architectures are loaded from files as they are published; anything else is refused as what it is."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.upscale.conftest import KINDS, compact, esrgan, tensors_of

from scumble.errors import ConfigError, ScumbleError, UpscalerError
from scumble.upscale.model import open_upscaler


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_known_by_its_tensors_and_enlarges(kind, write_model, cpu):
    path = write_model(KINDS[kind])
    upscaler = open_upscaler(path, cpu)
    expected = 4 if kind == "ESRGAN" else 2
    assert (upscaler.architecture, upscaler.scale, upscaler.name) == (kind, expected, "model")
    assert len(upscaler.digest) == 64
    pixels = torch.rand(1, 3, 10, 13, generator=torch.Generator().manual_seed(0))
    larger = upscaler(pixels)
    assert (tuple(larger.shape), larger.dtype) == ((1, 3, 10 * expected, 13 * expected), torch.float32)
    assert 0 <= float(larger.min()) <= float(larger.max()) <= 1
    assert torch.equal(larger, upscaler(pixels))


def test_there_are_many_architectures():
    assert len(KINDS) >= 6


def test_a_loaded_model_computes_what_the_one_that_was_saved_does(write_model, cpu):
    path = write_model()
    model = compact()
    model.load_state_dict(load_file(path))
    pixels = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.eval()(pixels).clamp(0, 1)
    assert torch.equal(open_upscaler(path, cpu)(pixels), expected)


def test_a_pickle_gives_the_averaged_weights_that_it_holds(write_model, tmp_path, cpu):
    path = write_model(esrgan)
    tensors = load_file(path)
    last = {name: tensor + 1 for name, tensor in tensors.items()}
    torch.save({"params": last, "params_ema": tensors}, tmp_path / "model.pth")
    pixels = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(open_upscaler(tmp_path / "model.pth", cpu)(pixels), open_upscaler(path, cpu)(pixels))


class Dangerous:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path, cpu):
    torch.save({"params": {**tensors_of(compact()), "x": Dangerous(tmp_path / "ran")}}, tmp_path / "bad.pth")
    with pytest.raises(UpscalerError, match=r"bad\.pth: it is not read.*it asks for io\.open"):
        open_upscaler(tmp_path / "bad.pth", cpu)
    assert not (tmp_path / "ran").exists()


def refused(path, cpu):
    with pytest.raises(UpscalerError) as refusal:
        open_upscaler(path, cpu)
    return str(refusal.value)


def test_models_of_other_kinds_are_refused_as_what_they_are(write_model, cpu):
    assert "found ESRGAN, a model that cleans pictures" in refused(write_model(esrgan, scale=1), cpu)
    from spandrel.architectures.SCUNet import SCUNet

    cleans = write_model(lambda: SCUNet(config=[1] * 7, dim=32), "cleans")
    assert "found SCUNet, a model that cleans pictures, and leaves them the size they are" in refused(cleans, cpu)


def test_models_for_other_channels_are_refused(write_model, cpu):
    gray = write_model(esrgan, in_nc=1, out_nc=1)
    assert "found ESRGAN for 1 channels that gives 1, expected one for the three of colour" in refused(gray, cpu)


def test_files_that_are_no_upscaler_say_what_they_are(tmp_path, cpu):
    save_file({"lora_unet_mid_block.lora_down.weight": torch.ones(2, 2)}, tmp_path / "lora.safetensors")
    assert "found a LoRA, expected a model that enlarges" in refused(tmp_path / "lora.safetensors", cpu)
    save_file({"model.diffusion_model.out.2.weight": torch.ones(2, 2)}, tmp_path / "base.safetensors")
    assert "found a whole Stable Diffusion checkpoint, expected a model" in refused(tmp_path / "base.safetensors", cpu)
    save_file({"a": torch.ones(2)}, tmp_path / "any.safetensors")
    assert "found tensors named a, expected a model that enlarges" in refused(tmp_path / "any.safetensors", cpu)
    assert "there is no such file" in refused(tmp_path / "none.safetensors", cpu)


def test_half_a_model_is_refused(write_model, tmp_path, cpu):
    tensors = load_file(write_model(esrgan))
    del tensors["model.1.sub.0.RDB1.conv3.0.weight"]
    save_file(tensors, tmp_path / "half.safetensors")
    assert "its tensors are not those of a whole model" in refused(tmp_path / "half.safetensors", cpu)


def test_numbers_that_are_not_finite_are_refused_before_and_after(write_model, tmp_path, cpu):
    tensors = load_file(write_model())
    last = "body.4.weight"
    save_file({**tensors, last: torch.full_like(tensors[last], float("nan"))}, tmp_path / "nan.safetensors")
    assert "body.4.weight has numbers that are not finite" in refused(tmp_path / "nan.safetensors", cpu)
    save_file({**tensors, last: torch.full_like(tensors[last], 3e38)}, tmp_path / "high.safetensors")
    high = open_upscaler(tmp_path / "high.safetensors", cpu)
    high.descriptor.model.body[4].bias.fill_(float("nan"))
    with pytest.raises(ScumbleError, match="gave numbers that are not finite: take --mixed-precision no"):
        high(torch.ones(1, 3, 8, 8))


def test_a_precision_that_an_architecture_does_not_bear_is_refused(write_model, cpu):
    with pytest.raises(ConfigError, match="mixed_precision=fp16: SwinIR does not bear it; take bf16 or no"):
        open_upscaler(write_model(KINDS["SwinIR"]), cpu, "fp16")
    assert open_upscaler(write_model(), cpu, "bf16").dtype == torch.bfloat16
    assert open_upscaler(write_model(), cpu).dtype == torch.float32

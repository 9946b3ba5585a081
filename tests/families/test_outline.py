"""A base's layers off a table: the same layers, in the same order, as the model itself has."""

import subprocess
import sys

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn

from scumble.config import TrainConfig
from scumble.errors import TargetError
from scumble.families.checkpoint import shipped_configs
from scumble.families.find import open_base
from scumble.families.noising import alphas_cumprod
from scumble.families.shapes import empty_unet, known_as, layer_shapes, outline_of, shapes_in
from scumble.registry import names
from scumble.train.plan import make_plan

KNOWN = {"mini": lambda: open_base("mini").configs} | {
    family: lambda family=family: {
        part: config for part, config in shipped_configs(family).items() if part == "unet" or "text" in part
    }
    for family in names("family")
}


@pytest.mark.parametrize("name", KNOWN)
def test_an_outline_has_the_layers_of_the_model_in_its_order(name):
    configs = KNOWN[name]()
    assert known_as(configs["unet"]) == name
    outline, denoiser = outline_of(configs), empty_unet(configs["unet"])
    expected = shapes_in(denoiser)
    assert list(shapes_in(outline.modules["unet"]).items()) == list(expected.items())
    assert [item for item in layer_shapes(configs).items() if item[0].startswith("unet.")] == list(expected.items())
    assert outline.num_parameters == sum(parameter.numel() for parameter in denoiser.parameters())
    assert all(parameter.is_meta for module in outline.modules.values() for parameter in module.parameters())
    for path, layer in outline.modules["unet"].named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            assert isinstance(denoiser.get_submodule(path), type(layer))


def test_a_saved_pipeline_has_more_settings_and_the_same_layers(tmp_path):
    """diffusers writes every setting down, and each version more of them."""
    config = shipped_configs("sd1")["unet"]
    with torch.device("meta"):
        saved = dict(UNet2DConditionModel.from_config(config).config)
    assert len(saved) > len(config)
    assert known_as(saved) == "sd1"
    assert known_as({**saved, "sample_size": 96, "_diffusers_version": "0.6.0"}) == "sd1"


@pytest.mark.parametrize(
    "change",
    [
        {"cross_attention_dim": 1024},
        {"in_channels": 9},
        {"time_cond_proj_dim": 256},
        {"a_setting_of_tomorrow": None},
        {"block_out_channels": [320, 640, 1280]},
    ],
)
def test_what_is_like_none_of_them_is_not_taken_for_one(change):
    assert known_as({**shipped_configs("sd1")["unet"], **change}) is None


def test_of_an_unknown_architecture_the_layers_come_off_its_empty_model_which_is_built_once(tiny_base, monkeypatch):
    base = open_base(str(tiny_base))
    assert known_as(base.configs["unet"]) is None
    outline, denoiser = base.outline(), base.empty_denoiser()
    assert list(shapes_in(outline.modules["unet"]).items()) == list(shapes_in(denoiser).items())
    monkeypatch.setattr("scumble.families.shapes.empty_unet", None)
    assert layer_shapes(base.configs).items() >= shapes_in(denoiser).items()
    assert outline.num_parameters == sum(parameter.numel() for parameter in denoiser.parameters())


SCHEDULES = {
    "Stable Diffusion": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "fewer steps": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.001,
        "beta_end": 0.02,
        "num_train_timesteps": 250,
    },
    "linear": {"beta_schedule": "linear", "beta_start": 0.0002, "beta_end": 0.03},
    "nothing said": {},
    "pure noise at its end": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "rescale_betas_zero_snr": True,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "given one by one": {"trained_betas": [0.01, 0.02, 0.03], "num_train_timesteps": 3},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_noise_schedule_is_that_of_diffusers_to_the_bit(name):
    ours = alphas_cumprod(SCHEDULES[name])
    assert ours.dtype == torch.float32
    assert torch.equal(ours, DDPMScheduler.from_config(SCHEDULES[name]).alphas_cumprod)


PLANNED = """
import sys
from scumble.config import TrainConfig
from scumble.train.card import planned
from scumble.train.plan import make_plan

data, output = {"folder": sys.argv[1]}, {"output_dir": sys.argv[2]}
config = TrainConfig.model_validate({"model": {"base": "mini"}, "data": data, "output": output})
assert planned(make_plan(config)).card["adapter"].startswith("lora, rank ")
print([name for name in ("diffusers", "transformers", "accelerate") if name in sys.modules])
"""


def test_a_target_that_no_adapter_fits_is_told_as_by_the_model_itself(photos, tmp_path):
    values = {
        "model": {"base": "mini"},
        "data": {"folder": photos},
        "adapter": {"targets": ["conv_norm_out"]},
        "output": {"output_dir": tmp_path},
    }
    with pytest.raises(TargetError, match="conv_norm_out, a GroupNorm, which cannot be adapted"):
        make_plan(TrainConfig.model_validate(values))


def test_the_card_of_a_run_imports_no_code_of_models(photos, tmp_path):
    command = [sys.executable, "-c", PLANNED, str(photos), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

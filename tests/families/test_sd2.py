"""Stable Diffusion 2.x beside what diffusers' own pipeline says of the same folder."""

import json
import shutil

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from scumble.errors import BaseModelError
from scumble.families.checkpoint import shipped_configs
from scumble.families.find import open_base

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(sd2_base):
    return open_base(str(sd2_base))


def test_a_folder_says_what_it_is(base):
    assert (base.family, base.resolution, base.prediction_type, base.text_layers) == ("sd2", 64, "v_prediction", 23)
    assert list(base.notes) == []


def test_the_text_encoder_tells_the_first_generation_from_the_second(sd2_base, tmp_path):
    folder = shutil.copytree(sd2_base, tmp_path / "base")
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    for activation, family in (("quick_gelu", "sd1"), ("gelu", "sd2")):
        (folder / "text_encoder" / "config.json").write_text(json.dumps({**config, "hidden_act": activation}))
        assert open_base(str(folder)).family == family
    (folder / "text_encoder" / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(BaseModelError, match="text encoders that no family here has"):
        open_base(str(folder))


def test_text_states_are_those_of_diffusers(base, sd2_base):
    encoder = base.load_text_encoder(CPU)
    pipeline = StableDiffusionPipeline.from_pretrained(sd2_base)
    theirs, _ = pipeline.encode_prompt("a photo of sks dog", CPU, 1, False)
    assert torch.equal(encoder.encode(["a photo of sks dog"], 1)[0]["hidden"], theirs[0])
    assert encoder.clip.tokenizer("a", padding="max_length", max_length=77).input_ids[-1] == 0


def test_the_narrow_base_has_the_exact_keys_of_the_published_denoiser(base):
    """865,910,724 numbers: what the published UNet has."""
    with torch.device("meta"):
        full = UNet2DConditionModel.from_config(shipped_configs("sd2")["unet"])
    assert sum(parameter.numel() for parameter in full.parameters()) == 865_910_724
    assert list(base.empty_denoiser().state_dict()) == list(full.state_dict())


def test_files_for_it_say_which_of_the_two_it_is(sd2_base):
    v, epsilon = (open_base(str(sd2_base), prediction_type=kind) for kind in (None, "epsilon"))
    assert (v.file_identity().base_version, v.file_identity().is_v2) == ("sd_v2_v", True)
    assert v.file_identity().architecture == "stable-diffusion-v2-768-v/lora"
    assert (epsilon.file_identity().base_version, epsilon.file_identity().is_v2) == ("sd_v2", True)
    assert epsilon.file_identity().architecture == "stable-diffusion-v2-512/lora"
    (note,) = epsilon.notes
    assert "says that it predicts v_prediction; taking that it predicts epsilon" in note

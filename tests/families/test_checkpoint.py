"""One file with the original names is the same base as the folder it was made from; the network is never asked."""

import original
import pytest
import torch
from safetensors.torch import save_file
from tests.thinned import thinned

from scumble.errors import BaseModelError, ConfigError
from scumble.families.checkpoint import read_header, shipped_configs
from scumble.families.convert import UNET
from scumble.families.find import open_base
from scumble.registry import load, names

CPU = torch.device("cpu")
FAMILIES = ("sd1", "sd2", "sdxl")


def models_of(base):
    text = base.load_text_encoder(CPU)
    return {"unet": base.load_denoiser(torch.float32, CPU), "vae": base.load_autoencoder(CPU).model, **text.modules}


@pytest.mark.parametrize("family", thinned(FAMILIES, "sdxl"))
def test_every_number_of_a_file_is_that_of_its_folder(clip_sized, checkpoint, no_network, hub_cache, family):
    folder, _ = clip_sized[family]
    from_file = open_base(str(checkpoint(family)), prediction_type="epsilon")
    from_folder = open_base(str(folder), prediction_type="epsilon")
    assert (from_file.family, from_file.path.suffix) == (family, ".safetensors")
    ours, theirs = models_of(from_file), models_of(from_folder)
    assert set(ours) == set(theirs)
    for part in theirs:
        expected = theirs[part].state_dict()
        found = ours[part].state_dict()
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
        assert not any(parameter.requires_grad for parameter in ours[part].parameters())


@pytest.mark.parametrize("family", thinned(FAMILIES, "sdxl"))
def test_text_states_and_answers_are_those_of_the_folder(clip_sized, checkpoint, no_network, hub_cache, family):
    bases = [open_base(str(place), prediction_type="epsilon") for place in (clip_sized[family][0], checkpoint(family))]
    states = [base.load_text_encoder(CPU).encode(["a photo of sks dog"], 2)[0] for base in bases]
    assert set(states[0]) == set(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    noisy, timesteps = torch.randn(1, 4, 8, 8), torch.tensor([600])
    text = {name: tensor[None] for name, tensor in states[0].items()}
    with torch.no_grad():
        answers = [base.predict(base.load_denoiser(torch.float32, CPU), noisy, timesteps, text) for base in bases]
    torch.testing.assert_close(*answers, rtol=0, atol=1e-5)
    assert torch.equal(bases[0].noise_schedule(), bases[1].noise_schedule())
    assert bases[0].layer_paths() == bases[1].layer_paths()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_in_half_precision_becomes_the_dtype_asked_for(clip_sized, checkpoint, family):
    half = {name: tensor.half() for name, tensor in clip_sized[family][1].items() if tensor.is_floating_point()}
    base = open_base(str(checkpoint(family, changes=half)), prediction_type="epsilon")
    assert {tensor.dtype for tensor in base.load_denoiser(torch.bfloat16, CPU).parameters()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in base.load_autoencoder(CPU).model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("family", "num_tensors"), [("sd1", 686), ("sd2", 686), ("sdxl", 1680)])
def test_the_published_sizes_go_through_the_names_on_the_meta_device(family, num_tensors, tmp_path):
    """Every name and shape of the full UNet, there and back, without a number."""
    from diffusers import UNet2DConditionModel

    config = shipped_configs(family)["unet"]
    with torch.device("meta"):
        full = UNet2DConditionModel.from_config(config)
    stored = {UNET.prefix + name: tensor for name, tensor in original.original_unet(full.state_dict()).items()}
    assert len(stored) == num_tensors
    back = UNET.convert(stored, full, UNET.prefix)
    assert {name: tensor.shape for name, tensor in back.items()} == {
        name: tensor.shape for name, tensor in full.state_dict().items()
    }


KNOWN_NAMES = {
    "sd1": {
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "output_blocks.8.2.conv.weight": (640, 640, 3, 3),
        "input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
    },
    "sd2": {"middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 1024), "input_blocks.1.1.proj_in.weight": (320, 320)},
    "sdxl": {
        "label_emb.0.0.weight": (1280, 2816),
        "input_blocks.7.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
        "output_blocks.2.2.conv.weight": (1280, 1280, 3, 3),
        "middle_block.1.transformer_blocks.9.ff.net.0.proj.weight": (10240, 1280),
    },
}  # fmt: skip
"""Names and shapes as published files have them: the writer of these tests is right about them."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_writer_of_these_tests_uses_the_published_names(family):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        full = UNet2DConditionModel.from_config(shipped_configs(family)["unet"])
    stored = original.original_unet(full.state_dict())
    assert {name: tuple(stored[name].shape) for name in KNOWN_NAMES[family]} == KNOWN_NAMES[family]


TEXT_SIZES = {"sd1": [123_060_480], "sd2": [340_387_840], "sdxl": [123_060_480, 694_659_840]}
"""Numbers in the published text encoders."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_settings_that_ship_are_of_the_published_sizes(family):
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    configs = shipped_configs(family)
    classes = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with torch.device("meta"):
        texts = [classes[part](CLIPTextConfig(**configs[part])) for part in classes if part in configs]
        vae = AutoencoderKL.from_config(configs["vae"])
    assert [sum(tensor.numel() for tensor in text.parameters()) for text in texts] == TEXT_SIZES[family]
    assert sum(tensor.numel() for tensor in vae.parameters()) == 83_653_863
    assert configs["vae"]["scaling_factor"] == (0.13025 if family == "sdxl" else 0.18215)


def test_each_family_knows_its_own_files_and_no_other(checkpoint):
    opened = {}
    for family in FAMILIES:
        header = read_header(checkpoint(family), family)
        opened[family] = [name for name in names("family") if load("family", name).opens_checkpoint(header)]
    assert opened == {family: [family] for family in FAMILIES}


def test_hashes_change_with_the_weights_that_they_are_of(checkpoint, clip_sized):
    tensors = clip_sized["sdxl"][1]
    places = {
        "vae": "first_stage_model.decoder.conv_in.bias",
        "text_encoder": "conditioner.embedders.1.model.ln_final.bias",
        None: "model.diffusion_model.out.2.bias",
    }
    before = open_base(str(checkpoint("sdxl")), prediction_type="epsilon").hashes()
    for part, name in places.items():
        changed = checkpoint("sdxl", "changed", changes={name: tensors[name] + 1})
        after = open_base(str(changed), prediction_type="epsilon").hashes()
        assert {name for name in before if before[name] != after[name]} == ({part} if part else set())


def test_the_same_file_under_another_name_has_the_same_hashes(checkpoint):
    one, other = (
        open_base(str(checkpoint("sd1", name, metadata={"title": name}))).hashes() for name in ("one", "other")
    )
    assert one == other


@pytest.mark.parametrize("suffix", [".ckpt", ".pt"])
def test_a_pickle_is_refused_with_the_way_out(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"PK")
    with pytest.raises(BaseModelError, match=r"pickle .* not read here: scumble convert makes a \.safetensors"):
        open_base(str(path))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BaseModelError, match="no such file"):
        open_base(str(tmp_path / "nothing.safetensors"))


def test_a_file_that_is_cut_short_is_said(checkpoint):
    path = checkpoint("sd1")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BaseModelError, match="not a whole safetensors file"):
        open_base(str(path))


def test_a_lora_given_as_base_is_called_one(tmp_path):
    save_file({"lora_unet_x.lora_up.weight": torch.ones(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(BaseModelError, match="looks like a LoRA, which goes to --lora"):
        open_base(str(tmp_path / "lora.safetensors"))


def test_a_file_of_an_unknown_family_says_what_is_expected(tmp_path):
    save_file({"joint_blocks.0.x": torch.ones(1)}, tmp_path / "sd3.safetensors")
    with pytest.raises(BaseModelError, match=r"joint_blocks\.0\.x, \.\.\.\) are of no whole .* sd1, sd2, sdxl"):
        open_base(str(tmp_path / "sd3.safetensors"))


def test_an_inpainting_file_is_refused_before_anything_is_loaded(checkpoint):
    nine = {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(16, 9, 3, 3)}
    with pytest.raises(BaseModelError, match="has 9 input channels, expected 4"):
        open_base(str(checkpoint("sd1", changes=nine)))


MISSING = {
    "unet": "model.diffusion_model.output_blocks.3.0.out_layers.3.bias",
    "vae": "first_stage_model.encoder.mid.block_1.conv1.bias",
    "text_encoder": "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.bias",
}
LOAD = {
    "unet": lambda base: base.load_denoiser(torch.float32, CPU),
    "vae": lambda base: base.load_autoencoder(CPU),
    "text_encoder": lambda base: base.load_text_encoder(CPU),
}


@pytest.mark.parametrize("part", MISSING)
def test_a_weight_that_is_not_in_the_file_is_not_made_up(checkpoint, part):
    base = open_base(str(checkpoint("sd1", changes={MISSING[part]: None})))
    with pytest.raises(BaseModelError, match=f"the {part} in model.safetensors lacks 1 of its weights"):
        LOAD[part](base)


@pytest.mark.parametrize("part", MISSING)
def test_a_weight_of_another_shape_is_said(checkpoint, part):
    base = open_base(str(checkpoint("sd1", changes={MISSING[part]: torch.ones(3)})))
    with pytest.raises(BaseModelError, match=f"the {part} in model.safetensors has other shapes"):
        LOAD[part](base)


def test_a_weight_that_the_family_has_not_is_said(checkpoint):
    more = {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn3.to_q.weight": torch.ones(2)}
    with pytest.raises(BaseModelError, match="has 1 weights that its family has not"):
        LOAD["unet"](open_base(str(checkpoint("sd1", changes=more))))


def test_averaged_weights_beside_the_plain_ones_are_noted(checkpoint):
    base = open_base(str(checkpoint("sd1", changes={"model_ema.diffusion_modelout2bias": torch.ones(4)})))
    assert any("also holds averaged (EMA) weights: the plain ones are taken" in note for note in base.notes)
    assert list(base.load_denoiser(torch.float32, CPU).state_dict()) == list(base.empty_denoiser().state_dict())


@pytest.mark.parametrize("setting", ["revision", "variant"])
def test_what_has_no_effect_on_a_file_is_refused(checkpoint, setting):
    with pytest.raises(ConfigError, match=f"{setting}=fp16 would have no effect"):
        open_base(str(checkpoint("sd1")), **{setting: "fp16"})


def test_the_old_names_of_some_merges_are_read(checkpoint, clip_sized):
    """Without `text_model`, as some old merges have them."""
    prefix = "cond_stage_model.transformer."
    tensors = {name: tensor for name, tensor in clip_sized["sd1"][1].items() if name.startswith(prefix)}
    old = {name.replace("text_model.", ""): tensor for name, tensor in tensors.items()}
    base = open_base(str(checkpoint("sd1", changes={**dict.fromkeys(tensors), **old})))
    new = open_base(str(checkpoint("sd1", "new")))
    states = [each.load_text_encoder(CPU).encode(["a dog"], 1)[0]["hidden"] for each in (base, new)]
    assert torch.equal(*states)

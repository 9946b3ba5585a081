import json

import pytest
import torch
from safetensors.torch import save_file

from scumble.errors import ConfigError, LoraFileError
from scumble.files import kohya, peft_keys
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

KOHYA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
DIFFUSERS = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_layers_that_match_nothing_are_counted_and_named(format, lora, layer_paths, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", format)
    fewer = {"unet": [path for path in layer_paths["unet"] if "mid_block" not in path]}
    with pytest.raises(LoraFileError, match=r"8 of 128 layers match nothing in this base: .*mid_block.*another base"):
        read_lora(tmp_path / "a.safetensors", fewer)


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_a_lora_of_another_base_matches_nothing(format, lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", format)
    with pytest.raises(LoraFileError, match="none of the 128 layers matches anything"):
        read_lora(tmp_path / "a.safetensors", {"unet": ["conv_in"], "text_encoder": []})


def test_a_text_encoder_layer_is_not_dropped_where_the_base_has_none(lora, layer_paths):
    tensors, metadata = kohya.write(lora)
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = torch.ones(2, 4)
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = torch.ones(4, 2)
    with pytest.raises(LoraFileError, match="1 of 129 layers match nothing in this base: lora_te2_text"):
        kohya.read(tensors, metadata, layer_paths)


def _pair(name, down, up):
    return {f"{name}.lora_down.weight": torch.ones(down), f"{name}.lora_up.weight": torch.ones(up)}


KOHYA_FAULTS = {
    "up without down": ({f"{KOHYA}.lora_up.weight": torch.ones(64, 2)}, "found up without down"),
    "down without up": ({f"{KOHYA}.lora_down.weight": torch.ones(2, 64)}, "found down without up"),
    "alpha alone": ({f"{KOHYA}.alpha": torch.tensor(1.0)}, "found alpha without down and up"),
    "alpha of many": ({**_pair(KOHYA, (2, 64), (64, 2)), f"{KOHYA}.alpha": torch.ones(2)}, "expected one number"),
    "ranks differ": (_pair(KOHYA, (2, 64), (64, 3)), r"expected down \[rank, in\] and up \[out, rank\]"),
    "rank zero": (_pair(KOHYA, (0, 64), (64, 0)), r"expected down \[rank, in\]"),
    "half a convolution": (_pair("lora_unet_conv_in", (2, 4, 3, 3), (32, 2)), r"or down \[rank, in, k, l\]"),
    "whole numbers": (
        {f"{KOHYA}.lora_down.weight": torch.ones(2, 64).int(), f"{KOHYA}.lora_up.weight": torch.ones(64, 2).int()},
        "torch.int32, expected floating-point",
    ),
    "a quarter of LoHa": ({f"{KOHYA}.hada_w1_a": torch.ones(64, 2)}, "found w1_a without w1_b and w2_a and w2_b"),
    "half of LoKr": ({f"{KOHYA}.lokr_w1": torch.ones(2, 2)}, "found w1 without w2"),
    "two factors too many": (
        {f"{KOHYA}.lokr_{name}": torch.ones(2, 2) for name in ("w1", "w2", "w2_a", "w2_b")},
        "which do not go together",
    ),
    "two algorithms": (
        {**_pair(KOHYA, (2, 64), (64, 2)), f"{KOHYA}.lokr_w1": torch.ones(2, 2)},
        "tensors of lokr and lora, expected one algorithm",
    ),
    "magnitude alone": ({f"{KOHYA}.dora_scale": torch.ones(64, 1)}, "found magnitude without down and up"),
    "magnitude of another layer": (
        {**_pair(KOHYA, (2, 64), (64, 2)), f"{KOHYA}.dora_scale": torch.ones(32, 1)},
        r"magnitude of shape \[32, 1\], expected \[64, 1\] or \[1, in\]",
    ),
    "core alone": ({f"{KOHYA}.lora_mid.weight": torch.ones(2, 2, 3, 3)}, "found mid without down and up"),
    "full difference": ({f"{KOHYA}.diff": torch.ones(64, 64)}, "a full weight difference, which is not read"),
    "norm": ({**_pair(KOHYA, (2, 64), (64, 2)), f"{KOHYA}.w_norm": torch.ones(64)}, "a norm layer, which is not read"),
    "unknown tensor": ({**_pair(KOHYA, (2, 64), (64, 2)), f"{KOHYA}.surprise": torch.ones(1)}, "1 of 3 tensors are"),
    "no dot": ({"lora_unet_x": torch.ones(1)}, "1 of 1 tensors are not understood: lora_unet_x"),
    "twice": (
        {
            **_pair("lora_te_text_model_encoder_layers_0_mlp_fc1", (2, 32), (48, 2)),
            **_pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", (2, 32), (48, 2)),
        },
        "is there twice",
    ),
}


@pytest.mark.parametrize("fault", KOHYA_FAULTS)
def test_every_fault_of_kohya_tensors_is_said(fault, layer_paths, tmp_path):
    tensors, says = KOHYA_FAULTS[fault]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match=says) as error:
        read_lora(tmp_path / "a.safetensors", layer_paths)
    assert "a.safetensors" in str(error.value)


GOOD = {f"{DIFFUSERS}.lora_A.weight": torch.ones(2, 64), f"{DIFFUSERS}.lora_B.weight": torch.ones(64, 2)}
DIFFUSERS_FAULTS = {
    "B without A": ({f"{DIFFUSERS}.lora_B.weight": torch.ones(64, 2)}, "found up without down"),
    "magnitude of another layer": (
        {**GOOD, f"{DIFFUSERS}.lora_magnitude_vector": torch.ones(1, 64)},
        r"magnitude of shape \[1, 64\], expected \[64\]",
    ),
    "bias": ({**GOOD, f"{DIFFUSERS}.lora_B.bias": torch.ones(64)}, "1 of 3 tensors are not understood"),
    "half a PEFT folder": (
        {f"base_model.model.{k.removeprefix('unet.')}": v for k, v in GOOD.items()},
        "without adapter_config.json beside them",
    ),
    "two spellings": ({**GOOD, f"{DIFFUSERS}.lora.down.weight": torch.ones(2, 64)}, "there twice, in two spellings"),
    "half a convolution": (
        {"unet.conv_in.lora_A.weight": torch.ones(2, 4, 3, 3), "unet.conv_in.lora_B.weight": torch.ones(32, 2)},
        r"or down \[rank, in, k, l\]",
    ),
}


@pytest.mark.parametrize("fault", DIFFUSERS_FAULTS)
def test_every_fault_of_diffusers_tensors_is_said(fault, layer_paths, tmp_path):
    tensors, says = DIFFUSERS_FAULTS[fault]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match=says):
        read_lora(tmp_path / "a.safetensors", layer_paths)


def test_alpha_comes_from_the_settings_of_newer_diffusers(layer_paths):
    def alpha(**settings):
        metadata = {"lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in settings.items()})}
        return peft_keys.read(GOOD, metadata, layer_paths).layers[DIFFUSERS].alpha

    assert alpha(r=2, lora_alpha=1) == 1.0
    assert alpha(r=2, lora_alpha=1, use_rslora=True) == pytest.approx(2**0.5)
    assert alpha(r=2, lora_alpha=1, alpha_pattern={"attn1.to_q": 6}) == 6.0
    assert alpha(r=2, lora_alpha=1, alpha_pattern={"^attn1.to_q": 6}) == 1.0
    assert alpha(r=2, lora_alpha=1, alpha_pattern={"^" + DIFFUSERS.removeprefix("unet."): 5}) == 5.0
    metadata = {"lora_adapter_metadata": json.dumps({"text_encoder.lora_alpha": 8})}
    assert peft_keys.read(GOOD, metadata, layer_paths).layers[DIFFUSERS].alpha == 2.0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"unet.lora_alpha": "much"}', "expected a number"),
        ('{"unet.lora_alpha": NaN}', "expected a number"),
        ('{"unet.lora_alpha": true}', "expected a number"),
        ('{"unet.lora_alpha": 1, "unet.use_dora": true}', "use_dora = True, its tensors say otherwise"),
        ('{"unet.lora_alpha": 1, "unet.r": 8}', "says rank 8, its tensors have rank 2"),
        ('{"unet.lora_alpha": 1, "unet.r": 0}', "says rank 0, its tensors have rank 2"),
        ('{"unet.lora_alpha": 1e999}', "expected a number"),
        ('{"unet.lora_alpha": 1, "unet.bias": "all"}', "found bias = 'all', which is not read; expected 'none'"),
        ('{"unet.lora_alpha": 1, "unet.init_lora_weights": "pissa_niter_4"}', "changes the base model as well"),
        ('{"unet.lora_alpha": 1, "unet.peft_type": "OFT"}', "found peft_type = 'OFT', expected one of LORA"),
        ('{"unet.lora_alpha": 1, "unet.alpha_pattern": 3}', "expected an object"),
        ('{"unet.lora_alpha": 1, "unet.alpha_pattern": {"(a+)+b": 2}}', "found a regular expression"),
    ],
)
def test_settings_that_mean_nothing_are_errors(settings, says, layer_paths):
    with pytest.raises(LoraFileError, match=says):
        peft_keys.read(GOOD, {"lora_adapter_metadata": settings}, layer_paths)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "found no tensors"),
        ({"model.diffusion_model.out.2.weight": torch.ones(1)}, "whole Stable Diffusion checkpoint"),
        ({"clip_l": torch.ones(1, 768)}, "textual inversion"),
        ({"something": torch.ones(1)}, "tensors named something, expected a LoRA"),
        ({"lora_transformer_x.lora_down.weight": torch.ones(1)}, "a LoRA of another family of models"),
    ],
)
def test_a_file_that_is_no_lora_is_told_what_it_is(tensors, says, layer_paths, tmp_path):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match=says):
        read_lora(tmp_path / "a.safetensors", layer_paths)


def test_a_name_that_two_layers_share_is_an_error_not_a_guess():
    tensors = _pair("lora_unet_a_b_c", (2, 4), (4, 2))
    with pytest.raises(LoraFileError, match=r"may be any of unet.a.b_c, unet.a_b.c: this base needs"):
        kohya.read(tensors, {}, {"unet": ["a.b_c", "a_b.c"]})


def test_an_unknown_format_names_the_known_ones(lora, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'kohya'"):
        write_lora(lora, tmp_path / "a.safetensors", "kohia")


def test_a_lora_without_layers_is_not_written(tmp_path):
    with pytest.raises(LoraFileError, match="no layer to write"):
        write_lora(LoraFile({}), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []

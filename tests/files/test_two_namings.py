import pytest
import torch

from scumble.errors import LoraFileError
from scumble.files import kohya, peft_keys
from scumble.files.guard import read_safetensors
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora, write_lora
from scumble.registry import names

FORMATS = ["kohya", "diffusers"]


def test_the_formats_tried_here_are_all_that_are_one_file():
    assert names("format") == [*FORMATS, "peft"]


def test_the_narrow_model_has_the_128_attention_layers_of_sd_15(lora):
    assert len(lora.layers) == 128


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_back_with_the_same_effect(format, lora, layer_paths, delta, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", format)
    again = read_lora(tmp_path / "a.safetensors", layer_paths)
    assert set(again.layers) == set(lora.layers)
    for key, layer in lora.layers.items():
        torch.testing.assert_close(delta(again.layers[key]), delta(layer), rtol=1e-6, atol=1e-7)


def test_kohya_keeps_every_number_and_alpha(lora, layer_paths, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    for key, layer in read_lora(tmp_path / "a.safetensors", layer_paths).layers.items():
        assert (layer.rank, layer.alpha) == (4, 3.0)
        assert torch.equal(layer.tensors["down"], lora.layers[key].tensors["down"])
        assert torch.equal(layer.tensors["up"], lora.layers[key].tensors["up"])


def test_kohya_names_are_the_known_ones(lora):
    tensors, metadata = kohya.write(lora)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"
    assert {key for key in tensors if key.startswith(name + ".")} == {
        f"{name}.lora_down.weight",
        f"{name}.lora_up.weight",
        f"{name}.alpha",
    }
    assert tensors[f"{name}.alpha"].shape == ()
    assert len(tensors) == 3 * 128
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "3")


def test_diffusers_naming_has_alpha_in_b_and_no_word_of_it(lora):
    with_settings = LoraFile(lora.layers, {"lora_adapter_metadata": "{}", "ss_network_alpha": "3", "kept": "yes"})
    tensors, metadata = peft_keys.write(with_settings)
    assert len(tensors) == 2 * 128
    assert metadata == {"kept": "yes"}
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    assert torch.equal(tensors[f"{key}.lora_B.weight"], lora.layers[key].tensors["up"] * 0.75)


def test_a_power_of_two_is_written_into_b_exactly(narrow_unet, attention_paths, new_layer, delta, layer_paths):
    layer = new_layer(narrow_unet, attention_paths[0], rank=4, alpha=1.0)
    tensors, metadata = peft_keys.write(LoraFile({f"unet.{attention_paths[0]}": layer}))
    again = peft_keys.read(tensors, metadata, layer_paths).layers[f"unet.{attention_paths[0]}"]
    assert again.alpha == again.rank
    assert torch.equal(again.tensors["up"] * 4, layer.tensors["up"])


def test_without_alpha_the_scale_is_one(lora, layer_paths):
    tensors, metadata = kohya.write(lora)
    bare = {key: tensor for key, tensor in tensors.items() if not key.endswith(".alpha")}
    assert {layer.alpha for layer in kohya.read(bare, metadata, layer_paths).layers.values()} == {4.0}


def test_an_alpha_that_half_precision_would_round_is_kept(narrow_unet, attention_paths, new_layer, tmp_path):
    layer = new_layer(narrow_unet, attention_paths[0], alpha=5.3)
    write_lora(LoraFile({f"unet.{attention_paths[0]}": layer}), tmp_path / "a.safetensors", dtype=torch.float16)
    tensors, _ = read_safetensors(tmp_path / "a.safetensors")
    by_kind = {key.partition(".")[2]: tensor for key, tensor in tensors.items()}
    assert by_kind["lora_up.weight"].dtype == torch.float16
    assert by_kind["alpha"].item() == pytest.approx(5.3, abs=1e-6)


def test_text_encoder_prefixes_follow_the_number_of_encoders(new_layer, narrow_text_encoder, layer_paths):
    path = next(name for name in layer_paths["text_encoder"] if name.endswith("mlp.fc1"))
    layer = new_layer(narrow_text_encoder, _module_path(narrow_text_encoder, path))
    one, _ = kohya.write(LoraFile({f"text_encoder.{path}": layer}))
    two, _ = kohya.write(LoraFile({f"text_encoder.{path}": layer, f"text_encoder_2.{path}": layer}))
    sdxl, _ = kohya.write(LoraFile({f"text_encoder.{path}": layer}, {"ss_base_model_version": "sdxl_base_v1-0"}))
    tail = "text_model_encoder_layers_0_mlp_fc1.alpha"
    assert f"lora_te_{tail}" in one
    assert {f"lora_te1_{tail}", f"lora_te2_{tail}"} <= set(two)
    assert f"lora_te1_{tail}" in sdxl
    for tensors in (one, sdxl):
        assert set(kohya.read(tensors, {}, layer_paths).layers) == {f"text_encoder.{path}"}


@pytest.mark.parametrize("module", [kohya, peft_keys])
def test_names_without_text_model_are_understood(module, new_layer, narrow_text_encoder, layer_paths):
    path = next(name for name in layer_paths["text_encoder"] if name.endswith("mlp.fc1"))
    layer = new_layer(narrow_text_encoder, _module_path(narrow_text_encoder, path))
    tensors, metadata = module.write(LoraFile({f"text_encoder.{path}": layer}))
    flat = {key.replace("text_model_", "").replace("text_model.", ""): value for key, value in tensors.items()}
    assert flat.keys() != tensors.keys()
    assert set(module.read(flat, metadata, layer_paths).layers) == {f"text_encoder.{path}"}


@pytest.mark.parametrize("module", [kohya, peft_keys])
def test_text_encoder_attention_is_written_whole(module, new_layer, narrow_text_encoder, layer_paths, delta):
    path = next(name for name in layer_paths["text_encoder"] if name.endswith("q_proj"))
    layer = new_layer(narrow_text_encoder, _module_path(narrow_text_encoder, path))
    tensors, metadata = module.write(LoraFile({f"text_encoder.{path}": layer}))
    layers = module.read(tensors, metadata, layer_paths).layers
    assert sorted(key.rpartition(".")[2] for key in layers) == ["k_proj", "out_proj", "q_proj", "v_proj"]
    changed = [key for key, one in layers.items() if delta(one).abs().max() > 0]
    assert changed == [f"text_encoder.{path}"]


def _processor(key: str) -> str:
    for name, side in (("A", "down"), ("B", "up")):
        for new, old in (("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out.0", "to_out")):
            key = key.replace(f".{new}.lora_{name}.", f".processor.{old}_lora.{side}.")
    return key


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key.replace(".lora_A.", ".lora.down.").replace(".lora_B.", ".lora.up."),
        _processor,
        lambda key: _processor(key).removeprefix("unet."),
        lambda key: key.replace(".lora_A.", ".lora_linear_layer.down.").replace(".lora_B.", ".lora_linear_layer.up."),
    ],
    ids=["lora.down", "processor", "processor without unet", "lora_linear_layer"],
)
def test_older_diffusers_spellings_are_read(spell, lora, layer_paths):
    tensors, metadata = peft_keys.write(lora)
    old = {spell(key): tensor for key, tensor in tensors.items()}
    assert not set(old) & set(tensors)
    again = peft_keys.read(old, metadata, layer_paths)
    assert set(again.layers) == set(lora.layers)
    for key, layer in again.layers.items():
        assert torch.equal(layer.tensors["up"], tensors[f"{key}.lora_B.weight"])


def test_old_spellings_of_text_encoder_attention_are_read(layer_paths):
    base = "text_encoder.text_model.encoder.layers.0.self_attn"
    tensors = {}
    for name in ("q", "k", "v", "out"):
        tensors[f"{base}.to_{name}_lora.down.weight"] = torch.ones(2, 32)
        tensors[f"{base}.to_{name}_lora.up.weight"] = torch.ones(32, 2)
    assert len(peft_keys.read(tensors, {}, layer_paths).layers) == 4


def test_a_lora_is_the_same_whichever_way_it_was_converted(lora, layer_paths, delta, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", "diffusers")
    write_lora(read_lora(tmp_path / "a.safetensors", layer_paths), tmp_path / "b.safetensors", "kohya")
    again = read_lora(tmp_path / "b.safetensors", layer_paths)
    for key, layer in lora.layers.items():
        torch.testing.assert_close(delta(again.layers[key]), delta(layer), rtol=1e-6, atol=1e-7)


def test_mixed_ranks_keep_their_effect_under_one_alpha(narrow_unet, attention_paths, new_layer, layer_paths, delta):
    # diffusers 0.42 applies only the most frequent alpha of a file
    alphas = [1.5, 2.5, 2.5]
    layers = {
        f"unet.{attention_paths[i]}": new_layer(narrow_unet, attention_paths[i], rank=2 + i, alpha=alphas[i])
        for i in range(3)
    }
    tensors, metadata = kohya.write(LoraFile(layers))
    again = kohya.read(tensors, metadata, layer_paths).layers
    assert {layer.alpha for layer in again.values()} == {2.5}
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("Dynamic", "2.5")
    for key, layer in layers.items():
        torch.testing.assert_close(delta(again[key]), delta(layer), rtol=1e-6, atol=1e-7)


def test_a_layer_of_alpha_zero_stays_without_effect(narrow_unet, attention_paths, new_layer, layer_paths, delta):
    layers = {
        f"unet.{attention_paths[i]}": new_layer(narrow_unet, attention_paths[i], alpha=float(i // 2)) for i in range(3)
    }
    again = kohya.read(*kohya.write(LoraFile(layers)), layer_paths).layers
    assert [bool(delta(again[key]).any()) for key in layers] == [False, False, True]


@pytest.mark.parametrize("algorithm", ["loha", "lokr"])
def test_an_algorithm_that_diffusers_has_no_names_for_is_not_written_in_its_naming(algorithm):
    with pytest.raises(LoraFileError, match=f"diffusers' naming has no {algorithm}; expected lora: write kohya's"):
        peft_keys.write(LoraFile({"unet.conv_in": LoraLayer(algorithm, {}, 4, 2.0)}))


def _module_path(model, canonical):
    flat = canonical.removeprefix("text_model.")
    return flat if flat in dict(model.named_modules()) else canonical

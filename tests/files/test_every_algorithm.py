"""LoRA, LoHa and LoKr with DoRA and without, on linear layers and convolutions: what is written is read back."""

import json

import pytest
import torch
from kinds import change_of, random_layer, weight_of

from scumble.errors import LoraFileError
from scumble.files import kohya, peft_keys
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora, write_lora

PLACES = {
    "linear": "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "square": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "1x1": "down_blocks.1.attentions.0.proj_in",
    "3x3": "down_blocks.1.resnets.0.conv1",
}
KINDS = [
    *((kind, place) for kind in ("lora", "loha", "lokr", "lokr whole", "lokr split twice") for place in PLACES),
    *((kind, "3x3") for kind in ("tucker", "loha tucker", "lokr tucker")),
]
DORA = [None, "output", "input"]


@pytest.fixture
def shape_of(narrow_unet):
    return lambda path: tuple(narrow_unet.get_submodule(path).weight.shape)


@pytest.fixture
def layers(shape_of):
    """A layer of every kind that the places have room for, alpha never the rank, ranks mixed."""
    return [
        (f"unet.{PLACES[place]}", random_layer(kind, shape_of(PLACES[place]), 2 + i % 3, 1.25 + i % 4, i, dora))
        for i, (kind, place) in enumerate(KINDS)
        for dora in DORA
    ]


def test_there_is_a_layer_of_every_kind(layers):
    assert len(layers) == 23 * 3
    assert len({(layer.algorithm, *sorted(layer.tensors)) for _, layer in layers}) == 8 * 2
    assert all(layer.alpha != layer.rank for _, layer in layers if {"w1", "w2"} - layer.tensors.keys())


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr"])
def test_kohya_gives_every_layer_back_number_by_number(algorithm, layers, layer_paths):
    for key, layer in layers:
        if layer.algorithm == algorithm:
            again = kohya.read(*kohya.write(LoraFile({key: layer})), layer_paths).layers[key]
            assert (again.algorithm, again.rank, again.alpha) == (layer.algorithm, layer.rank, layer.alpha)
            assert again.tensors.keys() == layer.tensors.keys()
            assert all(torch.equal(again.tensors[name], tensor) for name, tensor in layer.tensors.items())


def test_kohya_names_the_network_as_its_readers_know_it(layers):
    for key, layer in layers:
        _, metadata = kohya.write(LoraFile({key: layer}))
        arguments = json.loads(metadata.get("ss_network_args", "{}"))
        if layer.algorithm == "lora" and layer.tensors.keys() == {"down", "up"}:
            assert (metadata["ss_network_module"], arguments) == ("networks.lora", {})
        else:
            assert metadata["ss_network_module"] == "lycoris.kohya"
            assert arguments["algo"] == layer.algorithm
            assert ("dora_wd" in arguments) == ("magnitude" in layer.tensors)


def test_diffusers_naming_has_every_lora_and_the_dora_of_output_rows(layers, layer_paths, shape_of):
    written = 0
    for key, layer in layers:
        weight = torch.randn(shape_of(key.removeprefix("unet.")), generator=torch.Generator().manual_seed(3))
        if layer.algorithm != "lora" or ("magnitude" in layer.tensors and layer.tensors["magnitude"].shape[0] == 1):
            with pytest.raises(LoraFileError, match="write kohya's"):
                peft_keys.write(LoraFile({key: layer}))
            continue
        again = peft_keys.read(*peft_keys.write(LoraFile({key: layer})), layer_paths).layers[key]
        torch.testing.assert_close(weight_of(again, weight), weight_of(layer, weight), rtol=1e-5, atol=1e-6)
        written += 1
    assert written == 5 * 2


def test_diffusers_naming_has_magnitudes_in_pefts_shapes(shape_of):
    for place, shape in (("linear", (256,)), ("3x3", (1, 64, 1, 1))):
        path = PLACES[place]
        layer = random_layer("lora", shape_of(path), 2, 1.5, 0, "output")
        tensors, _ = peft_keys.write(LoraFile({f"unet.{path}": layer}))
        assert tuple(tensors[f"unet.{path}.lora_magnitude_vector"].shape) == shape


def test_mixed_alphas_of_loha_and_lokr_stay_as_they_are(layers, layer_paths):
    for algorithm in ("loha", "lokr"):
        chosen = {key: layer for key, layer in layers if layer.algorithm == algorithm}
        assert len({layer.alpha for layer in chosen.values()}) > 1
        again = kohya.read(*kohya.write(LoraFile(chosen)), layer_paths).layers
        assert {key: layer.alpha for key, layer in again.items()} == {key: one.alpha for key, one in chosen.items()}


def test_two_whole_factors_have_scale_one_and_keep_the_alpha_of_their_file(layers, layer_paths):
    key, layer = next((key, layer) for key, layer in layers if {"w1", "w2"} <= layer.tensors.keys())
    tensors, metadata = kohya.write(LoraFile({key: layer}))
    name = next(name for name in tensors if name.endswith(".alpha"))
    tensors[name] = torch.tensor(16.0)
    read = kohya.read(tensors, metadata, layer_paths)
    assert (read.layers[key].scale, read.layers[key].idle_alpha) == (1.0, 16.0)
    assert kohya.write(read)[0][name].item() == 16.0


def test_a_scale_that_two_whole_factors_cannot_say_is_written_into_one(layers, layer_paths, shape_of):
    key, layer = next((key, layer) for key, layer in layers if {"w1", "w2"} <= layer.tensors.keys())
    scaled = LoraLayer("lokr", layer.tensors, 4, 3.0)
    again = kohya.read(*kohya.write(LoraFile({key: scaled})), layer_paths).layers[key]
    shape = shape_of(key.removeprefix("unet."))
    torch.testing.assert_close(change_of(again, shape), change_of(scaled, shape), rtol=1e-6, atol=1e-7)


def test_zeros_beside_a_dora_of_text_attention_have_no_magnitude(layer_paths, narrow_text_encoder):
    path = next(name for name in layer_paths["text_encoder"] if name.endswith("q_proj"))
    layer = random_layer("lora", (32, 32), 2, 1.5, 0, "output")
    again = kohya.read(*kohya.write(LoraFile({f"text_encoder.{path}": layer})), layer_paths).layers
    assert [key for key, one in again.items() if "magnitude" in one.tensors] == [f"text_encoder.{path}"]
    assert len(again) == 4


def test_a_magnitude_without_its_second_dimension_is_one_of_output_rows(layers, layer_paths):
    for place in ("linear", "3x3"):
        key, layer = next(
            (key, layer)
            for key, layer in layers
            if key.endswith(PLACES[place]) and layer.tensors.keys() == {"down", "up", "magnitude"}
        )
        tensors, metadata = kohya.write(LoraFile({key: layer}))
        name = next(name for name in tensors if name.endswith(".dora_scale"))
        tensors[name] = tensors[name].flatten()
        again = kohya.read(tensors, metadata, layer_paths).layers[key]
        assert torch.equal(again.tensors["magnitude"], layer.tensors["magnitude"])


def test_arguments_of_another_network_do_not_outlive_it(layers):
    key, layer = layers[0]
    lycoris = {"ss_network_module": "lycoris.kohya", "ss_network_args": '{"algo": "loha", "preset": "full"}'}
    _, metadata = kohya.write(LoraFile({key: layer}, lycoris))
    assert (metadata["ss_network_module"], metadata["ss_network_args"]) == ("networks.lora", "{}")
    key, layer = next((key, layer) for key, layer in layers if layer.algorithm == "loha")
    _, metadata = kohya.write(LoraFile({key: layer}, lycoris))
    assert json.loads(metadata["ss_network_args"]) == {"algo": "loha", "preset": "full"}


def test_a_file_is_the_same_after_being_read_and_written(layers, layer_paths, tmp_path):
    chosen = {key: layer for key, layer in layers if layer.algorithm != "lora"}
    write_lora(LoraFile(chosen), tmp_path / "a.safetensors", dtype=torch.float16)
    write_lora(read_lora(tmp_path / "a.safetensors", layer_paths), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()

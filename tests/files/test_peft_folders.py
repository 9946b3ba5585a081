"""PEFT's folders, read and written: what PEFT merges into a model is what our numbers say, and the other way round."""

import json

import pytest
import torch
from kinds import random_layer, weight_of
from torch import nn

from scumble.errors import LoraFileError
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

peft = pytest.importorskip("peft")

PATHS = ["block.linear", "block.square", "conv", "proj"]


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.ModuleDict({"linear": nn.Linear(12, 20), "square": nn.Linear(16, 16)})
        self.conv = nn.Conv2d(8, 12, 3)
        self.proj = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def shape_of(model):
    return lambda path: tuple(model.get_submodule(path).weight.shape)


PATTERNS = {
    "rank_pattern": {"conv": 3, "block.square": 1},
    "alpha_pattern": {"proj": 5, "^block.square": 0.5, "linear": 7},
    "target_modules": PATHS,
}
CONFIGS = {
    "lora": ("LoraConfig", {"r": 2, "lora_alpha": 3, "init_lora_weights": False}),
    "rank-stabilized": ("LoraConfig", {"r": 2, "lora_alpha": 3, "use_rslora": True, "init_lora_weights": False}),
    "dora": ("LoraConfig", {"r": 2, "lora_alpha": 3, "use_dora": True, "init_lora_weights": False}),
    "loha": ("LoHaConfig", {"r": 2, "alpha": 3, "init_weights": False}),
    "loha tucker": ("LoHaConfig", {"r": 2, "alpha": 3, "use_effective_conv2d": True, "init_weights": False}),
    "lokr": ("LoKrConfig", {"r": 1, "alpha": 3, "init_weights": False}),
    "lokr split twice": ("LoKrConfig", {"r": 1, "alpha": 3, "decompose_both": True, "init_weights": False}),
    "lokr tucker": ("LoKrConfig", {"r": 1, "alpha": 3, "use_effective_conv2d": True, "init_weights": False}),
    "lokr whole": ("LoKrConfig", {"r": 50, "alpha": 7, "decompose_factor": 2, "init_weights": False}),
}


def _weights(model):
    return {path: model.get_submodule(path).weight.detach().clone() for path in PATHS}


def _assert_same(ours, theirs, base):
    for path in PATHS:
        assert (theirs[path] - base[path]).abs().max() > 1e-2
        torch.testing.assert_close(ours[path].float(), theirs[path], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_folder_of_peft_means_here_what_it_means_there(kind, model, tmp_path):
    name, settings = CONFIGS[kind]
    patterns = PATTERNS if "whole" not in kind else {**PATTERNS, "rank_pattern": {}}
    base = _weights(model)
    adapted = peft.get_peft_model(model, getattr(peft, name)(**settings, **patterns))
    with torch.no_grad():  # PEFT starts with small numbers, and with magnitudes that change nothing
        for parameter in (one for one in adapted.parameters() if one.requires_grad):
            parameter.mul_(2.5)
    adapted.save_pretrained(tmp_path)
    layers = read_lora(tmp_path, {"unet": PATHS}).part("unet")
    assert set(layers) == set(PATHS)
    ours = {path: weight_of(layer, base[path]) for path, layer in layers.items()}
    _assert_same(ours, _weights(adapted.merge_and_unload()), base)


@pytest.mark.parametrize(
    ("linear", "conv", "dora"),
    [
        ("lora", "lora", None),
        ("lora", "tucker", None),
        ("lora", "lora", "output"),
        ("lora", "tucker", "output"),
        ("loha", "loha", None),
        ("loha", "loha tucker", None),
        ("lokr", "lokr", None),
        ("lokr", "lokr whole", None),
        ("lokr", "lokr tucker", None),
        ("lokr split twice", "lokr whole", None),
    ],
)
def test_peft_makes_of_our_folder_what_we_mean(linear, conv, dora, model, shape_of, tmp_path):
    layers = {
        f"unet.{path}": random_layer(
            conv if path == "conv" else linear,
            shape_of(path),
            rank=1 if linear.startswith("lokr") else 1 + i % 3,
            alpha=1.5 + i,
            seed=i,
            dora=dora,
        )
        for i, path in enumerate(PATHS)
    }
    base = _weights(model)
    ours = {path: weight_of(layers[f"unet.{path}"], base[path]) for path in PATHS}
    write_lora(LoraFile(layers), tmp_path / "folder", "peft")
    again = read_lora(tmp_path / "folder", {"unet": PATHS}).part("unet")
    _assert_same({path: weight_of(layer, base[path]) for path, layer in again.items()}, _floats(ours), base)
    loaded = peft.PeftModel.from_pretrained(model, tmp_path / "folder")
    _assert_same(ours, _weights(loaded.merge_and_unload()), base)


def _floats(weights):
    return {path: weight.float() for path, weight in weights.items()}


def test_several_parts_are_a_folder_each_and_single_ones_are_told_by_their_layers(tmp_path):
    paths = {"unet": ["conv"], "text_encoder": ["text_model.a.q"], "text_encoder_2": ["text_model.a.q"]}
    layers = {
        f"{part}.{path}": random_layer("lora", (6, 4), 2, 3.0, i) for i, (part, (path,)) in enumerate(paths.items())
    }
    write_lora(LoraFile(layers, {"ss_output_name": "x"}), tmp_path / "all", "peft")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["text_encoder", "text_encoder_2", "unet"]
    again = read_lora(tmp_path / "all", paths)
    assert set(again.layers) == set(layers)
    assert again.metadata["ss_output_name"] == "x"
    assert not any("adapter_config" in name for name in again.metadata)
    for part in paths:
        assert set(read_lora(tmp_path / "all" / part, paths).layers) == {f"{part}.{path}" for path in paths[part]}
    (tmp_path / "all" / "text_encoder_2").rename(tmp_path / "unsaid")
    with pytest.raises(LoraFileError, match=r"may be any of text_encoder.text_model.a.q, text_encoder_2"):
        read_lora(tmp_path / "unsaid", paths)


def test_the_text_encoder_has_the_paths_of_its_module(tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModel

    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1
        )
    )
    path = "text_model.encoder.layers.0.mlp.fc1"
    inside = path if path in dict(text_encoder.named_modules()) else path.removeprefix("text_model.")
    weight = text_encoder.get_submodule(inside).weight.detach().clone()
    layer = random_layer("lora", (8, 8), 2, 3.0, 0)
    write_lora(LoraFile({f"text_encoder.{path}": layer}), tmp_path / "folder", "peft")
    merged = peft.PeftModel.from_pretrained(text_encoder, tmp_path / "folder").merge_and_unload()
    torch.testing.assert_close(merged.get_submodule(inside).weight, weight_of(layer, weight).float())


def _folder(path, shape=(6, 4), **settings):
    write_lora(LoraFile({"unet.conv": random_layer("lora", shape, 2, 3.0, 0)}), path, "peft")
    config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    (path / "adapter_config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"r": 8}, "says rank 8, its tensors have rank 2"),
        ({"lora_alpha": None}, "its alpha in adapter_config.json is 'None', expected a number"),
        ({"use_dora": True}, "use_dora = True, its tensors say otherwise"),
        ({"peft_type": "IA3"}, "found peft_type = 'IA3', expected one of LORA, LOHA, LOKR"),
        ({"modules_to_save": ["x"]}, "found modules_to_save"),
        ({"init_lora_weights": "pissa"}, "changes the base model"),
        ({"rank_pattern": {"(a|b)*": 2}}, "found a regular expression"),
        ({"rank_pattern": 3}, "rank_pattern is a int, expected an object"),
    ],
)
def test_settings_that_mean_something_else_are_errors(settings, says, tmp_path):
    with pytest.raises(LoraFileError, match=says):
        read_lora(_folder(tmp_path / "folder", **settings), {"unet": ["conv"]})


def test_a_folder_that_is_not_whole_is_an_error(tmp_path):
    folder = _folder(tmp_path / "folder")
    settings = folder / "adapter_config.json"
    for content, says in ((b"{", "is not JSON"), (b"[]", "is a list, expected an object"), (b"\xff", "cannot be read")):
        settings.write_bytes(content)
        with pytest.raises(LoraFileError, match=says):
            read_lora(folder, {"unet": ["conv"]})
    settings.unlink()
    with pytest.raises(LoraFileError, match=r"without adapter_config.json beside them"):
        read_lora(folder, {"unet": ["conv"]})
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(LoraFileError, match=r"found a folder without adapter_model.safetensors"):
        read_lora(folder, {"unet": ["conv"]})


def test_the_weights_alone_are_read_with_the_settings_beside_them(tmp_path):
    folder = _folder(tmp_path / "folder")
    read = read_lora(folder / "adapter_model.safetensors", {"unet": ["conv"]})
    assert read.layers["unet.conv"].alpha == 3.0


def test_peft_is_written_as_a_folder_or_by_the_name_that_peft_reads(tmp_path):
    lora = LoraFile({"unet.conv": random_layer("lora", (6, 4), 2, 3.0, 0)})
    with pytest.raises(LoraFileError, match="name a folder"):
        write_lora(lora, tmp_path / "a.safetensors", "peft")
    write_lora(lora, tmp_path / "b" / "adapter_model.safetensors", "peft")
    write_lora(lora, tmp_path / "c", "peft")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_what_peft_has_no_settings_for_is_not_written(tmp_path):
    def written(*layers):
        write_lora(LoraFile({f"unet.layer{i}": layer for i, layer in enumerate(layers)}), tmp_path / "x", "peft")

    lora, loha = (random_layer(kind, (6, 4), 2, 3.0, 0) for kind in ("lora", "loha"))
    with pytest.raises(LoraFileError, match="found loha and lora; PEFT has one algorithm for all layers"):
        written(lora, loha)
    with pytest.raises(LoraFileError, match="found lora, some with DoRA"):
        written(lora, random_layer("lora", (6, 4), 2, 3.0, 0, "output"))
    with pytest.raises(LoraFileError, match="found loha, with DoRA"):
        written(random_layer("loha", (6, 4), 2, 3.0, 0, "output"))
    with pytest.raises(LoraFileError, match="norms are those of input channels"):
        written(random_layer("lora", (6, 4), 2, 3.0, 0, "input"))
    whole = random_layer("lokr whole", (6, 4), 1, 1.0, 0)
    swapped = type(whole)("lokr", {"w1": whole.tensors["w2"], "w2": whole.tensors["w1"]}, 1, 1.0)
    with pytest.raises(LoraFileError, match="split in ways that PEFT has no single setting for"):
        written(swapped)


def test_metadata_with_the_name_of_the_settings_writes_no_file(tmp_path):
    layer = random_layer("lora", (6, 4), 2, 3.0, 0)
    lora = LoraFile({"unet.conv": layer}, {"../adapter_config.json": "{}", "adapter_config.json": "{}"})
    write_lora(lora, tmp_path / "a.safetensors")
    again = read_lora(tmp_path / "a.safetensors", {"unet": ["conv"]})
    assert [path.name for path in tmp_path.rglob("*")] == ["a.safetensors"]
    assert "adapter_config.json" not in again.metadata

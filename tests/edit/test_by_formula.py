"""The second reader finds in every naming what was written; of PEFT's folders, what PEFT itself makes of them."""

import json

import pytest
import torch
from tests.files.kinds import random_layer, weight_of

from scumble.edit.by_formula import needs_formulas, read_by_formula
from scumble.errors import LoraFileError
from scumble.families.apply import frozen_layer
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora

LINEAR = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
WIDE = "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"
SQUARE_CONV = "unet.down_blocks.0.resnets.0.conv1"
CONV = "unet.up_blocks.0.resnets.0.conv1"
SMALL_CONV = "unet.down_blocks.0.attentions.0.proj_in"
TEXT = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
PLACES = (LINEAR, WIDE, SQUARE_CONV, CONV, SMALL_CONV, TEXT)

KINDS = {
    "lora": ("lora", None),
    "dora": ("lora", "output"),
    "dora of input channels": ("lora", "input"),
    "loha": ("loha", None),
    "loha dora": ("loha", "output"),
    "lokr": ("lokr", None),
    "lokr whole": ("lokr whole", None),
    "lokr dora": ("lokr", "output"),
}
SAYS = {
    "kohya": set(KINDS),
    "diffusers": {"lora", "dora"},
    "peft": {"lora", "dora", "loha", "lokr", "lokr whole"},
}
CASES = [(naming, kind) for naming, kinds in SAYS.items() for kind in KINDS if kind in kinds]


@pytest.fixture
def modules(tiny_base, cpu):
    base = open_base(str(tiny_base))
    return {"unet": base.load_denoiser(torch.float32, cpu), **base.load_text_encoder(cpu).modules}


@pytest.fixture
def layers(tiny_base, modules):
    return {key: frozen_layer(open_base(str(tiny_base)), modules, key) for key in PLACES}


@pytest.fixture
def lora_of(layers):
    """A LoRA of a kind at every place, of several ranks and alphas where the kind has them."""

    def make(name):
        kind, dora = KINDS[name]
        ranks = [1 if kind.startswith("lokr") else 2 + index % 2 for index in range(len(PLACES))]
        return LoraFile(
            {
                key: random_layer(kind, tuple(layer.weight.shape), rank, 1.5 + rank, index, dora)
                for index, ((key, layer), rank) in enumerate(zip(layers.items(), ranks, strict=True))
            }
        )

    return make


def written(lora, naming, folder):
    path = folder / ("a.peft" if naming == "peft" else "a.safetensors")
    write_lora(lora, path, naming)
    return path


@pytest.mark.parametrize(("naming", "kind"), CASES)
def test_what_was_written_is_found(naming, kind, lora_of, layers, tmp_path):
    lora = lora_of(kind)
    changes = read_by_formula(written(lora, naming, tmp_path), layers)
    assert {key for key in changes if changes[key].any()} == set(PLACES)  # attention may have got zeros
    for key, layer in lora.layers.items():
        weight = layers[key].weight.detach()
        expected = (weight_of(layer, weight) - weight).float()
        assert float((changes[key] - expected).norm() / expected.norm()) < 1e-6, key


@pytest.mark.parametrize("kind", [kind for naming, kind in CASES if naming == "peft"])
def test_of_a_peft_folder_it_is_what_peft_makes_of_it(kind, lora_of, layers, modules, tmp_path):
    peft = pytest.importorskip("peft")
    path = written(lora_of(kind), "peft", tmp_path)
    before = {key: layer.weight.detach().clone() for key, layer in layers.items()}
    changes = read_by_formula(path, layers)
    for part in ("unet", "text_encoder"):
        merged = peft.PeftModel.from_pretrained(modules[part], path / part).merge_and_unload()
        own = dict(merged.named_modules())
        for key in (key for key in PLACES if key.startswith(f"{part}.")):
            name = key.partition(".")[2]
            weight = own[name if name in own else name.removeprefix("text_model.")].weight.detach()
            torch.testing.assert_close(before[key] + changes[key], weight, rtol=1e-5, atol=1e-5)


def test_patterns_and_rank_stabilised_scales_are_pefts(lora_of, layers, modules, tmp_path):
    peft = pytest.importorskip("peft")
    lora = LoraFile({key: layer for key, layer in lora_of("lora").layers.items() if key.startswith("unet.")})
    path = written(lora, "peft", tmp_path)
    settings = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    settings |= {"use_rslora": True, "alpha_pattern": {"conv1": 5.0, "resnets.0.conv1": 7.0, "net.2": 0.5}}
    (path / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    before = {key: layers[key].weight.detach().clone() for key in lora.layers}
    changes = read_by_formula(path, layers)
    merged = peft.PeftModel.from_pretrained(modules["unet"], path).merge_and_unload()
    for key in lora.layers:
        weight = merged.get_submodule(key.removeprefix("unet.")).weight.detach()
        torch.testing.assert_close(before[key] + changes[key], weight, rtol=1e-5, atol=1e-5)


def test_a_folder_and_what_is_more_than_plain_lora_need_it(lora_of, tmp_path):
    assert not needs_formulas(written(lora_of("lora"), "kohya", tmp_path))
    assert needs_formulas(written(lora_of("dora"), "diffusers", tmp_path))
    assert needs_formulas(written(lora_of("loha"), "kohya", tmp_path))
    assert needs_formulas(written(lora_of("lora"), "peft", tmp_path))


def test_what_belongs_to_no_layer_or_no_algorithm_is_an_error(lora_of, layers, tmp_path):
    path = written(lora_of("loha"), "peft", tmp_path)
    fewer = {key: layer for key, layer in layers.items() if key != CONV}
    with pytest.raises(LoraFileError, match=r"up_blocks\.0\.resnets\.0\.conv1 belongs to no layer of the base"):
        read_by_formula(path, fewer)
    settings = path / "unet" / "adapter_config.json"
    settings.write_text(settings.read_text(encoding="utf-8").replace("LOHA", "IA3"), encoding="utf-8")
    with pytest.raises(LoraFileError, match="found peft_type IA3, expected LORA or LOHA or LOKR"):
        read_by_formula(path, layers)

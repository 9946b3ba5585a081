"""The commands on LoRA files as people type them: what they print, how they end, and that they overwrite nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer

from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora


@pytest.fixture
def loras(tmp_path):
    """Two LoRAs for the model in the box, and one LoHa: a, b and h."""
    table = table_of(open_base("mini"))
    keys = [key for key in table.shapes if ".attn1." in key]
    for name, kind, seed in (("a", "lora", 0), ("b", "lora", 50), ("h", "loha", 90)):
        layers = {key: random_layer(kind, table.shapes[key], 4, 2.0, seed + i) for i, key in enumerate(keys)}
        write_lora(LoraFile(layers, {"scumble.trigger": f"sks {name}"}), tmp_path / f"{name}.safetensors")
    return tmp_path


def test_inspect_says_what_is_in_a_file(scumble, loras):
    code, out, _ = scumble("inspect", "a.safetensors")
    assert code == 0
    assert "a.safetensors: for mini, in kohya's naming" in out
    assert out.splitlines()[1:8] == [
        "  algorithm  lora (28 layers)",
        "  rank       4 (28 layers)",
        "  alpha      2 (28 layers)",
        "  targets    unet: self-attention (28 layers)",
        "  numbers    float32 (56 tensors)",
        "  trigger    sks a",
        "",
    ]
    rows = [line.split() for line in out.splitlines()[9:]]
    assert [row[:3] for row in rows] == [
        ["unet.down_blocks.0", "4", "4"],
        ["unet.down_blocks.1", "4", "4"],
        ["unet.mid_block", "4", "4"],
        ["unet.up_blocks.0", "8", "4"],
        ["unet.up_blocks.1", "8", "4"],
    ]
    assert all(float(row[3]) > 0 for row in rows)


def test_inspect_of_a_mixed_file_counts_each_kind_and_gives_the_ends_of_many_ranks(scumble, tmp_path):
    table = table_of(open_base("mini"))
    keys = [key for key in table.shapes if ".attn1." in key]
    kinds = ["lora"] * 20 + ["lokr"] * 8
    layers = {
        key: random_layer(kind, table.shapes[key], 1 + i % 6, 2.5, i)
        for i, (key, kind) in enumerate(zip(keys, kinds, strict=True))
    }
    text = {key: random_layer("lora", table.shapes[key], 2, 2.5, 0, "input") for key in table.shapes if ".mlp." in key}
    metadata = {"ss_base_model_version": "sd_v1", "ss_v2": "False"}
    write_lora(LoraFile({**layers, **text}, metadata), tmp_path / "mixed.safetensors")
    _, out, _ = scumble("inspect", "mixed.safetensors")
    count = len(text)
    assert f"algorithm  lora (20 layers), lokr (8), lora with DoRA on input ({count})\n" in out
    assert f"rank       1 to 6 ({28 + count} layers)\n" in out
    assert f"targets    unet: self-attention (28 layers); text_encoder: text feed-forward ({count} layers)\n" in out
    assert "! it does not say what it was trained on, nor how\n" in out


@pytest.mark.parametrize(("format", "whose"), [("kohya", "kohya's"), ("diffusers", "diffusers'"), ("peft", "PEFT's")])
def test_inspect_names_the_naming(format, whose, scumble, loras):
    scumble("convert", "a.safetensors", "--to", format, "--out", "x" if format == "peft" else "x.safetensors")
    _, out, _ = scumble("inspect", "x" if format == "peft" else "x.safetensors")
    assert f": for mini, in {whose} naming\n" in out


def test_inspect_as_json_is_one_object(scumble, loras):
    code, out, _ = scumble("inspect", "a.safetensors", "--json")
    found = json.loads(out)
    assert (code, found["made_for"], found["algorithms"]) == (0, "mini", {"lora": 28})
    assert sum(block["num_layers"] for block in found["blocks"]) == 28
    assert found["metadata"]["scumble.trigger"] == "sks a"


COMMANDS = {
    "convert a.safetensors --to diffusers --out out.safetensors": "error 0: exact to the bit",
    "convert a.safetensors --to peft --out folder": "error 0: exact to the bit",
    "convert h.safetensors --as-lora 4 --out out.safetensors": "of the change; largest at unet.",
    "merge a.safetensors b.safetensors --weights 0.7 0.4 --out out.safetensors": "layers of rank 8, for mini",
    "merge a.safetensors b.safetensors --weights 0.7 -0.4 --rank 2 --out out.safetensors": "layers of rank 2, for mini",
    "merge --weights 0.5 --out out.safetensors a.safetensors": "layers of rank 4, for mini",
    "merge a.safetensors --into mini --weights -1 --out folder": "mini with",
    "resize a.safetensors --rank 2 --out out.safetensors": "layers of rank 2, before 4, for mini",
    "resize a.safetensors --energy 0.9 --out out.safetensors": "before 4, for mini",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_ends_well_and_prints_its_error_figure(line, scumble, loras):
    code, out, errors = scumble(*line.split())
    assert (code, errors) == (0, "")
    assert COMMANDS[line] in out
    assert "  error " in out
    assert (loras / line.split()[line.split().index("--out") + 1]).exists()


def test_extract_prints_its_error_figure_and_what_no_lora_can_say(scumble, loras):
    assert scumble("merge", "a.safetensors", "--into", "mini", "--out", "tuned")[0] == 0
    weights = load_file(loras / "tuned/unet/diffusion_pytorch_model.safetensors")
    weights["conv_in.bias"] += 1
    save_file(weights, loras / "tuned/unet/diffusion_pytorch_model.safetensors", {"format": "pt"})
    code, out, _ = scumble("extract", "mini", "tuned", "--rank", "4", "--out", "out.safetensors")
    assert code == 0
    assert "layers of rank 4, for mini" in out
    assert "! 1 tensors differ that a LoRA cannot say, such as unet: conv_in.bias" in out


@pytest.mark.parametrize("line", [*COMMANDS, "extract mini tuned --rank 4 --out out.safetensors"])
def test_nothing_is_overwritten_unless_it_is_said(line, scumble, loras):
    words = line.split()
    out = loras / words[words.index("--out") + 1]
    if out.suffix:
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    code, _, errors = scumble(*words)
    assert code == 2
    assert "is there already; give another name, or --overwrite to replace it" in errors
    assert (out if out.suffix else out / "mine").read_text() == "mine"
    if out.suffix and words[0] != "extract":
        assert scumble(*words, "--overwrite")[0] == 0
        assert load_file(out)


PARTIAL = [
    "inspect part.safetensors",
    "convert part.safetensors --to peft --out folder",
    "merge part.safetensors --out out.safetensors",
    "merge part.safetensors --into mini --out folder",
    "resize part.safetensors --rank 2 --out out.safetensors",
]


@pytest.mark.parametrize("line", PARTIAL)
def test_what_is_left_out_of_a_file_is_printed_where_a_part_is_allowed(line, scumble, loras):
    tensors = load_file(loras / "a.safetensors")
    tensors |= {f"lora_unet_other{i}.lora_{side}.weight": torch.ones(2, 2) for i in range(4) for side in ("up", "down")}
    save_file(tensors, loras / "part.safetensors")
    code, _, errors = scumble(*line.split())
    assert code == 1
    assert "--allow-partial reads the rest and names what it leaves out" in errors
    code, out, _ = scumble(*line.split(), "--allow-partial")
    assert code == 0
    words = "left out 4 of its layers or tensors: lora_unet_other0, lora_unet_other1, lora_unet_other2, ...\n"
    assert ("! part.safetensors: " if "merge" in line else "! ") + words in out


FAILURES = {
    "inspect nothing.safetensors": (1, "there is no such file"),
    "inspect old.pt": (1, "found a pickle"),
    "convert h.safetensors --to diffusers --out out.safetensors": (1, "has no loha"),
    "convert old.pt --out out.safetensors": (1, "expected a model or a LoRA: a flat table of tensors"),
    "merge a.safetensors h.safetensors --out out.safetensors": (1, "give --rank"),
    "merge a.safetensors b.safetensors --weights 0.5 --out out.safetensors": (2, "give one for each"),
    "merge a.safetensors --into nowhere --out folder": (1, "no such folder"),
    "resize a.safetensors --out out.safetensors": (2, "rank or energy must be given"),
    "resize a.safetensors --rank 0 --out out.safetensors": (2, "rank=0: must be 1 or more"),
    "resize h.safetensors --rank 2 --out out.safetensors": (1, "convert --as-lora RANK"),
    "extract mini mini --rank 2 --out out.safetensors": (1, "there is nothing to extract"),
}


@pytest.mark.parametrize("line", FAILURES)
def test_what_cannot_be_done_ends_with_its_code_and_leaves_no_file(line, scumble, loras):
    torch.save({"nested": {"a": torch.ones(1)}}, loras / "old.pt")
    before = sorted(loras.iterdir())
    code, _, errors = scumble(*line.split())
    expected, says = FAILURES[line]
    assert code == expected
    assert says in errors
    assert sorted(loras.iterdir()) == before


def test_words_between_colons_stay_words(scumble, loras):
    told = {"ss_tag_frequency": '{":fire:": 1}', "modelspec.trigger_phrase": "sks:dog:x"}
    save_file(load_file(loras / "a.safetensors"), loras / "told.safetensors", told)
    code, out, _ = scumble("inspect", "told.safetensors", "--json")
    assert code == 0
    assert json.loads(out)["metadata"]["ss_tag_frequency"] == '{":fire:": 1}'
    assert json.loads(out)["said"]["trigger"] == "sks:dog:x"
    code, out, err = scumble("inspect", "a:fire:b.safetensors")
    assert code == 1
    assert "a:fire:b.safetensors" in err

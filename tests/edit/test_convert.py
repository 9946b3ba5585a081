import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.edit.conftest import CONV, LINEAR, TEXT
from tests.files.kinds import change_of, random_layer, weight_of

from scumble.config import from_values
from scumble.config.edit import ConvertConfig
from scumble.edit import convert as converting
from scumble.edit.change import whole_change
from scumble.edit.convert import convert
from scumble.edit.difference import difference
from scumble.errors import ConfigError, LoraFileError
from scumble.families.layers import known_tables
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora


@pytest.fixture
def converted(tiny_base):
    def run(path, out, **settings):
        return convert(from_values(ConvertConfig, {"file": path, "out": out, "base": str(tiny_base), **settings}))

    return run


def changes_in(path, table):
    layers = read_lora(path, table.paths()).layers
    return {key: change_of(layer, table.shapes[key]) for key, layer in layers.items()}


def relative_error(found, expected):
    difference = sum((found[key] - expected[key]).square().sum() for key in expected)
    return float((difference / sum(change.square().sum() for change in expected.values())).sqrt())


FORMATS = ["kohya", "diffusers", "peft"]


@pytest.mark.parametrize("alpha", [4.0, 2.0, 1.0, 16.0, 0.5])
@pytest.mark.parametrize("to", FORMATS)
def test_scales_of_a_power_of_two_go_there_and_back_to_the_bit(to, alpha, lora_file, converted, table, tmp_path):
    path = lora_file(rank=4, alpha=alpha)
    there = tmp_path / ("folder" if to == "peft" else "there.safetensors")
    assert converted(path, there, to=to).error.relative == 0.0
    assert converted(there, tmp_path / "back.safetensors").error.relative == 0.0
    ours, back = changes_in(path, table), changes_in(tmp_path / "back.safetensors", table)
    assert ours.keys() == back.keys()
    assert all(torch.equal(ours[key], back[key]) for key in ours)


@pytest.mark.parametrize(("to", "exact"), [("kohya", True), ("peft", True), ("diffusers", False)])
def test_another_alpha_is_exact_where_it_is_kept_and_rounded_once_where_not(
    to, exact, lora_file, converted, table, tmp_path
):
    path = lora_file(rank=3, alpha=2.0)
    out = tmp_path / ("folder" if to == "peft" else "out.safetensors")
    error = converted(path, out, to=to).error
    measured = relative_error(changes_in(out, table), changes_in(path, table))
    assert (error.relative == 0.0) == exact
    assert error.relative == pytest.approx(measured, rel=1e-3, abs=1e-12)
    assert error.relative < 1e-7


@pytest.mark.parametrize(("precision", "limit"), [("fp16", 1e-3), ("bf16", 8e-3)])
def test_the_error_of_another_precision_is_the_true_one(precision, limit, lora_file, converted, table, tmp_path):
    path = lora_file()
    done = converted(path, tmp_path / "out.safetensors", save_precision=precision)
    measured = relative_error(changes_in(tmp_path / "out.safetensors", table), changes_in(path, table))
    assert limit / 30 < done.error.relative < limit
    assert done.error.relative == pytest.approx(measured, rel=1e-6)
    assert done.error.worst_layer in changes_in(path, table)
    assert done.error.worst >= done.error.relative


@pytest.mark.parametrize("kind", ["loha", "lokr", "lokr whole", "lokr split twice"])
@pytest.mark.parametrize("dora", [None, "output"])
def test_every_algorithm_stays_itself_in_kohyas_naming(kind, dora, lora_file, converted, tmp_path):
    path = lora_file(kind=kind, dora=dora)
    assert converted(path, tmp_path / "out.safetensors").error.relative == 0.0
    ours, theirs = load_file(path), load_file(tmp_path / "out.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_what_a_naming_cannot_say_is_refused_with_what_to_do(kind, lora_file, converted, tmp_path):
    with pytest.raises(LoraFileError, match=f"has no {kind}.*--as-lora RANK"):
        converted(lora_file(kind=kind), tmp_path / "out.safetensors", to="diffusers")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("dora", [None, "output", "input"])
@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
def test_as_lora_is_the_nearest_of_its_rank_to_the_change_of_the_weight(
    kind, dora, lora_file, converted, table, tmp_path
):
    path = lora_file(kind=kind, dora=dora)
    done = converted(path, tmp_path / "out.safetensors", as_lora=2)
    layers = read_lora(path, table.paths()).layers
    exact = {key: weight_of(layer, table.weight(key)) - table.weight(key).double() for key, layer in layers.items()}
    tails = [torch.linalg.svdvals(change.flatten(1))[2:].square().sum() for change in exact.values()]
    smallest = (sum(tails) / sum(change.square().sum() for change in exact.values())).sqrt()
    assert done.error.relative == pytest.approx(float(smallest), rel=1e-3)
    assert relative_error(changes_in(tmp_path / "out.safetensors", table), exact) == pytest.approx(
        done.error.relative, rel=1e-4
    )


def test_as_lora_of_a_large_rank_is_exact(lora_file, converted, tmp_path):
    assert converted(lora_file(kind="lokr"), tmp_path / "out.safetensors", as_lora=64).error.relative < 1e-6


def test_a_dora_without_weights_says_that_it_needs_the_base(layers_of, table, tmp_path):
    (key, layer), *_ = layers_of(dora="output").items()
    with pytest.raises(LoraFileError, match=r"DoRA sets the length of the base's own weights.*give --base"):
        whole_change(key, layer, replace(table, stored={}))


@pytest.mark.parametrize("kind", ["lora", "lokr"])
def test_a_dora_in_half_precision_is_measured_without_its_base_too(kind, tmp_path):
    shape = (320, 768)
    layer = random_layer(kind, shape, 4, 2.0, 0, "output")
    key = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    write_lora(LoraFile({key: layer}), tmp_path / "dora.safetensors")
    settings = {"file": tmp_path / "dora.safetensors", "out": tmp_path / "out.safetensors", "save_precision": "fp16"}
    done = convert(from_values(ConvertConfig, settings))
    assert done.made_for == "sd1"
    stored = {name: tensor.half().float() for name, tensor in layer.tensors.items() if name != "magnitude"}
    exact, found = (change_of(replace(layer, tensors=tensors), shape) for tensors in (layer.tensors, stored))
    size = exact.square().sum() + layer.tensors["magnitude"].double().square().sum()
    squares = (found - exact).square().sum()  # lengths are stored in full
    assert done.error.relative == pytest.approx(float((squares / size).sqrt()), rel=1e-2)
    assert 1e-5 < done.error.relative < 1e-3
    again = {"file": tmp_path / "out.safetensors", "out": tmp_path / "again.safetensors"}
    assert convert(from_values(ConvertConfig, again)).error.relative == 0.0
    ours, theirs = (load_file(tmp_path / name) for name in ("out.safetensors", "again.safetensors"))
    assert {name: tensor.dtype for name, tensor in ours.items()} == {name: t.dtype for name, t in theirs.items()}


def test_metadata_stay_and_the_family_is_named(lora_file, converted, tmp_path):
    path = lora_file(metadata={"ss_steps": "120", "modelspec.title": "my dog"})
    converted(path, tmp_path / "out.safetensors")
    metadata = read_metadata(tmp_path / "out.safetensors")
    assert (metadata["ss_steps"], metadata["modelspec.title"]) == ("120", "my dog")
    assert (metadata["ss_base_model_version"], metadata["ss_v2"]) == ("sd_v1", "False")


def test_as_lora_says_what_it_was_fitted_from(lora_file, converted, tmp_path):
    converted(lora_file("dog", kind="loha", metadata={"ss_steps": "120"}), tmp_path / "out.safetensors", as_lora=2)
    metadata = read_metadata(tmp_path / "out.safetensors")
    assert json.loads(metadata["scumble.fitted_from"])["name"] == "dog"
    assert (metadata["ss_network_module"], metadata["ss_network_dim"]) == ("networks.lora", "2")
    assert metadata["ss_steps"] == "120"


@pytest.mark.parametrize("suffix", [".ckpt", ".pkl"])
def test_a_pickled_lora_is_converted_in_another_process(suffix, lora_file, converted, table, tmp_path):
    path = lora_file()
    torch.save({"state_dict": load_file(path), "epoch": 3}, tmp_path / f"old{suffix}")
    done = converted(tmp_path / f"old{suffix}", tmp_path / "out.safetensors")
    assert (done.error.relative, done.no_tensors) == (0.0, ())
    assert relative_error(changes_in(tmp_path / "out.safetensors", table), changes_in(path, table)) == 0.0


def test_a_pickled_checkpoint_keeps_its_names_and_numbers(tmp_path):
    tensors = {"model.diffusion_model.out.2.weight": torch.randn(4, 3), "first_stage_model.a": torch.ones(2).half()}
    shared = tensors["model.diffusion_model.out.2.weight"][1:]
    torch.save({**tensors, "shared": shared, "global_step": 7}, tmp_path / "model.ckpt")
    settings = {"file": tmp_path / "model.ckpt", "out": tmp_path / "out.safetensors"}
    done = convert(from_values(ConvertConfig, settings))
    assert (done.made_for, done.num_layers, done.no_tensors) == ("", 3, ("global_step",))
    found = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in {**tensors, "shared": shared}.items())
    with pytest.raises(ConfigError, match="to would have no effect"):
        convert(from_values(ConvertConfig, {**settings, "to": "diffusers", "overwrite": True}))


class Dangerous:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path):
    torch.save({"a": torch.ones(2), "b": Dangerous(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(
        LoraFileError, match=r"bad\.pt: it is not read, because it is damaged or holds more than plain"
    ) as refusal:
        convert(from_values(ConvertConfig, {"file": tmp_path / "bad.pt", "out": tmp_path / "out.safetensors"}))
    assert str(refusal.value).endswith("(it asks for io.open)")
    assert "weights_only" not in str(refusal.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (["a"], "found a list in the pickle"),
        ({"string_to_param": {"*": torch.ones(2, 3)}}, "expected a model or a LoRA: a flat table of tensors"),
        ({}, "found 0 tensors"),
    ],
)
def test_pickles_of_other_things_say_what_they_hold(content, says, tmp_path):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(LoraFileError, match=says):
        convert(from_values(ConvertConfig, {"file": tmp_path / "other.pt", "out": tmp_path / "out.safetensors"}))


def test_reading_pickles_imports_nothing_from_where_one_stands(lora_file, tmp_path):
    """A file torch.py in the folder of the pickle must not be run."""
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    torch.save(load_file(lora_file()), tmp_path / "old.pt")
    code = (
        "from pathlib import Path; from scumble.files.unpickle import unpickle; "
        "print(unpickle(Path('old.pt'), Path('new.safetensors')))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert load_file(tmp_path / "new.safetensors").keys() == load_file(tmp_path / "a.safetensors").keys()


def test_nothing_is_overwritten_unless_it_is_said(lora_file, converted, tmp_path):
    path, out = lora_file(), tmp_path / "out.safetensors"
    save_file({"mine": torch.ones(1)}, out)
    with pytest.raises(ConfigError, match=r"is there already; give another name, or --overwrite"):
        converted(path, out)
    assert load_file(out).keys() == {"mine"}
    converted(path, out, overwrite=True)
    assert load_file(out).keys() == load_file(path).keys()
    with pytest.raises(ConfigError, match="it is what the result is made from"):
        converted(path, path, overwrite=True)


def test_a_result_needs_a_folder_and_a_fitting_name(lora_file, converted, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere; make it first"):
        converted(lora_file(), tmp_path / "nowhere" / "out.safetensors")
    with pytest.raises(ConfigError, match=r"whose name ends in \.safetensors"):
        converted(lora_file(), tmp_path / "out.pt")


@pytest.mark.parametrize(
    ("family", "version", "begin"),
    [
        ("sdxl", "sdxl_base_v1-0", "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k"),
        ("sd2", "sd_v2", "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"),
        ("sd1", "sd_v1", "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"),
    ],
)
def test_a_file_that_says_nothing_of_itself_names_its_family_when_it_is_converted(family, version, begin, tmp_path):
    """Without it the WebUI does not show an SDXL file."""
    table = {table.name: table for table in known_tables()}[family]
    keys = [key for key in table.shapes if "mid_block.attentions.0.transformer_blocks.0.attn2.to_k" in key]
    layers = {key: random_layer("lora", table.shapes[key], 2, 2.0, 0) for key in keys}
    write_lora(LoraFile(layers), tmp_path / "silent.safetensors", "diffusers")
    assert not any(name.startswith("ss_") for name in read_metadata(tmp_path / "silent.safetensors"))
    out = tmp_path / "out.safetensors"
    assert convert(from_values(ConvertConfig, {"file": tmp_path / "silent.safetensors", "out": out})).made_for == family
    metadata = read_metadata(out)
    assert (metadata["ss_base_model_version"], metadata["ss_v2"]) == (version, str(family == "sd2"))
    assert {name.partition(".")[0] for name in load_file(out)} == {begin}


ONE_PART, TWO_PARTS = [LINEAR], [LINEAR, *TEXT]


@pytest.mark.parametrize(("before", "after"), [(TWO_PARTS, ONE_PART), (ONE_PART, TWO_PARTS)])
def test_a_peft_folder_that_is_replaced_keeps_nothing_of_the_old_lora(
    before, after, lora_file, converted, table, tmp_path
):
    folder = tmp_path / "folder"
    converted(lora_file("old", places=before), folder, to="peft")
    (folder / "README.md").write_text("mine")
    (folder / "adapter_model.bin").write_bytes(b"the pickle of an old run")
    with pytest.raises(ConfigError, match="is there already"):
        converted(lora_file("new", places=after, seed=70), folder, to="peft")
    done = converted(lora_file("new", places=after, seed=70), folder, to="peft", overwrite=True)
    assert done.error.relative == 0.0
    alone = tmp_path / "alone"
    converted(lora_file("new", places=after, seed=70), alone, to="peft")
    contents = {path.relative_to(alone): path.read_bytes() for path in alone.rglob("*") if path.is_file()}
    found = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {**contents, (folder / "README.md").relative_to(folder): b"mine"}


def test_the_weights_of_a_peft_folder_as_a_name_do_not_let_other_parts_be_replaced_unasked(
    lora_file, converted, tmp_path
):
    converted(lora_file(places=TWO_PARTS), tmp_path / "folder", to="peft")
    with pytest.raises(ConfigError, match=r"unet.adapter_model\.safetensors is there already"):
        converted(lora_file(places=ONE_PART), tmp_path / "folder" / "adapter_model.safetensors", to="peft")


def test_a_folder_that_holds_the_source_is_not_replaced(lora_file, converted, tmp_path):
    converted(lora_file(places=TWO_PARTS), tmp_path / "folder", to="peft")
    with pytest.raises(ConfigError, match="lies in it, and the result is made from that"):
        converted(tmp_path / "folder" / "unet", tmp_path / "folder", to="peft", overwrite=True)


def test_layers_that_are_missing_or_too_many_count_as_wholly_wrong(layers_of, table):
    layers = layers_of(kind=["lora", "loha", "lora", "lokr", "lora", "lora", "lora", "lora"])
    fewer = {key: layer for key, layer in layers.items() if key != LINEAR}
    missing = difference(fewer, layers, table)
    changes = {key: change_of(layer, table.shapes[key]).square().sum() for key, layer in layers.items()}
    assert missing.relative == pytest.approx(float((changes[LINEAR] / sum(changes.values())).sqrt()), rel=1e-5)
    assert (missing.worst_layer, missing.worst) == (LINEAR, 1.0)
    assert difference({}, layers, table).relative == 1.0
    extra = difference(layers, fewer, table)
    assert (extra.worst_layer, extra.worst) == (LINEAR, float("inf"))


def test_a_dora_that_is_missing_counts_without_its_base_too(layers_of, table):
    layers = layers_of(dora="output")
    fewer = {key: layer for key, layer in layers.items() if key != LINEAR}
    assert difference(fewer, layers, replace(table, stored={})).worst == 1.0


def test_numbers_too_small_for_a_precision_are_refused_before_anything_is_replaced(
    layers_of, converted, table, tmp_path
):
    layers = {
        key: replace(layer, tensors={name: tensor * 1e-7 for name, tensor in layer.tensors.items()})
        for key, layer in layers_of().items()
    }
    write_lora(LoraFile(layers), tmp_path / "small.safetensors")
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    with pytest.raises(
        LoraFileError, match=r"not written.*would differ by .* rounding of float16.*--save-precision fp32"
    ):
        converted(tmp_path / "small.safetensors", out, save_precision="fp16", overwrite=True)
    assert out.read_bytes() == b"old"
    assert converted(tmp_path / "small.safetensors", out, overwrite=True).error.relative == 0.0


def test_a_result_that_is_not_what_was_written_is_an_error(lora_file, converted, tmp_path, monkeypatch):
    def other(file, path, *more):
        write_lora(LoraFile({key: layer for key, layer in file.layers.items() if key != LINEAR}), path, *more)

    monkeypatch.setattr(converting, "write_lora", other)
    with pytest.raises(LoraFileError, match="what lies there is not what was written"):
        converted(lora_file(), tmp_path / "out.safetensors")


def test_as_lora_is_advised_only_where_it_helps(lora_file, layers_of, converted, tmp_path):
    layers = {
        key: replace(layer, tensors={name: tensor * 1e9 for name, tensor in layer.tensors.items()})
        for key, layer in layers_of(kind="loha").items()
    }
    write_lora(LoraFile(layers), tmp_path / "large.safetensors")
    with pytest.raises(LoraFileError, match="not finite") as refusal:
        converted(tmp_path / "large.safetensors", tmp_path / "out.safetensors", save_precision="fp16")
    assert "--as-lora" not in str(refusal.value)


@pytest.mark.parametrize("out", ["out.safetensors", "out.SAFETENSORS", "taken"])
def test_a_name_that_cannot_be_a_peft_folder_is_refused_before_the_source_is_read(out, converted, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ConfigError, match="name a folder"):
        converted(tmp_path / "not there.safetensors", tmp_path / out, to="peft")


def test_as_lora_of_plain_layers_that_are_small_enough_is_refused_as_without_effect(lora_file, converted, tmp_path):
    with pytest.raises(ConfigError, match=r"as_lora=64 would have no effect: .*plain LoRA of rank 3 or less"):
        converted(lora_file(rank=3), tmp_path / "out.safetensors", as_lora=64)
    assert converted(lora_file(rank=3), tmp_path / "out.safetensors", as_lora=2).error.relative > 0.01
    tucker = lora_file(kind="tucker", places=[CONV])
    assert converted(tucker, tmp_path / "plain.safetensors", as_lora=64).error.relative < 1e-6

"""Which base a file is for, where nobody says so; and what is refused whatever is done with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer
from tests.files.mismatches import MISMATCHES, write_spoilt

from scripts import load_script
from scumble.config import from_values
from scumble.config.edit import ConvertConfig, MergeConfig
from scumble.edit.convert import convert
from scumble.edit.given import read_alike, read_given
from scumble.edit.merge import merge
from scumble.edit.provenance import as_one_for
from scumble.errors import LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import known_tables, table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora
from scumble.registry import names


@pytest.fixture(scope="module")
def tables():
    return {table.name: table for table in known_tables()}


@pytest.fixture
def write_for(tmp_path):
    """A LoRA of the attention of a block, and of a text layer, for a table; its path."""

    def write(table, places=("mid_block", "text_model.encoder.layers.0."), kind="lora", format="kohya", name=None):
        keys = [key for key in table.shapes if any(place in key for place in places)]
        layers = {key: random_layer(kind, table.shapes[key], 2, 1.0, seed=index) for index, key in enumerate(keys)}
        path = tmp_path / f"{name or table.name}.safetensors"
        metadata = {"ss_base_model_version": table.identity.base_version, "ss_v2": str(table.identity.is_v2)}
        write_lora(LoraFile(layers, metadata), path, format)
        return path

    return write


def test_the_model_in_the_box_and_every_family_are_known(tables):
    assert list(tables) == ["mini", *names("family")]
    counts = {name: len(table.shapes) for name, table in tables.items()}
    assert counts == {"mini": 131, "sd1": 354, "sd2": 420, "sdxl": 1058}
    assert tables["sd1"].shapes["unet.mid_block.attentions.0.proj_in"] == (1280, 1280, 1, 1)
    assert tables["sdxl"].shapes["unet.mid_block.attentions.0.proj_in"] == (1280, 1280)
    assert tables["sdxl"].shapes["text_encoder_2.text_model.encoder.layers.31.mlp.fc1"] == (5120, 1280)


def test_the_shipped_tables_are_those_of_the_models():
    maker = load_script(Path(__file__).parents[1] / "families" / "make_layer_tables.py")
    for name, text in maker.all_files().items():
        assert (maker.TABLES / name).read_text(encoding="utf-8") == text


def test_looking_for_the_base_imports_no_code_of_models():
    code = (
        "import sys; from scumble.edit.convert import convert; from scumble.families.layers import known_tables; "
        "list(known_tables()); print([name for name in ('diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shapes_from_settings_are_those_of_the_modules(tables, narrow_base, sdxl_base):
    for folder in (narrow_base, sdxl_base):
        base = open_base(str(folder))
        table = table_of(base)
        paths = {part: set(found) for part, found in base.layer_paths().items()}
        assert {part: set(found) for part, found in table.paths().items()} == paths
        modules = {
            "unet": base.load_denoiser(torch.float32, torch.device("cpu")),
            **base.load_text_encoder(torch.device("cpu")).modules,
        }
        for key, shape in table.shapes.items():
            part, _, path = key.partition(".")
            module = modules[part].get_submodule(base.module_path(part, path, modules[part]))
            assert tuple(module.weight.shape) == shape
            assert torch.equal(table.weight(key), module.weight)


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
@pytest.mark.parametrize("name", ["mini", "sd1", "sd2", "sdxl"])
def test_a_file_is_known_by_its_names_and_shapes(name, format, tables, write_for):
    given = read_given(write_for(tables[name], format=format))
    assert (given.table.name, given.format) == (name, format)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_flat_factors_of_convolutions_tell_the_base_too(kind, tables, write_for):
    assert (
        read_given(write_for(tables["sd1"], ("mid_block.resnets.0.conv1", "attentions.0.proj_in"), kind)).table.name
        == "sd1"
    )


@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_layers_that_several_bases_share_are_told_apart_by_what_the_file_says(name, tables, write_for):
    path = write_for(tables[name], ["mid_block.attentions.0.transformer_blocks.0.attn1"])
    assert read_given(path).table.name == name


def test_layers_that_several_bases_share_need_the_base_named_otherwise(tables, write_for, tmp_path):
    save_file(load_file(write_for(tables["sd1"], ["mid_block.resnets"])), tmp_path / "silent.safetensors")
    path = tmp_path / "silent.safetensors"
    with pytest.raises(LoraFileError, match=r"are of sd1 and sd2 and sdxl alike: say with --base"):
        read_given(path)


def test_a_file_of_no_known_base_says_so(lora_file):
    with pytest.raises(LoraFileError, match=r"are of none of mini, sd1, sd2, sdxl; as one for .* give --base"):
        read_given(lora_file())


def test_loras_for_different_bases_are_not_taken_together(tables, write_for):
    with pytest.raises(LoraFileError, match=r"sd1\.safetensors is for sd1 and .*sdxl\.safetensors for sdxl"):
        read_alike([write_for(tables["sd1"]), write_for(tables["sdxl"])])


def test_a_lora_of_another_base_names_how_many_layers_do_not_fit(tables, write_for, tiny_base):
    path = write_for(tables["sd1"])
    with pytest.raises(LoraFileError, match="made for another base"):
        read_given(path, str(tiny_base))
    narrow = write_for(tables["mini"], ["down_blocks.0.attentions.0.transformer_blocks.0.attn1"], name="narrow")
    with pytest.raises(
        LoraFileError, match=r"4 of 4 layers do not fit .*: unet\.down.*found down \[2, 96\].*\[32, 32\]"
    ):
        read_given(narrow, str(tiny_base))


def test_a_text_encoder_that_the_base_has_not_is_an_error(tables, write_for, tiny_base):
    path = write_for(tables["sdxl"], ["text_encoder_2.text_model.encoder.layers.0."], name="second")
    with pytest.raises(LoraFileError, match="none of the 6 layers matches anything in this base: lora_te2_"):
        read_given(path, str(tiny_base))


def converting(path, base, out):
    return convert(from_values(ConvertConfig, {"file": path, "base": base, "out": out}))


def merging(path, base, out):
    return merge(from_values(MergeConfig, {"lora": (path, path), "base": base, "out": out}))


def merging_into(path, base, out):
    return merge(from_values(MergeConfig, {"lora": (path,), "into": base, "out": out.with_suffix("")}))


@pytest.mark.parametrize("work", [converting, merging, merging_into])
@pytest.mark.parametrize("kind", MISMATCHES)
def test_no_kind_of_mismatch_gets_through(kind, work, attention_lora, narrow_base, tmp_path):
    write_spoilt(attention_lora, MISMATCHES[kind], tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match=MISMATCHES[kind].says) as error:
        work(tmp_path / "a.safetensors", str(narrow_base), tmp_path / "out.safetensors")
    assert "a.safetensors: " in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_family_in_the_metadata_is_that_of_the_layers(tables, write_for, tmp_path):
    """A file that says SDXL and has the layers of another family would be written in SDXL's names."""
    said = {"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False", "ss_steps": "3"}
    assert as_one_for(said, tables["sd1"].identity) == {**said, "ss_base_model_version": "sd_v1"}
    assert as_one_for(said, tables["sdxl"].identity) == said
    detailed = {"ss_base_model_version": "sd_v2_768_v", "ss_v2": "True"}
    assert as_one_for(detailed, tables["sd2"].identity) == detailed
    assert json.dumps(as_one_for({}, tables["sd2"].identity)) == '{"ss_base_model_version": "sd_v2", "ss_v2": "True"}'

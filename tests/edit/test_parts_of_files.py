"""A file that fits its base only in part: an error, unless a part is allowed; then the rest is named."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer
from tests.files.mismatches import MISMATCHES, write_spoilt

from scumble.config import from_values
from scumble.config.edit import ConvertConfig, InspectConfig, MergeConfig, ResizeConfig
from scumble.edit.convert import convert
from scumble.edit.given import read_given
from scumble.edit.look import inspect
from scumble.edit.merge import merge
from scumble.edit.resize import resize
from scumble.errors import ConfigError, LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import known_tables, table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

IN_PART = {kind: mismatch for kind, mismatch in MISMATCHES.items() if mismatch.left_out is not None}


@pytest.fixture
def spoilt(attention_lora, tmp_path):
    def write(kind):
        write_spoilt(attention_lora, MISMATCHES[kind], tmp_path / "a.safetensors")
        return tmp_path / "a.safetensors"

    return write


def works(path, base, out):
    """What each command makes of a part of a file: the result, and the names of what is left out."""
    common = {"base": base, "allow_partial": True}
    converted = convert(from_values(ConvertConfig, {"file": path, "out": out / "c.safetensors", **common}))
    resized = resize(from_values(ResizeConfig, {"file": path, "out": out / "r.safetensors", "rank": 1, **common}))
    merged = merge(from_values(MergeConfig, {"lora": (path,), "out": out / "m.safetensors", **common}))
    into = {"lora": (path,), "into": base, "out": out / "base", "allow_partial": True}
    merged_base = merge(from_values(MergeConfig, into))
    inspected = inspect(from_values(InspectConfig, {"file": path, **common}))
    return {
        "convert": (converted.num_layers, converted.left_out),
        "resize": (resized.num_layers, resized.left_out),
        "merge": (merged.num_layers, merged.left_out[str(path)]),
        "merge --into": (merged_base.num_layers, merged_base.left_out[str(path)]),
        "inspect": (sum(block.num_layers for block in inspected.blocks), inspected.left_out),
    }


@pytest.mark.parametrize("kind", IN_PART)
def test_every_command_takes_the_part_that_it_may_and_names_the_rest(kind, spoilt, narrow_base, tmp_path):
    path = spoilt(kind)
    num_layers = len(read_lora(path, table_of(open_base(str(narrow_base))).paths(), allow_partial=True).layers)
    done = works(path, str(narrow_base), tmp_path)
    assert done == dict.fromkeys(done, (num_layers, IN_PART[kind].left_out))
    assert len(done) == 5


@pytest.mark.parametrize("kind", [kind for kind in MISMATCHES if kind not in IN_PART])
def test_what_is_no_part_of_a_lora_stays_an_error(kind, spoilt, narrow_base, tmp_path):
    config = {"file": spoilt(kind), "base": str(narrow_base), "out": tmp_path / "c.safetensors", "allow_partial": True}
    with pytest.raises(LoraFileError, match=MISMATCHES[kind].says):
        convert(from_values(ConvertConfig, config))
    assert not (tmp_path / "c.safetensors").exists()


def test_the_result_is_a_whole_file_again(spoilt, narrow_base, attention_lora, tmp_path):
    path = spoilt("a factor without the other")
    out = tmp_path / "c.safetensors"
    convert(from_values(ConvertConfig, {"file": path, "base": str(narrow_base), "out": out, "allow_partial": True}))
    written = read_lora(out, table_of(open_base(str(narrow_base))).paths())
    assert len(written.layers) == 127
    for key, layer in written.layers.items():
        assert torch.equal(layer.tensors["up"], attention_lora.layers[key].tensors["up"])


def test_of_a_whole_file_nothing_is_said_to_be_left_out(attention_lora, narrow_base, tmp_path):
    write_lora(attention_lora, tmp_path / "a.safetensors")
    config = {"lora": (tmp_path / "a.safetensors",), "out": tmp_path / "m.safetensors", "base": str(narrow_base)}
    assert merge(from_values(MergeConfig, {**config, "allow_partial": True})).left_out == {}


@pytest.fixture
def of_sd2_and_more(tmp_path):
    """A file for Stable Diffusion 2 with one layer that no base has, and what was written of it."""
    table = {table.name: table for table in known_tables()}["sd2"]
    keys = [key for key in table.shapes if "mid_block" in key or "encoder.layers.22." in key]
    layers = {key: random_layer("lora", table.shapes[key], 2, 1.0, seed=1) for key in keys}
    write_lora(LoraFile(layers), tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    tensors["lora_unet_other.lora_down.weight"] = torch.ones(2, 8)
    tensors["lora_unet_other.lora_up.weight"] = torch.ones(8, 2)
    save_file(tensors, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_without_a_base_the_architecture_is_that_for_which_least_is_left_out(of_sd2_and_more):
    with pytest.raises(LoraFileError, match=r"of none of mini, sd1, sd2, sdxl; as one for sd2: 1 of .*--allow-partial"):
        read_given(of_sd2_and_more)
    given = read_given(of_sd2_and_more, allow_partial=True)
    assert (given.table.name, given.file.left_out) == ("sd2", ("lora_unet_other",))


def test_a_part_that_several_bases_share_needs_the_base_named(of_sd2_and_more):
    tensors = {
        name: tensor for name, tensor in load_file(of_sd2_and_more).items() if "resnets" in name or "_other" in name
    }
    save_file(tensors, of_sd2_and_more)
    with pytest.raises(LoraFileError, match=r"are of sd1 and sd2 and sdxl alike: say with --base"):
        read_given(of_sd2_and_more, allow_partial=True)


def test_a_pickle_that_is_no_lora_has_no_parts(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "old.pt")
    config = {"file": tmp_path / "old.pt", "out": tmp_path / "c.safetensors", "allow_partial": True}
    with pytest.raises(ConfigError, match=r"allow_partial would have no effect: .* holds no LoRA"):
        convert(from_values(ConvertConfig, config))

import pytest
import torch
from mismatches import LAYER, MISMATCHES, write_spoilt
from safetensors.torch import save_file

from scumble.errors import LoraFileError
from scumble.files import kohya
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora


@pytest.fixture
def file_of(lora, tmp_path):
    def written(kind):
        write_spoilt(lora, MISMATCHES[kind], tmp_path / "a.safetensors")
        return tmp_path / "a.safetensors"

    return written


def test_there_are_more_than_twelve_kinds():
    assert len(MISMATCHES) == len({mismatch.says for mismatch in MISMATCHES.values()}) >= 12


@pytest.mark.parametrize("kind", MISMATCHES)
def test_every_kind_of_mismatch_is_an_error_that_names_it(kind, file_of, layer_paths):
    with pytest.raises(LoraFileError, match=MISMATCHES[kind].says) as error:
        read_lora(file_of(kind), layer_paths)
    assert "a.safetensors: " in str(error.value)
    assert len(str(error.value)) < 900
    helps = MISMATCHES[kind].left_out is not None
    assert ("--allow-partial reads the rest and names what it leaves out" in str(error.value)) == helps


@pytest.mark.parametrize("kind", MISMATCHES)
def test_a_part_is_read_only_where_it_is_allowed_and_the_rest_is_named(kind, file_of, layer_paths, lora):
    mismatch = MISMATCHES[kind]
    if mismatch.left_out is None:
        with pytest.raises(LoraFileError, match=mismatch.says):
            read_lora(file_of(kind), layer_paths, allow_partial=True)
        return
    read = read_lora(file_of(kind), layer_paths, allow_partial=True)
    assert read.left_out == mismatch.left_out
    assert len(read.layers) in (127, 128)
    for key, layer in read.layers.items():
        assert all(torch.equal(tensor, lora.layers[key].tensors[name]) for name, tensor in layer.tensors.items())


def test_of_a_whole_file_nothing_is_left_out(lora, layer_paths, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    assert read_lora(tmp_path / "a.safetensors", layer_paths).left_out == ()
    assert read_lora(tmp_path / "a.safetensors", layer_paths, allow_partial=True).left_out == ()


@pytest.mark.parametrize("format", ["kohya", "diffusers", "peft"])
def test_every_format_can_be_read_in_part(format, lora, layer_paths, tmp_path):
    path = tmp_path / ("folder" if format == "peft" else "a.safetensors")
    write_lora(lora, path, format)
    fewer = {"unet": [path for path in layer_paths["unet"] if "mid_block" not in path]}
    with pytest.raises(LoraFileError, match="8 of 128 layers match nothing"):
        read_lora(path, fewer)
    read = read_lora(path, fewer, allow_partial=True)
    assert (len(read.layers), len(read.left_out)) == (120, 8)
    assert all("mid_block" in name for name in read.left_out)


def test_shapes_that_do_not_fit_are_errors_even_where_a_part_is_allowed(lora, layer_paths, tmp_path):
    tensors, metadata = kohya.write(lora)
    tensors[f"{LAYER}.lora_up.weight"] = torch.ones(64, 9)
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    with pytest.raises(LoraFileError, match=r"up \[64, 9\], expected down \[rank, in\] and up \[out, rank\]"):
        read_lora(tmp_path / "a.safetensors", layer_paths, allow_partial=True)


def test_what_was_left_out_is_not_written(lora, tmp_path, layer_paths):
    write_lora(LoraFile(lora.layers, left_out=("something",)), tmp_path / "a.safetensors")
    assert read_lora(tmp_path / "a.safetensors", layer_paths).left_out == ()

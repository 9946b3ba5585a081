"""What is said of other programs' readings, of the files that we write and of foreign ones."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from scumble.edit.given import read_given
from scumble.edit.programs.readings import distance, in_words, readings_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora

WHOLE = "as trained"


@pytest.fixture
def read(layers_of, table, tmp_path):
    """Writes a file and reads it back as other programs do: program -> (words, distance)."""

    def make(format="kohya", rename=None, **how):
        path = tmp_path / "a.safetensors"
        write_lora(LoraFile(layers_of(**how)), path, format)
        if rename is not None:
            tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
            save_file({name: tensor for name, tensor in tensors.items() if name}, path)
        given = read_given(path, table=table)
        readings = readings_of(path, given.file, table)
        return {
            program: (reading.words, distance(reading, given.file, table)) for program, reading in readings.items()
        }, readings

    return make


def test_a_plain_lora_in_kohyas_naming_is_read_by_all_as_trained(read):
    found, readings = read()
    assert set(found.values()) == {(WHOLE, 0.0)}
    assert in_words(readings) == "A1111, ComfyUI, diffusers, sd-scripts and LyCORIS: as trained"


def test_no_layout_of_dora_is_read_by_all(read):
    by_input, _ = read(dora="input")
    assert {program for program, said in by_input.items() if said == (WHOLE, 0.0)} == {"A1111", "ComfyUI"}
    assert by_input["LyCORIS"] == ("not applied, it refuses lengths of input channels", 1.0)
    assert "without DoRA's lengths" in by_input["diffusers"][0]
    by_output, _ = read(dora="output")
    assert {program for program, said in by_output.items() if said == (WHOLE, 0.0)} == {"LyCORIS"}
    assert all(by_output[program][1] > 0.1 for program in ("A1111", "ComfyUI", "diffusers", "sd-scripts"))


@pytest.mark.parametrize("kind", ["loha", "lokr", "lokr whole"])
def test_the_other_algorithms_are_read_by_three(kind, read):
    found, _ = read(kind=kind)
    assert {program for program, said in found.items() if said == (WHOLE, 0.0)} == {"A1111", "ComfyUI", "LyCORIS"}
    assert found["diffusers"] == ("not applied, it refuses the file", 1.0)
    assert found["sd-scripts"] == ("not applied, unless it is told to use LyCORIS", 1.0)


def test_diffusers_naming_is_for_diffusers(read):
    found, _ = read("diffusers")
    assert found["diffusers"] == (WHOLE, 0.0)
    assert [found[program][1] for program in ("A1111", "sd-scripts", "LyCORIS")] == [1.0, 1.0, 1.0]
    words, far = found["ComfyUI"]
    assert words.startswith("6 of 8 layers as trained; 2 of 8 layers not applied")
    assert 0 < far < 1


def test_a_file_that_says_no_alpha_stops_lycoris_alone(read):
    found, _ = read(rename=lambda name: "" if name.endswith(".alpha") else name)
    assert found["LyCORIS"] == ("not applied, it stops where a layer has no alpha", 1.0)
    assert {said for program, said in found.items() if program != "LyCORIS"} == {(WHOLE, 0.0)}


def test_the_second_encoders_prefix_for_the_only_one_is_not_known_to_all(read):
    found, _ = read(rename=lambda name: name.replace("lora_te_", "lora_te1_"))
    assert {program for program, said in found.items() if said == (WHOLE, 0.0)} == {"A1111", "ComfyUI", "diffusers"}
    assert found["LyCORIS"][0].startswith("4 of 8 layers as trained; 4 of 8 layers not applied")


def test_a_change_is_never_said_to_be_whole_where_numbers_differ(read):
    for how in ({"dora": "input"}, {"dora": "output"}, {"kind": "loha"}, {"format": "diffusers"}):
        for words, far in read(**how)[0].values():
            assert (words == WHOLE) == (far == 0.0)
            assert torch.isfinite(torch.tensor(far))

"""`verify`: whose base it is, and what other programs apply."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from scumble.cli.results import lines_of
from scumble.config.edit import VerifyConfig
from scumble.edit.verify import verify
from scumble.errors import LoraFileError
from scumble.files.fingerprint import fingerprint
from scumble.files.kinship import DISTANT, NEAR, SAME, STRANGER, UNKNOWN


def metadata_for(table, paths, noise):
    generator = torch.Generator().manual_seed(0)
    weights = {path: table.weight(f"unet.{path}") for path in paths}
    moved = {
        path: weight + noise * weight.std() * torch.randn(weight.shape, generator=generator)
        for path, weight in weights.items()
    }
    return {"scumble.base": "someone/else", "scumble.fingerprint": fingerprint(moved)}


def denoiser_paths(layers):
    return [key.removeprefix("unet.") for key in layers if key.startswith("unet.")]


def test_the_base_is_told_from_relatives_and_strangers(lora_file, layers_of, table, tiny_base):
    paths = denoiser_paths(layers_of())
    found = []
    for noise in (0.0, 0.1, 0.5, 30.0):
        path = lora_file(metadata=metadata_for(table, paths, noise))
        found.append(verify(VerifyConfig(file=path, base=str(tiny_base))).kinship)
    assert [kinship.verdict for kinship in found] == [SAME, NEAR, DISTANT, STRANGER]
    assert [kinship.is_own for kinship in found] == [True, False, False, False]
    assert found[1].distance < found[2].distance < found[3].distance
    assert "a near relative of the base it was trained on (someone/else): its layers differ by 1" in found[1].words


def test_a_file_of_the_text_encoder_alone_is_of_unknown_kin(lora_file, layers_of, table, tiny_base):
    metadata = metadata_for(table, denoiser_paths(layers_of()), 0.0)
    text = [key for key in layers_of() if key.startswith("text_encoder")]
    kinship = verify(VerifyConfig(file=lora_file(metadata=metadata, places=text), base=str(tiny_base))).kinship
    assert kinship.verdict == UNKNOWN
    assert "of which it changes no layer" in kinship.words


def test_a_file_without_a_fingerprint_is_of_unknown_kin(lora_file, tiny_base):
    kinship = verify(VerifyConfig(file=lora_file(metadata={"ss_sd_model_name": "anime"}), base=str(tiny_base))).kinship
    assert (kinship.verdict, kinship.distance) == (UNKNOWN, None)
    assert "it says it was trained on anime" in kinship.words


def test_what_each_program_applies_is_said_in_words_and_numbers(lora_file, tiny_base):
    found = verify(VerifyConfig(file=lora_file(dora="input"), base=str(tiny_base)))
    programs = {each.program: each for each in found.programs}
    assert list(programs) == ["A1111", "ComfyUI", "diffusers", "sd-scripts", "LyCORIS"]
    assert (programs["ComfyUI"].num_layers, programs["ComfyUI"].distance) == (8, 0.0)
    assert (programs["LyCORIS"].num_layers, programs["LyCORIS"].distance) == (0, 1.0)
    assert programs["diffusers"].distance > 0.1


def test_the_part_of_a_file_that_fits_is_verified_where_that_is_allowed(lora_file, tiny_base, tmp_path):
    tensors = load_file(lora_file())
    alien = {
        "lora_unet_mid_block_attentions_9_to_q." + end: torch.ones(2, 2)
        for end in ("lora_up.weight", "lora_down.weight")
    }
    save_file(tensors | alien, tmp_path / "more.safetensors")
    with pytest.raises(LoraFileError, match="allow-partial"):
        verify(VerifyConfig(file=tmp_path / "more.safetensors", base=str(tiny_base)))
    found = verify(VerifyConfig(file=tmp_path / "more.safetensors", base=str(tiny_base), allow_partial=True))
    assert (found.num_layers, len(found.left_out)) == (8, 1)


def test_a_file_that_the_webui_would_hide_is_told(lora_file, tiny_base):
    hidden = lora_file(metadata={"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False"})
    (note,) = verify(VerifyConfig(file=hidden, base=str(tiny_base))).notes
    assert "A1111 hides it in its LoRA tab" in note
    shown = lora_file(metadata={"ss_base_model_version": "sd_v1", "ss_v2": "False"})
    assert verify(VerifyConfig(file=shown, base=str(tiny_base))).notes == ()


def test_what_is_applied_though_nothing_was_trained_is_infinitely_far(lora_file, tiny_base):
    found = verify(VerifyConfig(file=lora_file(alpha=0.0), base=str(tiny_base)))
    programs = {each.program: each for each in found.programs}
    assert (programs["ComfyUI"].words, programs["ComfyUI"].distance) == ("as trained", 0.0)
    assert (programs["LyCORIS"].words, programs["LyCORIS"].distance) == (
        "at full strength, taking alpha 0 for no alpha",
        None,
    )
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["programs"][4]["distance"] is None
    (line,) = [line for line in lines_of(found) if "LyCORIS" in line]
    assert line.split()[4] == "∞"

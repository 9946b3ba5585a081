"""Presets fill in what the person left open, and are told."""

import pytest

from scumble import registry
from scumble.errors import BaseModelError, ConfigError
from scumble.families.find import MOVED, open_base
from scumble.families.presets import PRESETS, find_preset


def test_the_names_that_people_train_on_are_there():
    assert list(PRESETS) == ["sd15", "sd21", "sdxl", "pony", "illustrious", "noobai-vpred"]
    assert {preset.family for preset in PRESETS.values()} == set(registry.names("family"))


def test_a_preset_fills_in_what_was_left_open(checkpoint):
    base = open_base(str(checkpoint("sdxl")), preset="noobai-vpred")
    assert (base.prediction_type, base.zero_terminal_snr, base.resolution) == ("v_prediction", True, 1024)
    assert (base.advice.clip_skip, base.advice.guidance_scale) == (2, 4.5)
    assert "Danbooru tags" in base.advice.captions


def test_what_it_stands_for_is_told(checkpoint):
    notes = "\n".join(open_base(str(checkpoint("sdxl")), preset="pony").notes)
    assert "preset pony: 1024 px, clip_skip 2, predicts epsilon, guidance_scale 7" in notes
    assert "score_9" in notes


def test_what_the_person_sets_goes_before_the_preset(checkpoint):
    path = str(checkpoint("sdxl"))
    base = open_base(path, prediction_type="v_prediction", preset="sdxl")
    assert base.prediction_type == "v_prediction"
    assert open_base(path, zero_terminal_snr=False, preset="noobai-vpred").zero_terminal_snr is False


def test_a_preset_against_the_mark_of_the_file_is_told(checkpoint):
    base = open_base(str(checkpoint("sdxl", marks=("v_pred",))), preset="pony")
    assert base.prediction_type == "epsilon"
    assert any("as chosen, against the file's mark 'v_pred'" in note for note in base.notes)


def test_a_folder_takes_a_preset_too(narrow_base):
    base = open_base(str(narrow_base), preset="sd15")
    assert (base.resolution, base.prediction_type, base.advice.clip_skip) == (512, "epsilon", 1)


def test_a_preset_of_another_family_is_refused(narrow_base):
    with pytest.raises(ConfigError, match=r"preset=pony is for sdxl, and base .* is of sd1"):
        open_base(str(narrow_base), preset="pony")


def test_a_preset_without_a_base_asks_for_the_file():
    with pytest.raises(ConfigError, match=r"preset=pony is for a checkpoint file of yours: name it with --base"):
        open_base(preset="pony")


def test_a_preset_with_a_base_opens_it(hub_cache):
    with pytest.raises(BaseModelError, match=r"hf download stabilityai/stable-diffusion-xl-base-1\.0"):
        open_base(preset="sdxl")


def test_no_preset_names_a_base_that_is_gone():
    assert not {preset.base for preset in PRESETS.values()} & set(MOVED)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'illustrius': did you mean 'illustrious'"):
        find_preset("illustrius")

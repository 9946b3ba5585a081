"""What the settings of drawing say about the base reaches it."""

import pytest

from scumble.compare.run import compare
from scumble.config import CompareConfig, GenerateConfig
from scumble.config.base import PRESET_HELP
from scumble.errors import ConfigError
from scumble.families.presets import PRESETS
from scumble.generate.events import Noted
from scumble.generate.run import draw


def drawn(**settings):
    events = list(draw(GenerateConfig(prompt="one", width=32, height=32, steps=2, device="cpu", **settings)))
    return [event for event in events if not isinstance(event, Noted)], [
        event.text for event in events if isinstance(event, Noted)
    ]


def test_prediction_type_and_zero_terminal_snr_change_the_picture_and_are_noted(tiny_base):
    [plain], _ = drawn(base=str(tiny_base))
    [other], notes = drawn(base=str(tiny_base), prediction_type="v_prediction", zero_terminal_snr=True)
    assert plain.image.tobytes() != other.image.tobytes()
    assert any("taking that it predicts v_prediction on zero-terminal SNR" in note for note in notes)


def test_another_autoencoder_changes_the_picture(tiny_base, narrow_base):
    [plain], _ = drawn(base=str(tiny_base))
    [other], _ = drawn(base=str(tiny_base), vae=str(narrow_base))
    assert plain.image.tobytes() != other.image.tobytes()


def test_a_preset_gives_the_clip_skip_and_guidance_that_are_left_open(sdxl_base):
    [by_preset], notes = drawn(base=str(sdxl_base), preset="illustrious")
    assert (by_preset.recipe.clip_skip, by_preset.recipe.guidance_scale) == (2, 6.0)
    assert any(note.startswith("preset illustrious: 1024 px") for note in notes)
    [own], _ = drawn(base=str(sdxl_base), preset="illustrious", clip_skip=1, guidance_scale=3.0)
    assert (own.recipe.clip_skip, own.recipe.guidance_scale) == (1, 3.0)


def test_a_lora_of_a_run_is_drawn_on_its_base_as_that_was_trained_on(tiny_base, ink_file):
    settings = f'[model]\nbase = "{tiny_base.as_posix()}"\nprediction_type = "v_prediction"\nzero_terminal_snr = true\n'
    (ink_file.parent / "config.toml").write_text(settings, encoding="utf-8")
    _, notes = drawn(lora=(ink_file,))
    assert any("taking that it predicts v_prediction on zero-terminal SNR" in note for note in notes)
    _, notes = drawn(lora=(ink_file,), zero_terminal_snr=False)
    assert any(note.endswith("taking that it predicts v_prediction") for note in notes)


def test_comparing_takes_them_too(narrow_base, tmp_path, make_lora, ink_file):
    config = CompareConfig(prompt=("one",), lora=(ink_file,), base=str(narrow_base), preset="pony", device="cpu")
    with pytest.raises(ConfigError, match="preset=pony is for sdxl"):
        list(compare(config))


def test_the_help_names_every_preset():
    assert all(name in PRESET_HELP for name in PRESETS)

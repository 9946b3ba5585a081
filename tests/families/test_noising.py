"""What a base predicts and how its schedule ends: said by the base, asked of the denoiser, or decided by the person."""

import importlib
import json
import shutil

import pytest
import torch
from diffusers import DDPMScheduler

from scumble.errors import BaseModelError, ConfigError
from scumble.families.ask import ask_prediction
from scumble.families.find import open_base
from scumble.families.noising import scheduler_for
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.samplers import SAMPLERS
from scumble.train.weighting import Weighting

CPU = torch.device("cpu")


def note_of(base):
    (note,) = [note for note in base.notes if "predicts" in note]
    return note


@pytest.mark.parametrize(
    ("family", "marks", "metadata", "expected", "why"),
    [
        ("sdxl", ("v_pred", "ztsnr"), None, ("v_prediction", True), "mark 'v_pred'"),
        ("sdxl", ("v_pred",), None, ("v_prediction", False), "mark 'v_pred'"),
        ("sd1", ("v_pred",), None, ("v_prediction", False), "mark 'v_pred'"),
        ("sdxl", (), {"modelspec.prediction_type": "epsilon"}, ("epsilon", False), "metadata modelspec"),
        ("sd2", (), {"modelspec.prediction_type": "v"}, ("v_prediction", False), "metadata modelspec"),
        ("sd1", (), None, ("epsilon", False), "the family predicts that"),
    ],
)
def test_a_file_that_says_what_it_predicts_is_believed(checkpoint, family, marks, metadata, expected, why):
    base = open_base(str(checkpoint(family, metadata=metadata, marks=marks)))
    assert (base.prediction_type, base.zero_terminal_snr) == expected
    assert why in note_of(base)
    assert ("zero-terminal SNR" in note_of(base)) == expected[1]


@pytest.mark.parametrize(("family", "side"), [("sd2", 768), ("sdxl", 1024)])
def test_a_file_that_does_not_say_is_asked_and_the_margin_is_told(checkpoint, clip_sized, family, side):
    """A denoiser that answers nothing answers v: at the noisiest timestep v is nearly nothing."""
    silent = {
        name: torch.zeros_like(tensor)
        for name, tensor in clip_sized[family][1].items()
        if name.startswith("model.diffusion_model.out.2.")
    }
    base = open_base(str(checkpoint(family, changes=silent)))
    assert (base.prediction_type, base.zero_terminal_snr, base.resolution) == ("v_prediction", False, side)
    assert "its denoiser was asked: the other explains its output 21" in note_of(base)  # 1 / alpha_bar = 214.6
    assert "not clear" not in note_of(base)


def test_where_the_gpu_is_full_the_computer_is_asked(checkpoint, monkeypatch):
    ask, asked_on = importlib.import_module("scumble.families.ask"), []
    answered = ask._asked_on

    def on(base, device):
        asked_on.append(device.type)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answered(base, device)

    monkeypatch.setattr(ask, "device_of", lambda share, name: torch.device("cuda"))
    monkeypatch.setattr(ask, "_asked_on", on)
    path = str(checkpoint("sdxl"))
    notes = [note_of(open_base(path)) for _ in range(2)]
    assert asked_on == ["cuda", "cpu"]  # once: the answer stays that of the file
    assert "its denoiser was asked" in notes[0] and notes[0] == notes[1]


def test_an_answer_that_is_not_clear_is_called_so(checkpoint):
    """A denoiser that answers all the same, whatever it is given."""
    out = "model.diffusion_model.out.2."
    same = {f"{out}weight": torch.zeros(4, 16, 3, 3), f"{out}bias": torch.full((4,), 2.0)}
    assert "not clear: set prediction_type" in note_of(open_base(str(checkpoint("sdxl", changes=same))))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_trained_denoiser_is_told_right_by_a_wide_margin(kind):
    """The model in the box predicts epsilon; turned into the v that means the same, it is told for what it is."""
    base = open_base("mini")
    denoiser, alpha_bars = base.load_denoiser(torch.float32, CPU), base.noise_schedule()
    text = {"hidden": torch.zeros(4, 77, 128)}

    def predict(noisy, timesteps):
        epsilon = base.predict(denoiser, noisy, timesteps, text)
        if kind == "epsilon":
            return epsilon
        signal, deviation = alpha_bars[timesteps[0]].sqrt(), (1 - alpha_bars[timesteps[0]]).sqrt()
        return signal * epsilon - deviation * (noisy - deviation * epsilon) / signal

    answer = ask_prediction(predict, alpha_bars, 4, CPU)
    assert answer.prediction_type == kind
    assert answer.margin > 3


def test_what_the_person_says_goes_before_what_the_file_says_and_that_is_told(checkpoint):
    path = str(checkpoint("sdxl", marks=("v_pred", "ztsnr")))
    base = open_base(path, prediction_type="epsilon")
    assert (base.prediction_type, base.zero_terminal_snr) == ("epsilon", False)
    assert "as chosen, against the file's mark 'v_pred'" in note_of(base)
    assert open_base(path, zero_terminal_snr=False).zero_terminal_snr is False


def test_a_folder_says_it_in_its_scheduler_and_can_be_overruled(sdxl_base, tmp_path):
    folder = shutil.copytree(sdxl_base, tmp_path / "vpred")
    place = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(place.read_text())
    place.write_text(json.dumps({**config, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}))
    base = open_base(str(folder))
    assert (base.prediction_type, base.zero_terminal_snr, list(base.notes)) == ("v_prediction", True, [])
    other = open_base(str(folder), zero_terminal_snr=False)
    assert (other.prediction_type, other.zero_terminal_snr) == ("v_prediction", False)
    assert "says that it predicts v_prediction on zero-terminal SNR; taking" in note_of(other)


def test_a_prediction_type_that_nobody_here_knows_is_refused(sdxl_base, tmp_path):
    folder = shutil.copytree(sdxl_base, tmp_path / "sample")
    place = folder / "scheduler" / "scheduler_config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "prediction_type": "sample"}))
    with pytest.raises(BaseModelError, match="prediction_type 'sample', expected epsilon or v_prediction"):
        _ = open_base(str(folder)).prediction_type


def test_the_schedule_of_zero_terminal_snr_ends_in_pure_noise_as_diffusers_has_it(sdxl_base):
    base = open_base(str(sdxl_base), prediction_type="v_prediction", zero_terminal_snr=True)
    plain = open_base(str(sdxl_base)).noise_schedule()
    schedule = base.noise_schedule()
    theirs = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    assert torch.equal(schedule, theirs.alphas_cumprod)
    assert schedule[-1] == 0 < plain[-1]
    torch.testing.assert_close(schedule[0], plain[0])
    assert torch.isfinite(Weighting("snr_gamma", 5.0).weights(schedule, "v_prediction")).all()


def test_epsilon_on_a_schedule_that_ends_in_pure_noise_is_refused(sdxl_base):
    with pytest.raises(ConfigError, match="zero_terminal_snr with prediction_type epsilon"):
        open_base(str(sdxl_base), zero_terminal_snr=True)


def test_a_schedule_that_ends_in_pure_noise_is_drawn_from_its_end():
    settings = scheduler_for({"timestep_spacing": "leading"}, "v_prediction", True)
    assert (settings["timestep_spacing"], settings["rescale_betas_zero_snr"]) == ("trailing", True)
    assert scheduler_for({"timestep_spacing": "leading"}, "v_prediction", None) == {
        "timestep_spacing": "leading",
        "prediction_type": "v_prediction",
    }


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"Heun", "DPM2 a", "Restart"}))
def test_samplers_draw_from_pure_noise(tiny_base, sampler):
    base = open_base(str(tiny_base), prediction_type="v_prediction", zero_terminal_snr=True)
    text = [{"hidden": torch.zeros(77, 32)}]
    denoiser = base.load_denoiser(torch.float32, CPU)
    latents = draw_latents(base, denoiser, text, text, [1], Settings(32, 32, 4, 3.0, sampler))
    assert torch.isfinite(latents).all()
    # Heun's like multiply what the denoiser errs at a step's end by the step's length in sigma: 4,500 in the first
    assert latents.std() < 10

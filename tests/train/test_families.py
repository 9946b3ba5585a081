"""Every family trains, saves, loads and draws through the same run; what the person says of the base reaches it."""

from dataclasses import replace

import pytest
import torch
from tests.thinned import thinned

from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.files.read import read_lora
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe
from scumble.train.events import Finished
from scumble.train.loop import train
from scumble.train.material import prepare_material
from scumble.train.plan import make_plan


@pytest.mark.parametrize("family", thinned(["sd2", "sdxl"], "sd2"))
def test_a_narrow_base_trains_saves_loads_and_draws(common, family, request, tmp_path):
    folder = request.getfixturevalue(f"{family}_base")
    config = common(
        {"model": {"base": str(folder)}, "training": {"max_train_steps": 3}, "adapter": {"rank": 2, "alpha": 3.0}}
    )
    finished = list(train(config))[-1]
    assert isinstance(finished, Finished)
    base = open_base(str(folder))
    lora = read_lora(finished.files["LoRA"], base.layer_paths())
    assert len(lora.part("unet")) == {"sd2": 128, "sdxl": 560}[family]
    assert lora.metadata["ss_base_model_version"] == base.file_identity().base_version
    assert lora.metadata["modelspec.architecture"] == base.file_identity().architecture
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    painter.add_lora("trained", lora)
    plain = Recipe("a photo of sks dog", 64, 64, steps=2, seed=1, sampler="DDIM")
    without, with_it = painter.paint([plain, replace(plain, loras=(LoraUse("trained", 1.0),))])
    assert without.image.tobytes() != with_it.image.tobytes()


def material_of(plan):
    events = prepare_material(plan, None, [])
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"enable_bucket": False}, [48.0, 40, 6, 0, 64, 64]),  # 64 x 76.8, of which 6.4 are cut off at the top
        ({}, [48.0, 40, 0, 0, 48, 40]),  # smaller than any bucket: as it is
        ({"bucket_no_upscale": False}, [48.0, 40, 0, 2, 72, 56]),  # 60 x 72, of which 2 are cut off at each side
    ],
)
def test_sdxl_is_told_the_size_and_crop_of_each_picture(common, sdxl_base, data, told):
    """The pictures are 40 x 48."""
    material = material_of(make_plan(common({"model": {"base": str(sdxl_base)}, "data": data})))
    for batch in [material.mixture.batch_at(0, 4), *material.held_out]:
        assert torch.equal(batch.text["time_ids"], torch.tensor(told).expand_as(batch.text["time_ids"]))


def test_what_a_preset_stands_for_is_written_down_and_starts_the_same_run_again(common, sdxl_base, tmp_path):
    config = common({"model": {"base": str(sdxl_base), "preset": "noobai-vpred"}})
    plan = make_plan(config)
    model = plan.config.model
    assert (model.clip_skip, model.prediction_type, model.zero_terminal_snr) == (2, "v_prediction", True)
    assert plan.config.data.resolution == 1024
    assert any(note.text.startswith("preset noobai-vpred: ") for note in plan.notes)
    assert make_plan(plan.config).config == plan.config


def test_settings_go_before_the_preset(common, sdxl_base):
    config = common(
        {
            "model": {"base": str(sdxl_base), "preset": "noobai-vpred", "clip_skip": 3, "zero_terminal_snr": False},
            "data": {"resolution": 64},
        }
    )
    plan = make_plan(config)
    assert (plan.config.model.clip_skip, plan.config.data.resolution) == (3, 64)
    assert plan.base.noise_schedule()[-1] > 0


def test_another_autoencoder_is_found_again_from_anywhere(common, narrow_base, monkeypatch):
    monkeypatch.chdir(narrow_base.parent)
    plan = make_plan(common({"model": {"vae": narrow_base.name}}))
    assert plan.config.model.vae == str(narrow_base.resolve())


def test_an_autoencoder_of_another_family_is_refused_before_anything_is_written(common, sdxl_base):
    with pytest.raises(ConfigError, match="it is for another family"):
        make_plan(common({"model": {"vae": str(sdxl_base)}}))

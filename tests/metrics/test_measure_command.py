"""The command measure, as a person types it."""

import json

import pytest
from tests.cli.conftest import scumble

from scumble.metrics.run import captions_to_draw
from scumble.train.loop import train

__all__ = ["scumble"]


@pytest.fixture
def lora(common, tmp_path):
    list(train(common()))
    return tmp_path / "runs" / "photos" / "photos.safetensors"


QUICK = ("--steps", 2, "--n", 2, "--device", "cpu")


def test_a_lora_in_its_run_needs_nothing_else(scumble, lora):
    code, out, err = scumble("measure", lora, *QUICK, "--prompt", "a photo of sks dog")
    assert (code, err) == (0, "")
    for name in ("run_loss", "validation_loss", "drift_pixels", "diversity_pixels", "nearest", "copies"):
        assert f"\n{name} " in out
    assert "not measured: kid: no network that looks at pictures" in out
    assert "base alone" in out
    assert "lower is better" in out


def test_json_has_every_number_with_its_source(scumble, lora, photos, clip_folder, tiny_base):
    moved = lora.rename(lora.parents[2] / "dog.safetensors")
    flags = (
        "--metrics",
        "validation_loss,similarity",
        "--clip",
        clip_folder,
        "--data",
        photos,
        "--base",
        tiny_base,
        "--json",
    )
    code, out, err = scumble("measure", moved, *QUICK, *flags, "--prompt", "a photo of sks dog")
    assert (code, err) == (0, "")
    numbers = {one["name"]: one for one in json.loads(out)["numbers"]}
    assert set(numbers) == {"validation_loss", "similarity"}
    assert "12 pictures of photos" in numbers["validation_loss"]["computed_from"]
    assert "CLIP" in numbers["similarity"]["computed_from"]
    assert all(one["spread"] > 0 and one["of_base"] is not None for one in numbers.values())


def test_what_would_have_no_effect_is_refused(scumble, lora):
    for flags, said in (
        (("--metrics", "kd"), "'kd' is no metric: did you mean 'kid'?"),
        (("--trigger", "sks"), "trigger would have no effect: it needs data"),
        (("--metrics", "judge", "--clip", "x"), "clip would have no effect"),
        (("--metrics", "run_loss", "--prompt", "x"), "prompt would have no effect"),
        (("--prompt", "<lora:x:1>"), "leave the tag out"),
    ):
        code, _, err = scumble("measure", lora, *flags)
        assert code == 2
        assert said in err


def test_a_metric_asked_for_by_name_that_cannot_be_is_an_error(scumble, lora):
    code, _, err = scumble("measure", lora, *QUICK, "--metrics", "fid")
    assert code == 1
    assert "fid cannot be measured: no network" in err
    assert "--clip FOLDER" in err


def test_captions_to_draw_are_few_and_from_all_over(photos):
    from scumble.data.scan import scan_folder
    from scumble.metrics.base import Training

    examples = scan_folder(photos).examples
    assert captions_to_draw(Training(examples, (), "")) == tuple(f"a photo of sks dog, number {i}" for i in range(3))

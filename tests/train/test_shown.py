"""What a run keeps for those who look at it later: single sample pictures beside the base's, its pictures, its machine."""

import json

import numpy as np
import pytest
from PIL import Image

from scumble.data.scan import scan_folder
from scumble.train.events import Sampled, Validated
from scumble.train.journal import read_journal
from scumble.train.loop import train

SAMPLES = {"validation": {"validation_prompt": "sks dog | a cat", "num_validation_images": 2, "sample_steps": 2}}
NAMES = ["00-1025.png", "00-1026.png", "01-1025.png", "01-1026.png"]


def pixels(path):
    return np.asarray(Image.open(path))


def stop_at_samples(events):
    while not isinstance(next(events), Sampled):
        pass
    events.close()


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "photos"


def test_sample_pictures_are_kept_singly_beside_those_of_the_base(common, run):
    list(train(common(SAMPLES, {"optimizer": {"learning_rate": 0.3}})))
    for step in ("000000", "000002", "000004"):
        assert sorted(path.name for path in (run / "samples" / step).iterdir()) == NAMES
    assert any(
        (pixels(run / "samples" / "000000" / name) != pixels(run / "samples" / "000004" / name)).any() for name in NAMES
    )


def test_a_lora_that_learnt_nothing_draws_the_pictures_of_the_base(common, run):
    """Same noise, same prompt, to the bit: what differs later is the LoRA's doing alone."""
    stop_at_samples(train(common(SAMPLES, {"optimizer": {"learning_rate": 1e-30}})))
    for name in NAMES:
        assert (pixels(run / "samples" / "000000" / name) == pixels(run / "samples" / "000002" / name)).all()


def test_the_base_is_drawn_once_however_often_a_run_is_stopped(common, run):
    stop_at_samples(train(common(SAMPLES)))
    drawn = run / "samples" / "000000" / NAMES[0]
    before = drawn.stat().st_mtime_ns
    list(train(common(SAMPLES, {"output": {"resume": True}})))
    assert drawn.stat().st_mtime_ns == before


def test_the_distances_to_the_nearest_pictures_are_kept(common, run, photos):
    list(train(common(SAMPLES)))
    nearest = json.loads((run / "samples" / "000004-nearest.json").read_bytes())["nearest"]
    assert len(nearest) == 4
    assert {each["picture"] for each in nearest} <= {str(path) for path in photos.glob("*.png")}
    assert all(each["distance"] > 0 and each["usual"] > 0 for each in nearest)


def test_the_pictures_of_a_run_are_listed_with_what_was_left_out(common, run, photos):
    (photos / "broken.png").write_bytes(b"no picture")
    list(train(common()))
    sheet = json.loads((run / "pictures.json").read_bytes())
    assert sheet["fingerprint"] == scan_folder(photos).fingerprint()
    assert [each["name"] for each in sheet["pictures"]] == [f"{index:02d}.png" for index in range(12)]
    assert sheet["pictures"][5]["captions"] == ["a photo of sks dog, number 2"]
    assert sum(each["is_held_out"] for each in sheet["pictures"]) == 1
    assert [each["name"] for each in sheet["rejected"]] == ["broken.png"]


def test_the_journal_tells_what_was_asked_for_on_what_machine_and_how_much_memory_it_took(common, run):
    list(train(common({"adapter": {"rank": 3}})))
    entries, _ = read_journal(run / "events.jsonl")
    start = entries[0]
    assert start["given"]["adapter"] == {"rank": 3}
    assert start["versions"]["torch"]
    assert "CPU cores" in start["hardware"]
    assert "rank 3" in start["card"]["adapter"]
    used = [entry["memory_bytes"] for entry in entries if entry["kind"] in {"validated", "finished"}]
    assert used == sorted(used)
    assert used[0] > 50_000_000
    assert not any("memory_bytes" in entry for entry in entries if entry["kind"] == "stepped")


def test_a_validation_tells_the_loss_of_each_of_its_samples(common):
    validations = [event for event in train(common()) if isinstance(event, Validated)]
    assert all(len(event.losses) == 8 for event in validations)  # one picture held out, at eight timesteps
    assert all(sum(event.losses) / 8 == pytest.approx(event.loss, rel=1e-5) for event in validations)

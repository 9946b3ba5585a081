"""Curves and sample pictures in TensorBoard, Weights & Biases and Trackio; after a kill they go on where the run does."""

import hashlib
import importlib
import struct

import pytest

from scumble.cli.flags import nested
from scumble.cli.parser import app
from scumble.config import TrainConfig, from_values, write_toml
from scumble.errors import ConfigError
from scumble.train import reporting as reporting_module
from scumble.train.events import Planned, Sampled, Saved, Stepped
from scumble.train.loop import train
from scumble.train.reporting import chosen_trackers, is_installed

BLOCK = 32_768


@pytest.fixture
def reporting(common):
    """A run of four steps with a checkpoint at the second, reporting to some trackers."""
    own = {"validation": {"validation_steps": 2}, "output": {"checkpointing_steps": 2}}
    return lambda *names, **changes: common(own, {"output": {"report_to": names}}, changes)


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_if_killed(events, step):
    """Take a run to a step, and leave the disk as a kill would have: what is written on stopping is not there."""
    checkpoints = None
    for event in events:
        if isinstance(event, Saved) and event.what == "checkpoint":
            checkpoints = event.path.parent
        if isinstance(event, Stepped) and event.step == step:
            break
    events.close()
    late = checkpoints / f"step-{step:08d}"
    assert late.exists()
    for file in late.iterdir():
        file.unlink()
    late.rmdir()


def curves(folder):
    """Tag -> [(step, value)] of TensorBoard's files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_every_step_once_after_a_kill(reporting, tmp_path):
    list(train(reporting("tensorboard")))
    elsewhere = {"output_dir": tmp_path / "killed"}
    as_if_killed(train(reporting("tensorboard", output=elsewhere)), 3)
    list(train(reporting("tensorboard", output={**elsewhere, "resume": True})))
    whole, killed = (curves(tmp_path / runs / "photos" / "tensorboard") for runs in ("runs", "killed"))
    assert [step for step, _ in whole["loss/training"]] == [1, 2, 3, 4]
    assert [step for step, _ in whole["loss/held_out"]] == [0, 2, 4]
    parts = [[value for _, value in whole[f"held_out_by_timesteps/{number}_of_4"]] for number in range(1, 5)]
    means = [sum(at) / 4 for at in zip(*parts, strict=True)]
    assert means == pytest.approx([value for _, value in whole["loss/held_out"]], rel=1e-5)
    assert killed == whole
    files = (tmp_path / runs / "photos" / "photos.safetensors" for runs in ("runs", "killed"))
    assert len({file_hash(file) for file in files}) == 1


def test_sample_pictures_go_to_tensorboard(reporting, tmp_path):
    events = list(train(reporting("tensorboard", validation={"validation_prompt": "a dog", "sample_steps": 4})))
    assert any(isinstance(event, Sampled) for event in events)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(tmp_path / "runs" / "photos" / "tensorboard"))
    shown.Reload()
    assert [image.step for image in shown.Images("samples")] == [4]


def wandb_history(folder):
    """(step, figures) of the only offline file of Weights & Biases: records in LevelDB's log format after 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("offline-run-*/*.wandb")
    content, place, whole, rows = file.read_bytes(), 7, b"", []
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        whole, place = whole + content[place + 7 : place + 7 + length], place + 7 + length
        if kind in {1, 4}:  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record.FromString(whole)
            whole = b""
            if record.WhichOneof("record_type") == "history":
                items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
                rows.append((record.history.step.num, items))
    return rows


def test_wandb_writes_here_and_shows_every_step_once_after_a_kill(reporting, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    as_if_killed(train(reporting("wandb")), 3)
    list(train(reporting("wandb", output={"resume": True})))
    rows = wandb_history(tmp_path / "runs" / "photos" / "wandb")
    steps = [step for step, items in rows if "loss/training" in items]
    assert steps == [1, 2, 3, 4]
    assert [step for step, items in rows if "loss/held_out" in items] == [0, 2, 4]


def test_trackio_shows_every_step_once_after_a_kill(reporting, tmp_path, monkeypatch):
    trackio = pytest.importorskip("trackio")
    storage = importlib.import_module("trackio.sqlite_storage")
    for module in (storage, importlib.import_module("trackio.utils")):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    project = {"tracker_project_name": "trial"}
    as_if_killed(train(reporting("trackio", output=project)), 3)
    list(train(reporting("trackio", output={**project, "resume": True})))
    (run,) = trackio.Api().runs("trial")
    assert run.name == "photos"
    logs = storage.SQLiteStorage.get_logs("trial", run.name, run_id=run.id)
    assert sorted(log["step"] for log in logs if "loss/training" in log) == [1, 2, 3, 4]


def test_a_tracker_that_is_not_installed_is_told_before_anything_is_read(reporting, monkeypatch, tmp_path):
    monkeypatch.setattr(reporting_module, "is_installed", lambda package: False)
    with pytest.raises(ConfigError, match="wandb is not installed: pip install wandb"):
        list(train(reporting("tensorboard", "wandb")))
    assert not (tmp_path / "runs").exists()
    assert chosen_trackers(("all",)) == ("tensorboard",)
    monkeypatch.setattr(reporting_module, "is_installed", lambda package: package == "trackio")
    assert chosen_trackers(("all",)) == ("tensorboard", "trackio")


def test_a_folder_called_wandb_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "nowhere-installed").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert is_installed("torch")
    assert not is_installed("nowhere-installed")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--report_to=wandb"], ("wandb",)),
        (["--report_to", "tensorboard,wandb"], ("tensorboard", "wandb")),
        (["--report_to", "tensorboard", "--report_to", "trackio"], ("tensorboard", "trackio")),
        (["--report_to", "all"], ("all",)),
        ([], ("tensorboard",)),
    ],
)
def test_trackers_are_named_as_other_trainers_do(typed, meant):
    _, bound, _ = app.parse_args(["train", "photos", *typed], exit_on_error=False, print_error=False)
    config = from_values(TrainConfig, nested(TrainConfig, bound.arguments.get("flags")))
    assert config.output.report_to == meant


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("wandbb", "did you mean 'wandb'"),
        ("none,tensorboard", "all or none alone"),
        (["all", "wandb"], "all or none alone"),
        ([], "must name trackers"),
    ],
)
def test_what_is_no_tracker_is_refused(value, said):
    with pytest.raises(ConfigError, match=said):
        from_values(TrainConfig, {"output": {"report_to": value}})


def test_a_project_without_a_tracker_that_has_projects_is_refused():
    with pytest.raises(ConfigError, match="tracker_project_name would have no effect"):
        from_values(TrainConfig, {"output": {"tracker_project_name": "dogs"}})


def test_trackers_are_written_down_and_named_on_the_card(reporting):
    events = train(reporting("tensorboard"))
    card = next(event for event in events if isinstance(event, Planned)).card
    events.close()
    assert "tensorboard/" in card["files"]
    config = from_values(TrainConfig, {"output": {"report_to": "tensorboard,wandb"}})
    assert 'report_to = [\n    "tensorboard",\n    "wandb",\n]' in write_toml(config)

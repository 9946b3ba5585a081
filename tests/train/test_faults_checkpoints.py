"""A checkpoint that is damaged in whatever way is named and passed over for the one before it."""

import shutil

import pytest
from tests.train.broken_runs import play, results

from scumble.errors import CheckpointError
from scumble.generate.events import Noted
from scumble.train.checkpoint import list_checkpoints, read_newest_checkpoint, write_checkpoint


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


DAMAGES = {
    "a file is missing": lambda folder: (folder / "optimizer.safetensors").unlink(),
    "a file is cut short": lambda folder: truncated(folder / "adapter.safetensors"),
    "a file is empty": lambda folder: (folder / "adapter.safetensors").write_bytes(b""),
    "a bit is another": lambda folder: flipped(folder / "best.safetensors"),
    "a value is another": lambda folder: (folder / "state.json").write_text(
        (folder / "state.json").read_text().replace('"best_step"', '"best_stop"')
    ),
    "the manifest is missing": lambda folder: (folder / "manifest.json").unlink(),
    "the manifest is cut short": lambda folder: truncated(folder / "manifest.json"),
    "the manifest is a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "the manifest is null": lambda folder: (folder / "manifest.json").write_text("null"),
    "the manifest holds no hashes": lambda folder: (folder / "manifest.json").write_text('{"state.json": 5}'),
    "the manifest names nothing": lambda folder: (folder / "manifest.json").write_text("{}"),
    "the manifest names a folder": lambda folder: (folder / "manifest.json").write_text('{"..": "0"}'),
    "the manifest is no text": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "the folder is empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4},
        "validation": {"validation_steps": 2},
        "output": {"name": "r", "checkpointing_steps": 1},
    }
    return lambda **output: common(own, {"output": output})


@pytest.fixture
def stopped(settings, tmp_path):
    """The folder of checkpoints of a run that was stopped after its third step."""
    play(settings(), until=3)
    return tmp_path / "runs" / "r" / "checkpoints"


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_read(stopped, damage):
    before, newest = list_checkpoints(stopped)
    damage(newest)
    found = read_newest_checkpoint(stopped)
    assert found.path == before
    assert len(found.damaged) == 1
    assert newest.name in found.damaged[0]


def test_the_run_goes_on_from_the_one_before_and_ends_the_same(stopped, settings, tmp_path):
    DAMAGES["a file is cut short"](list_checkpoints(stopped)[-1])
    (stopped / ".writing-00000009").mkdir()  # what a kill left
    events = play(settings(resume=True))
    said = [event.text for event in events if isinstance(event, Noted)]
    assert any("checkpoint passed over: step-00000003: adapter.safetensors" in text for text in said)
    assert any("going on from step 2" in text for text in said)
    whole = settings(output_dir=tmp_path / "whole")
    play(whole)
    assert results(settings()) == results(whole)
    assert not list(stopped.glob(".*"))


def test_where_every_checkpoint_is_damaged_nothing_is_started_anew(stopped, settings):
    for folder in list_checkpoints(stopped):
        DAMAGES["the folder is empty"](folder)
    with pytest.raises(CheckpointError, match=r"no checkpoint is whole: step-00000003: .*; step-00000002: "):
        play(settings(resume=True))


def test_what_a_run_did_after_it_went_back_is_newer_than_all_before(tmp_path):
    for step, attempt in ((2, 0), (4, 0), (2, 1), (4, 1), (3, 2)):
        write_checkpoint(tmp_path, step, {}, {"attempt": attempt}, 9, attempt=attempt)
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == [
        "step-00000002", "step-00000004", "step-00000002-attempt-2", "step-00000004-attempt-2", "step-00000003-attempt-3",
    ]  # fmt: skip
    shutil.rmtree(tmp_path / names[-1])
    found = read_newest_checkpoint(tmp_path)
    assert (found.step, found.state["attempt"]) == (4, 1)

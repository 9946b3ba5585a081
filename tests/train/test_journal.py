"""The journal of a run: every event as a line, whatever ends the run, and a reader that half a line does not stop."""

import datetime
import json

import pytest

from scumble.errors import DivergedError
from scumble.train.events import Prepared, Stepped
from scumble.train.journal import FILE_NAME, journaled, read_journal
from scumble.train.loop import train


@pytest.fixture
def journal_of(tmp_path):
    return lambda name="photos": tmp_path / "runs" / name / FILE_NAME


def kinds(path):
    entries, torn = read_journal(path)
    assert torn == 0
    return [entry["kind"] for entry in entries]


def steps(path):
    return [entry["step"] for entry in read_journal(path)[0] if entry["kind"] == "stepped"]


def stop_at(events, step):
    for event in events:
        if isinstance(event, Stepped) and event.step == step:
            break
    events.close()


def test_a_journal_tells_a_run_from_its_start_to_its_end(common, journal_of, tmp_path):
    before = datetime.datetime.now(datetime.UTC)
    events = list(train(common()))
    entries, _ = read_journal(journal_of())
    assert entries[0]["kind"] == "started"
    assert entries[0]["num_steps"] == 4
    assert entries[0]["algorithm"] == "lora"
    assert steps(journal_of()) == [1, 2, 3, 4]
    assert [entry["loss"] for entry in entries if entry["kind"] == "stepped"] == [
        event.loss for event in events if isinstance(event, Stepped)
    ]
    assert entries[-1]["kind"] == "finished"
    assert entries[-1]["files"]["LoRA"] == str(tmp_path / "runs" / "photos" / "photos.safetensors")
    times = [datetime.datetime.fromisoformat(entry["time"]) for entry in entries]
    assert before <= times[0] + datetime.timedelta(seconds=0.001)
    assert times == sorted(times)
    assert all(time.tzinfo is not None for time in times)
    # the pictures are looked at before there is a run to tell of
    counted = [event for event in events if isinstance(event, Prepared) and event.what != "pictures"]
    assert kinds(journal_of()).count("prepared") == sum(event.done == event.total for event in counted) < len(counted)


@pytest.mark.parametrize("step", [1, 3])
def test_stopping_is_told_after_the_checkpoint_and_resuming_goes_on_below(common, journal_of, tmp_path, step):
    stop_at(train(common()), step)
    assert kinds(journal_of())[-1] == "stopped"
    assert any((tmp_path / "runs" / "photos" / "checkpoints").iterdir())
    list(train(common({"output": {"resume": True}})))
    assert steps(journal_of()) == [1, 2, 3, 4]
    assert kinds(journal_of()).count("started") == 2
    assert kinds(journal_of())[-1] == "finished"


def test_overwriting_begins_a_journal_anew(common, journal_of):
    list(train(common()))
    list(train(common({"output": {"overwrite": True}, "training": {"max_train_steps": 2}})))
    assert steps(journal_of()) == [1, 2]


def test_an_error_is_told_with_its_kind(common, journal_of):
    with pytest.raises(DivergedError) as caught:
        list(train(common({"optimizer": {"learning_rate": 1e30}, "training": {"max_train_steps": 20}})))
    last = read_journal(journal_of())[0][-1]
    assert last["kind"] == "failed"
    assert last["error"] == "DivergedError"
    assert last["text"] == str(caught.value)


def iter_of(events):
    yield from events


def test_half_a_line_is_counted_and_the_next_process_writes_below_it(tmp_path):
    path = tmp_path / FILE_NAME
    list(journaled(iter_of([Stepped(1, 2, 0.5, 1e-4, 0.1)]), path, {}, False))
    with path.open("ab") as journal:
        journal.write(b'{"time": "2026-01-01T00:00:00.000+00:00", "kind": "step')
    entries, torn = read_journal(path)
    assert torn == 1
    assert [entry["kind"] for entry in entries] == ["started", "stepped"]
    list(journaled(iter_of([Stepped(2, 2, 0.5, 1e-4, 0.1)]), path, {}, True))
    entries, torn = read_journal(path)
    assert torn == 1
    assert [entry["kind"] for entry in entries] == ["started", "stepped", "started", "stepped"]


@pytest.mark.parametrize("line", [b"[1, 2]", b'{"time": 3}', b"\xff\xfe", b'"words"'])
def test_lines_that_are_no_events_are_counted(tmp_path, line):
    path = tmp_path / FILE_NAME
    path.write_bytes(json.dumps({"kind": "started"}).encode() + b"\n" + line + b"\n")
    assert read_journal(path) == ([{"kind": "started"}], 1)

"""What `scumble runs` tells of folders: every state, the best loss, the files; broken and foreign folders in a line."""

import json
import subprocess
import sys

import pytest
from filelock import FileLock

from scumble.cli.app import exit_code
from scumble.errors import CheckpointError
from scumble.runs.find import find_runs, run_folder
from scumble.runs.read import read_run
from scumble.train.events import Finished, Stepped, Validated
from scumble.train.journal import journaled

CONFIG = """[model]
base = "owner/base"
[adapter]
algorithm = "loha"
[training]
max_train_steps = 20
device = "cpu"
[output]
name = "NAME"
"""
FACTS = {"name": "NAME", "num_steps": 20, "base": "owner/base", "algorithm": "loha"}


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def make(runs):
    """A run's folder whose journal tells some events; `ends` says how its process ended."""

    def build(name, *events, ends="killed", goes_on=False):
        place = runs / name
        place.mkdir(exist_ok=True)
        (place / "config.toml").write_text(CONFIG.replace("NAME", name))

        def told():
            yield from events
            if isinstance(ends, Exception):
                raise ends
            if ends != "finished":
                yield Stepped(events[-1].step + 1 if events else 1, 20, 0.4, 1e-4, 0.1)

        journal = journaled(told(), place / "events.jsonl", FACTS, goes_on)
        for event in journal:
            if ends == "killed" and event is events[-1]:
                lines = (place / "events.jsonl").read_bytes()
                journal.close()
                (place / "events.jsonl").write_bytes(lines)  # a kill leaves no last line
                break
            if ends == "stopped" and event is events[-1]:
                journal.close()
                break
        return place

    return build


def step(number, loss=0.5):
    return Stepped(number, 20, loss, 1e-4, 0.1)


def test_a_finished_run_is_told_with_its_best_loss_and_files(make):
    place = make("dogs", step(1), Validated(1, 0.3, True, True), step(2, 0.2), Validated(2, 0.35, False, True),
                 Finished(2, {}), ends="finished")  # fmt: skip
    (place / "dogs.safetensors").write_bytes(b"x" * 10)
    (place / "dogs-best.safetensors").write_bytes(b"x" * 20)
    (place / "dogs-000001.safetensors").write_bytes(b"x" * 30)
    run = read_run(place)
    assert (run.state, run.step, run.num_steps) == ("finished", 2, 20)
    assert (run.best_loss, run.best_step, run.loss) == (0.3, 1, 0.2)
    assert (run.base, run.algorithm, run.device) == ("owner/base", "loha", "cpu")
    assert run.loras == {"dogs.safetensors": 10, "dogs-best.safetensors": 20, "dogs-000001.safetensors": 30}
    assert run.begun <= run.seen
    assert run.problems == ()


def test_every_end_has_its_state(make):
    from scumble.errors import DataError, DivergedError

    assert read_run(make("killed", step(1))).state == "killed"
    assert read_run(make("stopped", step(1), ends="stopped")).state == "stopped"
    with pytest.raises(DivergedError):
        make("diverged", step(1), ends=DivergedError("the loss of step 2 is nan"))
    with pytest.raises(DataError):
        make("failed", step(1), ends=DataError("no picture"))
    found = {run.name: run for run in find_runs(read_run(make("again", step(1))).path.parent)[0]}
    assert found["diverged"].state == "diverged"
    assert found["diverged"].ended_by == "the loss of step 2 is nan"
    assert found["failed"].state == "failed"


def test_a_run_whose_lock_is_held_is_running_and_the_look_leaves_it_free(make):
    place = make("dogs", step(1))
    with FileLock(place / ".lock"):
        assert read_run(place).state == "running"
    assert read_run(place).state == "killed"
    with FileLock(place / ".lock", timeout=0):
        pass


def test_a_run_that_goes_on_is_told_from_all_its_processes(make):
    make("dogs", step(1), Validated(1, 0.3, True, True), step(2), step(3))
    place = make("dogs", step(2), Validated(2, 0.2, True, True), ends="stopped", goes_on=True)
    run = read_run(place)
    assert (run.state, run.step, run.processes) == ("stopped", 2, 2)
    assert (run.best_loss, run.best_step) == (0.2, 2)


def test_a_run_without_a_journal_is_told_from_its_history(runs):
    place = runs / "old"
    (place / "checkpoints" / "step-00000004").mkdir(parents=True)
    (place / "config.toml").write_text(CONFIG.replace("NAME", "old"))
    (place / "history.json").write_text('{"history": [[1, 0.5], [4, 0.4]], "validations": [[0, 0.6], [4, 0.45]]}')
    run = read_run(place)
    assert (run.state, run.step, run.num_steps, run.checkpoints) == ("stopped", 4, 20, 1)
    assert (run.best_loss, run.best_step) == (0.45, 4)
    (place / "old.safetensors").write_bytes(b"x")
    assert read_run(place).state == "finished"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.toml", b"[model\n", "config.toml: "),
        ("config.toml", b"\xff\xfe", "config.toml: "),
        ("config.toml", b"model = 3\noutput = [1]\n", None),
        ("events.jsonl", b'{"kind": "stepp', "events.jsonl: 1 line is not whole"),
        ("events.jsonl", b'{"kind": "stepped", "step": "x", "loss": 1}\n', "events.jsonl: 1 line is not whole"),
        ("events.jsonl", b'{"kind": "started", "time": "yesterday"}\n', None),
        ("history.json", b'{"history": 3}', "history.json: "),
    ],
)
def test_a_broken_folder_is_told_with_what_is_wrong(make, file, content, said):
    place = make("dogs", step(1))
    if file == "history.json":
        (place / "events.jsonl").unlink()
    (place / file).write_bytes(content)
    run = read_run(place)
    assert any(problem.startswith(said) for problem in run.problems) if said else run.problems == ()


def test_foreign_folders_are_named_and_no_folder_is_an_error(make, runs):
    make("dogs", step(1))
    (runs / "holiday").mkdir()
    (runs / "notes.txt").write_text("x")
    found, others = find_runs(runs)
    assert [run.name for run in found] == ["dogs"]
    assert others == ["holiday: no run"]
    with pytest.raises(CheckpointError, match="no such folder"):
        find_runs(runs / "nowhere")
    with pytest.raises(CheckpointError, match="is no run"):
        read_run(runs / "holiday")


def test_a_sweep_is_called_one(make, runs):
    make("dogs", step(1))
    (runs / "dogs-sweep").mkdir()
    (runs / "dogs-sweep" / "sweep.json").write_text("{}")
    _, others = find_runs(runs)
    assert others == ["dogs-sweep: a sweep, of which scumble sweep tells"]
    page = runs / "dogs-sweep" / "report.html"
    page.write_text("<html>")
    with pytest.raises(CheckpointError, match=r"a sweep, of which .*report\.html tells"):
        run_folder(runs / "dogs-sweep")


def test_the_table_one_run_and_json(make, runs, capsys, monkeypatch):
    monkeypatch.chdir(runs.parent)
    make("dogs", step(1), Validated(1, 0.25, True, True), step(2))
    make("cats [one]", step(3), ends="stopped")
    assert exit_code(["runs"]) == 0
    table = capsys.readouterr().out
    assert "dogs" in table
    assert "cats [one]" in table
    assert "2/20" in table
    assert "0.2500 at 1" in table
    assert exit_code(["runs", "dogs"]) == 0
    one = capsys.readouterr().out
    assert "2 of 20" in one
    assert "config.toml" in one
    assert "--resume" in one
    assert exit_code(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {run["name"]: run["state"] for run in listed["runs"]} == {"dogs": "killed", "cats [one]": "stopped"}
    assert exit_code(["runs", "dogs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best_loss"] == 0.25
    assert exit_code(["runs", "nowhere"]) == 1


def test_a_real_run_is_listed_with_its_steps(common, tmp_path):
    from scumble.train.loop import train

    list(train(common()))
    (run,) = find_runs(tmp_path / "runs")[0]
    assert (run.name, run.state, run.step, run.num_steps) == ("photos", "finished", 4, 4)
    assert run.base == "tiny"
    assert set(run.loras) >= {"photos.safetensors", "photos-best.safetensors"}
    assert run.problems == ()


def test_looking_at_runs_imports_no_torch(runs):
    code = (
        "import sys; from scumble.cli.app import exit_code; "
        f"assert exit_code(['runs', {str(runs)!r}]) == 0; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

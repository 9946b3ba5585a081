"""How many cells at once."""

import io
from types import SimpleNamespace

import pytest

from scumble.sweep.local import Local, surroundings
from scumble.sweep.room import room_as_told, room_for

GB = 10**9


@pytest.fixture(autouse=True)
def threads_left_open(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("free", "num_cores", "workers", "threads"),
    [(100 * GB, 16, 4, 4), (100 * GB, 2, 2, 1), (9 * GB, 16, 2, 8), (1 * GB, 16, 1, 16)],
)
def test_cells_cores_and_memory_each_set_a_limit(free, num_cores, workers, threads):
    room = room_for(4, 4 * GB, free, num_cores, 0)
    assert (room.workers, room.threads) == (workers, threads)


def test_a_number_that_is_given_is_taken():
    room = room_as_told(3, 8, 8, 0)
    assert (room.workers, room.threads, room.why) == (3, 2, "as asked")
    assert room_as_told(9, 2, 8, 0).workers == 2


@pytest.mark.parametrize(("told", "threads"), [("2", 2), ("64", 4), ("", 4)])
def test_no_cell_has_more_threads_than_the_sweep_was_told_to_use(monkeypatch, told, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert room_for(4, 4 * GB, 100 * GB, 16, 0).threads == threads


def test_each_process_gets_its_threads_and_of_several_gpus_its_own(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert surroundings(3, 0, 0)["OMP_NUM_THREADS"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in surroundings(1, 0, 1)
    assert [surroundings(1, gpu, 2)["CUDA_VISIBLE_DEVICES"] for gpu in range(2)] == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [surroundings(1, gpu, 2)["CUDA_VISIBLE_DEVICES"] for gpu in range(2)] == ["5", "7"]


@pytest.mark.parametrize(
    ("cell", "free", "gpus", "workers"), [(6 * GB, 10 * GB, 2, 2), (3 * GB, 24 * GB, 1, 5), (3 * GB, 24 * GB, 2, 10)]
)
def test_a_gpu_holds_whole_cells_and_what_each_takes_beside_its_tensors(cell, free, gpus, workers):
    assert room_for(99, cell, free, 64, gpus).workers == workers


def test_a_process_gets_the_gpu_that_was_let_go(monkeypatch, tmp_path):
    """Two GPUs and two processes at once: when the second one ends, its GPU is the next one's, not that of the first."""
    given, over = [], set()

    class Process:
        def __init__(self, *_, env, **__):
            given.append(env["CUDA_VISIBLE_DEVICES"])
            self.number, self.stdin, self.returncode = len(given), io.BytesIO(), None

        def poll(self):
            self.returncode = 0 if self.number in over else None
            return self.returncode

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("subprocess.Popen", Process)
    job = SimpleNamespace(threads=1, cell=SimpleNamespace(name="cell"), to_json=lambda: "{}")
    crew = Local(tmp_path, gpus=2)
    crew.start(job)
    crew.start(job)
    over.add(2)
    assert len(crew.ended()) == 1
    crew.start(job)
    assert given == ["0", "1", "1"]

"""How many cells at once."""

import pytest

from scumble.sweep.local import surroundings
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
    assert [surroundings(1, index, 2)["CUDA_VISIBLE_DEVICES"] for index in range(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [surroundings(1, index, 2)["CUDA_VISIBLE_DEVICES"] for index in range(3)] == ["5", "7", "5"]

"""Batches made ahead are the batches; deterministic kernels are asked for while a run goes on, and not after it."""

import importlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.train.broken_runs import play, results

from scumble.errors import ConfigError, DataError
from scumble.train.deterministic import WORKSPACE, deterministic_algorithms
from scumble.train.events import Planned, Stepped
from scumble.train.loop import train
from scumble.train.prefetch import Prefetched, prefetched


class Numbers:
    """Batches that are their positions, and know which thread made them."""

    def __init__(self):
        self.made = []

    def batch_at(self, first_position, batch_size):
        self.made.append((first_position, threading.current_thread().name))
        if first_position == 50:
            raise DataError("picture 50 is gone")
        return (first_position, batch_size)


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4, "dropout": 0.1},
        "data": {"center_crop": False, "random_flip": True},
        "training": {"train_batch_size": 2, "gradient_accumulation_steps": 2},
        "output": {"name": "r", "checkpointing_steps": 3},
    }
    return lambda *changes: common(own, *changes)


def test_each_batch_is_made_once_and_by_threads_but_the_first():
    source = Numbers()
    with prefetched(source, 2, 20) as batches:
        assert [batches.batch_at(position, 2) for position in range(0, 20, 2)] == [(n, 2) for n in range(0, 20, 2)]
    assert sorted(position for position, _ in source.made) == list(range(0, 20, 2))
    assert {position for position, name in source.made if name.startswith("batches")} == set(range(2, 20, 2))


def test_without_workers_there_is_nothing_between():
    source = Numbers()
    with prefetched(source, 0, 20) as batches:
        assert batches is source


def test_a_run_that_goes_back_or_leaves_out_gets_what_it_asks_for():
    source = Numbers()
    with ThreadPoolExecutor(2) as pool:
        batches = Prefetched(source, pool, 2, 1000)
        asked = [0, 2, 4, 0, 2, 20, 22, 22, 6]
        assert [batches.batch_at(position, 2) for position in asked] == [(position, 2) for position in asked]
        assert len(batches.coming) == 2


def test_an_error_in_a_thread_comes_at_its_batch():
    with prefetched(Numbers(), 2, 100) as batches:
        assert batches.batch_at(46, 2) == (46, 2)
        assert batches.batch_at(48, 2) == (48, 2)
        with pytest.raises(DataError, match="picture 50 is gone"):
            batches.batch_at(50, 2)


def test_no_one_and_two_workers_give_one_hash_also_after_a_stop(settings, tmp_path):
    def config(workers, **output):
        place = {"output_dir": tmp_path / str(workers), **output}
        return settings({"training": {"dataloader_num_workers": workers}, "output": place})

    for workers in (0, 1):
        play(config(workers))
    play(config(2), until=2)
    play(config(0, output_dir=tmp_path / "2", resume=True), until=3)  # another number is no other run
    play(config(2, resume=True))
    assert results(config(0)) == results(config(1)) == results(config(2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_deterministic_kernels_are_asked_for_until_the_end_and_said(settings, tmp_path, monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    deterministic = {"training": {"deterministic": True}}
    asked = []
    for event in train(settings(deterministic)):
        if isinstance(event, Planned):
            assert "deterministic kernels alone" in event.card["precision"]
        if isinstance(event, Stepped):
            asked.append(torch.are_deterministic_algorithms_enabled())
    assert asked == [True] * 4
    assert not torch.are_deterministic_algorithms_enabled()
    stopped = settings(deterministic, {"output": {"output_dir": tmp_path / "stopped"}})
    play(stopped, until=2)
    play(settings(deterministic, {"output": {"output_dir": tmp_path / "stopped", "resume": True}}))
    assert results(stopped) == results(settings(deterministic))


def test_an_operation_without_such_a_kernel_is_an_error_that_says_so(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    said = r"deterministic cannot be had here: .*Leave deterministic out"
    with pytest.raises(ConfigError, match=said), deterministic_algorithms(True):
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.ones(2), accumulate=False)
    with pytest.raises(RuntimeError, match="shapes"), deterministic_algorithms(True):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_workspace_is_asked_for_before_the_base_is_opened(settings, monkeypatch):
    """cuBLAS reads the environment once, and a base that does not say what it predicts is asked on the GPU."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    plan, found = importlib.import_module("scumble.train.plan"), []
    opened = plan.base_of
    monkeypatch.setattr(plan, "base_of", lambda model: found.append(os.environ.get(WORKSPACE)) or opened(model))
    plan.make_plan(settings({"training": {"deterministic": True}}))
    assert found == [":4096:8"]


def test_a_process_that_asked_too_late_says_what_to_set(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    said = rf"used the GPU before without {WORKSPACE}; set {WORKSPACE}=:4096:8 before Python starts"
    with pytest.raises(ConfigError, match=said), deterministic_algorithms(True):
        raise RuntimeError(
            "Deterministic behavior was enabled with `torch.use_deterministic_algorithms(True)`, but this operation is not "
            f"deterministic because it uses CuBLAS. You must set an environment variable: {WORKSPACE}=:4096:8"
        )


def test_another_workspace_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":0:0")
    said = f"{WORKSPACE} = :4096:8 or :16:8; it is set to :0:0"
    with pytest.raises(ConfigError, match=said), deterministic_algorithms(True):
        pass

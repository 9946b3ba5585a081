"""Real processes that train together: what they sum, and what each hears when another dies, hangs or differs."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from torch.distributed import HashStore

from scumble.errors import ConfigError
from scumble.processes import Share, share_of
from scumble.train.peers import refuse_shared_gpus

SCRIPT = Path(__file__).parent / "peer_alone.py"


def start(task, count=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, SCRIPT, task],
            env={**os.environ, **own, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(processes):
    """(exit code, what it said, what it said of errors) of each."""
    return [(process.wait(100), *process.communicate()) for process in processes]


def test_gradients_and_losses_are_summed_and_what_nobody_has_stays_away():
    found = ended(start("sums", 3))
    assert [code for code, _, _ in found] == [0, 0, 0]
    expected = {"both": [6.0] * 6, "first only": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "none": None}
    assert [out.strip() for _, out, _ in found] == [f"{rank} 4.5 0.1 {expected}" for rank in range(3)]


@pytest.mark.parametrize("task", ["dies", "dies before a wait"])
def test_the_others_hear_within_ten_seconds_who_died(task):
    processes = start(task)
    assert processes[1].wait(100) == 9
    began = monotonic()
    code, out, _ = ended(processes)[0]
    assert monotonic() - began < 10
    assert code == 5
    assert "0 lost: process 1 of 2 on " in out
    assert "does not answer any more" in out


def test_processes_that_would_share_a_gpu_are_refused():
    def of(index, gpu):
        store = HashStore()
        for other, name in enumerate(("here one", "here two", "there one")):
            store.set(f"gpu of {other}", name)
        refuse_shared_gpus(store, Share(index, 3, index), gpu)

    of(0, "here one")
    of(2, "there one")
    with pytest.raises(ConfigError, match="3 processes have 2 GPUs: several compute on here two; start as many"):
        of(0, "here two")


def test_one_that_hangs_is_named_after_the_timeout():
    processes = start("hangs")
    try:
        code, _, said = ended(processes[:1])[0]
        assert code == 1
        assert "process 1 of 2 on " in said
        assert "has not arrived where this one has waited for 2 s" in said
    finally:
        processes[1].kill()
        ended(processes[1:])


def test_one_that_is_done_earlier_is_not_lost():
    assert [code for code, _, _ in ended(start("leaves early"))] == [0, 0]


def test_processes_with_different_numbers_are_refused():
    found = ended(start("differs"))
    assert [code for code, _, _ in found] == [5, 5]
    assert all("do not have the same adapter" in out for _, out, _ in found)


@pytest.mark.parametrize(
    "environment",
    [{"WORLD_SIZE": "two"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "2", "RANK": "-1"}, {"WORLD_SIZE": "2"}],
)
def test_variables_that_cannot_be_are_refused(environment):
    with pytest.raises(ConfigError, match="start several processes with torchrun"):
        share_of(environment)


def test_without_variables_one_process_is_alone():
    assert share_of({}) == Share(0, 1, 0)
    assert Share().is_main

"""Who is lost: the system knows of its own processes, of those elsewhere their silence tells."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch.distributed

from scumble.processes import Share
from scumble.train.watch import SILENCE_SECONDS, Watch
from scumble.train.whereabouts import Whereabouts


@pytest.fixture
def watch():
    """Of process 0 of 2; the other has not said anything yet."""
    return Watch(torch.distributed.HashStore(), Share(0, 2), timeout=5.0)


def test_a_process_that_the_system_has_is_there_however_long_it_is_silent(watch):
    watch.store.set("whereabouts/1", Whereabouts.own().to_json())
    assert not watch.is_gone(1, 100 * SILENCE_SECONDS)


def test_a_process_that_has_endedis_gone_at_once(watch):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = Whereabouts.own()
    import psutil

    there = replace(own, number=child.pid, began=psutil.Process(child.pid).create_time())
    watch.store.set("whereabouts/1", there.to_json())
    assert not watch.is_gone(1, 0.0)
    child.kill()  # it has not been waited for: the system still has its number
    while there.is_running():
        pass
    assert watch.is_gone(1, 0.0)
    child.wait()
    assert watch.is_gone(1, 0.0)
    watch.store.set("left/1", "1")
    assert not watch.is_gone(1, 0.0)  # it had done its part


def test_another_process_of_the_same_number_is_not_it(watch):
    watch.store.set("whereabouts/1", replace(Whereabouts.own(), began=0.0).to_json())
    assert watch.is_gone(1, 0.0)


def test_of_a_process_on_another_system_only_its_silence_tells(watch):
    there = replace(Whereabouts.own(), system="elsewhere")
    assert there.is_running() is None
    watch.store.set("whereabouts/1", there.to_json())
    assert not watch.is_gone(1, SILENCE_SECONDS - 1)
    assert watch.is_gone(1, SILENCE_SECONDS + 1)


def test_one_that_has_not_come_yet_is_lost_by_its_silence_too(watch):
    assert not watch.is_gone(1, SILENCE_SECONDS - 1)
    assert watch.is_gone(1, SILENCE_SECONDS + 1)

"""On a CPU a process keeps what a step frees, and gives it back when a model is done with."""

import subprocess
import sys

import pytest

BLOCK = 64 * 2**20

SCRIPT = f"""
import resource
import psutil
import torch
from scumble.device import release_memory, take_device

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones({BLOCK // 4})
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = [faults() for _ in range(3)][-1]
device = take_device("cpu")
kept = [faults() for _ in range(8)][-1]  # the first ones find no room that fits
held = psutil.Process().memory_info().rss
release_memory(device)
print(usual, kept, held - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_freed_block_serves_the_next_step_until_it_is_given_back() -> None:
    # a process of its own: the allocator of this one has served other tests
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    usual, kept, given_back = map(int, done.stdout.split())
    assert usual > 16  # pages, of 4 KiB or of 2 MiB
    assert kept < usual / 10
    assert given_back > 0.9 * BLOCK

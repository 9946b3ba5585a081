"""What is stated of diffusers and LyCORIS, held against these packages on files of every kind, layer by layer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "other_programs"


@pytest.mark.slow
def test_the_statements_are_what_the_packages_do():
    packages = {"diffusers": "peft", "LyCORIS": "lycoris"}
    for package in packages.values():
        pytest.importorskip(package)
    command = [sys.executable, str(BENCH), "--only", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "✗" not in done.stdout, "\n".join(line for line in done.stdout.splitlines() if "✗" in line)
    for program in packages:
        agreed, of = re.search(rf"- {program}: as stated in (\d+) of (\d+) files", done.stdout).groups()
        assert agreed == of
        assert int(of) > 150

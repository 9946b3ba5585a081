"""What is stated of diffusers and LyCORIS, held against these packages on files of every kind, layer by layer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "other_programs"


@pytest.mark.slow
@pytest.mark.parametrize(("program", "package"), [("diffusers", "peft"), ("LyCORIS", "lycoris")])
def test_the_statement_is_what_the_package_does(program, package):
    pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, str(BENCH), "--only", program], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "✗" not in done.stdout, "\n".join(line for line in done.stdout.splitlines() if "✗" in line)
    agreed, of = re.search(rf"- {program}: as stated in (\d+) of (\d+) files", done.stdout).groups()
    assert agreed == of
    assert int(of) > 150

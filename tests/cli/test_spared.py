"""In the command's process diffusers leaves alone what no command uses through it; everybody else still finds it."""

import subprocess
import sys

PROGRAM = """
import importlib.util, sys
from scumble.cli.spared import UNUSED, spare_unused

there = {name: importlib.util.find_spec(name) is not None for name in UNUSED}
assert there["bitsandbytes"] and there["peft"] and there["scipy"], there
spare_unused()
from diffusers.utils import import_utils
import transformers.utils

assert not import_utils.is_bitsandbytes_available()
assert not import_utils.is_peft_available()
assert not import_utils.is_scipy_available()
assert import_utils.is_accelerate_available()
assert not {"bitsandbytes", "peft"} & set(sys.modules)
assert transformers.utils.is_peft_available()
assert {name: importlib.util.find_spec(name) is not None for name in UNUSED} == there
import scipy
"""


def test_only_diffusers_takes_them_for_not_installed():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr

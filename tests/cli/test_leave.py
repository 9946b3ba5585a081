"""How the command's process ends: with its code, and with nothing left undone."""

import subprocess
import sys

BEGIN = "import atexit, sys, threading, time; from scumble.cli.leave import leave; "


def ended(code):
    return subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, check=False)


def test_what_is_printed_and_registered_is_done_and_the_code_is_the_one_given():
    done = ended("atexit.register(print, 'registered'); sys.stdout.write('printed '); leave(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "printed registered\n", "")


def test_python_is_not_taken_apart():
    code = "class Last:\n def __del__(self): print('freed')\nlast = Last()\nleave(0)"
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}\n{code}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_thread_at_work_is_waited_for():
    code = "threading.Thread(target=lambda: (time.sleep(0.5), print('done'))).start(); leave(4)"
    done = ended(code)
    assert (done.returncode, done.stdout) == (4, "done\n")


def test_a_reader_who_has_gone_is_no_error():
    done = ended("import os; os.close(1); leave(141)")
    assert (done.returncode, done.stderr) == (141, "")

"""Asked to stop by any signal, a real process saves within seconds, ends with the exit code of shells, and can go on."""

import signal
import subprocess
import sys
import time

import pytest
from tests.train.broken_runs import play, results

from scumble.train.checkpoint import list_checkpoints, read_newest_checkpoint

STEPS = 80


@pytest.fixture
def settings(common, tmp_path):
    own = {
        "adapter": {"rank": 4, "dropout": 0.1},
        "data": {"random_flip": True, "cache_dir": tmp_path / "cache"},
        "training": {"max_train_steps": STEPS},
        "validation": {"validation_steps": 20},
        "output": {"name": "r", "checkpointing_steps": 20},
    }
    return lambda **output: common(own, {"output": output})


@pytest.fixture
def whole(settings):
    play(settings())
    return results(settings())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    "signals",
    [[("SIGTERM", 143)], pytest.param([("SIGINT", 130), ("SIGHUP", 129)], marks=pytest.mark.slow)],
    ids=["one", "the others"],
)
def test_every_signal_saves_first_and_a_resumed_run_is_exact(settings, whole, tmp_path, signals):
    config_file = tmp_path / "runs" / "r" / "config.toml"
    for name, code in signals:
        out = tmp_path / name
        command = [sys.executable, "-m", "scumble", "train", "--config", str(config_file), "--output-dir", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        checkpoints, give_up = out / "r" / "checkpoints", time.monotonic() + 120
        while process.poll() is None and not list_checkpoints(checkpoints) and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(0.1)  # a few steps further
        asked = time.time()
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert "stopping after this step" in errors
        assert f"stopped by {name}" in errors
        assert "--resume goes on" in errors
        found = read_newest_checkpoint(checkpoints)
        assert 20 <= found.step < STEPS
        assert found.path.stat().st_mtime - asked < 5
        play(settings(output_dir=out, resume=True))
        assert results(settings(output_dir=out)) == whole

"""Training in several real processes: the same run as one, whoever starts them; and what is left when one dies."""

import json
import os
import signal
import socket
import subprocess
import sys
from time import monotonic, sleep

import pytest
import torch
from safetensors.torch import load_file

from scumble.cli.app import exit_code


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def command(launcher, processes, arguments):
    program = ["-m", "scumble", "train", *arguments]
    if launcher is None:
        return [sys.executable, *program]
    if launcher == "torchrun":
        own = ["--nproc-per-node", str(processes), "--master-port", str(free_port())]
        return [sys.executable, "-m", "torch.distributed.run", *own, *program]
    own = ["--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]  # on a CPU too
    own += ["--num_processes", str(processes), "--main_process_port", str(free_port())]
    return [sys.executable, "-m", "accelerate.commands.launch", *own, *program]


@pytest.fixture
def arguments(tiny_base, photos, tmp_path):
    return [
        str(photos), "--base", str(tiny_base), "--rank", "2", "--train-batch-size", "2", "--device", "cpu",
        "--output-dir", str(tmp_path / "runs"), "--cache-dir", str(tmp_path / "cache"), "--report-to", "none",
        "--checkpointing-steps", "2", "--validation-steps", "3", "--dropout", "0.1", "--random-flip",
    ]  # fmt: skip


def run(launcher, processes, arguments, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(
        command(launcher, processes, arguments),
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def losses(folder, name):
    return torch.tensor(json.loads((folder / name / "history.json").read_text())["history"])


@pytest.mark.parametrize("launcher", ["torchrun", pytest.param("accelerate", marks=pytest.mark.slow)])
def test_two_processes_train_what_one_does(arguments, tmp_path, launcher):
    """The gradient is summed in another order, so to rounding."""
    steps = ["--max-train-steps", "6"]
    assert exit_code(["train", *arguments, *steps, "--gradient-accumulation-steps", "2", "--name", "alone"]) == 0
    folder = tmp_path / "runs"
    expected = load_file(folder / "alone" / "alone.safetensors")
    two = run(launcher, 2, [*arguments, *steps, "--name", launcher])
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("proved:") == 1  # one of them speaks
    assert "2 x 2 pictures in 2 processes" in two.stdout
    torch.testing.assert_close(losses(folder, launcher), losses(folder, "alone"), rtol=1e-5, atol=1e-6)
    found = load_file(folder / launcher / f"{launcher}.safetensors")
    assert set(found) == set(expected)
    for key, tensor in found.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(arguments, tmp_path):
    folder = tmp_path / "runs" / "two"
    first = run("torchrun", 2, [*arguments, "--max-train-steps", "6", "--name", "two"])
    assert first.returncode == 0, first.stderr
    whole = losses(tmp_path / "runs", "two")
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    assert newest.name.endswith("6")
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    one = subprocess.run(
        [sys.executable, "-m", "scumble", "train", "--config", str(folder / "config.toml"), "--resume"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert one.returncode == 0, one.stderr
    assert "going on from step 4" in one.stdout
    torch.testing.assert_close(losses(tmp_path / "runs", "two"), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_more_processes_than_can_share_a_step_are_refused(arguments):
    found = run("torchrun", 2, [*arguments, "--max-train-steps", "2", "--num-processes", "1"])
    assert found.returncode != 0
    assert "2 processes cannot share the 1 batches of a step" in found.stderr


@pytest.mark.slow
def test_when_one_dies_the_other_saves_and_names_it(arguments, tmp_path):
    """Without torchrun, which would end the others itself."""
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            command(None, 1, [*arguments, "--max-train-steps", "5000", "--name", "long"]),
            env={**os.environ, **own, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    journal = tmp_path / "runs" / "long" / "events.jsonl"
    while not (journal.exists() and '"stepped"' in journal.read_text()):
        assert both[0].poll() is None, both[0].communicate()
        sleep(0.2)
    both[1].send_signal(signal.SIGKILL)
    began = monotonic()
    _, said = both[0].communicate(timeout=60)
    assert monotonic() - began < 10
    assert both[0].returncode == 5
    assert "process 1 of 2 on " in said
    assert "does not answer any more" in said
    assert [path.name for path in (tmp_path / "runs" / "long" / "checkpoints").iterdir()]
    both[1].communicate()

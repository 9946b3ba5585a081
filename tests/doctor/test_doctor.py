"""`scumble doctor`: what works is really tried, what fails has a remedy, and nothing is fetched or left behind."""

import importlib.metadata
import json
import socket
from importlib.metadata import requires

import pytest
import torch

from scumble.cli.app import exit_code
from scumble.doctor import extras, machine
from scumble.doctor.finding import Finding, tried
from scumble.doctor.places import look_at_places


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_here_training_can_run_and_every_extra_of_the_tests_works(no_network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert exit_code(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["can_train"] is True
    found = {finding["what"]: finding for finding in told["findings"]}
    broken = {what: finding["text"] for what, finding in found.items() if finding["state"] == "fails"}
    assert broken.keys() <= {"cache", "downloads", "temporary files", "this folder"}  # where there is little room
    assert {"Python", "packages", "torch", "models"} == {what for what in found if found[what]["is_needed"]}
    works = {what for what in found if found[what]["state"] == "works"}
    assert works >= {
        "torch", "4- and 8-bit weights (bitsandbytes)", "WD14 taggers (onnxruntime)", "CLIP's vocabulary (open_clip_torch)",
        "datasets of the hub (pyarrow)", "CLIP score, FID and KID (torchmetrics)",
        "sweeps that choose the next cell (optuna)", "sweeps over several machines (ray)", "optimizer AdamW", "optimizer AdamW8bit", "optimizer Prodigy", "TensorBoard",
    }  # fmt: skip
    assert all(
        finding["remedy"] or finding["what"] == "GPU" for finding in found.values() if finding["state"] != "works"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_lines_say_what_to_do_and_a_broken_torch_ends_with_an_error(monkeypatch, capsys):
    def broken(device, dtype):
        raise RuntimeError("illegal instruction")

    monkeypatch.setattr(machine, "learn_on", broken)
    monkeypatch.setattr("scumble.doctor.run.look_at_extras", lambda: iter(()))
    assert exit_code(["doctor"]) == 1
    out, errors = capsys.readouterr()
    assert "✗ torch: RuntimeError: illegal instruction" in out
    assert "-> pip install --force-reinstall scumble" in out
    assert "training cannot run here: torch" in errors


def test_a_step_that_does_not_learn_is_found_out(monkeypatch):
    machine.learn_on("cpu", torch.float32)
    machine.learn_on("cpu", torch.bfloat16)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)
    with pytest.raises(RuntimeError, match="left the loss at"):
        machine.learn_on("cpu", torch.float32)


def test_a_package_in_another_version_or_missing_is_named(monkeypatch):
    wanted = [line for line in requires("scumble") if "extra ==" not in line]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: [*wanted, "torch>=99", "no-such-package>=1"])
    (finding,) = [finding for finding in machine.look_at_python() if finding.what == "packages"]
    assert finding.state == "fails"
    assert "wanted >=99" in finding.text
    assert "no-such-package is missing" in finding.text


def test_what_is_not_installed_is_missing_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    finding = next(each for each in extras.look_at_extras() if "pyarrow" in each.what)
    assert finding.state == "missing"
    assert finding.remedy == 'pip install "scumble[hub]"'


def test_every_extra_has_a_line(monkeypatch):
    """Each is known by the command that installs it."""
    monkeypatch.setattr(extras, "tried", lambda what, trial, remedy: Finding(what, "missing", "", remedy))
    named = {extra for extra in importlib.metadata.metadata("scumble").get_all("Provides-Extra") if extra != "dev"}
    remedies = " ".join(finding.remedy for finding in extras.look_at_extras())
    assert {extra for extra in named if f"[{extra}]" not in remedies} == set()


def test_a_trial_that_raises_anything_is_told_in_one_line():
    def trial():
        raise OSError("libcuda.so: not found\nand more")

    finding = tried("GPU", trial, "do this")
    assert (finding.state, finding.text, finding.remedy) == ("fails", "OSError: libcuda.so: not found", "do this")


def test_a_gpu_that_torch_is_not_built_for_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *_: "GPU 0: NVIDIA GeForce RTX 3060")
    monkeypatch.setattr(torch.version, "cuda", None)
    (finding,) = [each for each in machine.look_at_torch() if each.what == "GPU"]
    assert "RTX 3060, but this torch is built without CUDA" in finding.text
    assert finding.remedy.startswith("pip install")
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    (finding,) = [each for each in machine.look_at_torch() if each.what == "GPU"]
    assert finding.remedy == machine.DRIVER


def test_a_place_that_cannot_be_written_to_or_is_nearly_full_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert {finding.state for finding in look_at_places()} == {"fails"}
    monkeypatch.undo()
    usage = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    findings = list(look_at_places())
    assert all("1.0 GB free: little" in finding.text for finding in findings)
    assert findings[0].remedy == "make room there, or give another place: --cache-dir FOLDER"

"""A disk that is full or refuses: what lay there before is whole, one line says what to do, and the run can go on."""

import errno
import os
import subprocess
import sys

import pytest
from safetensors.torch import load_file
from tests.train.broken_runs import play, results

from scumble.errors import DiskError
from scumble.train.checkpoint import list_checkpoints, read_newest_checkpoint

resource = pytest.importorskip("resource")  # POSIX only


@pytest.fixture
def settings(common):
    own = {"adapter": {"rank": 4}, "output": {"name": "r", "checkpointing_steps": 1}}
    return lambda **output: common(own, {"output": output})


def refuse_from(monkeypatch, number, code):
    """A disk that refuses, with this error, to sync from the n-th file or folder on."""
    sync, calls = os.fsync, iter(range(1, 100_000))

    def fsync(handle):
        if next(calls) >= number:
            raise OSError(code, os.strerror(code))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize(
    ("number", "code", "advice"),
    [
        (1, errno.EACCES, "allow writing there, or choose another output_dir"),
        (30, errno.ENOSPC, "make room"),
        (41, errno.EROFS, "allow writing there"),
        (47, errno.ENOSPC, "make room"),
    ],
)
def test_what_was_there_is_whole_and_the_run_goes_on_when_there_is_room(
    settings, monkeypatch, tmp_path, number, code, advice
):
    with monkeypatch.context() as refusing, pytest.raises(DiskError, match=rf"cannot write to .*{advice}.*--resume"):
        refuse_from(refusing, number, code)
        play(settings())
    folder = tmp_path / "runs" / "r"
    newest = read_newest_checkpoint(folder / "checkpoints")
    assert newest is None or newest.damaged == ()
    for path in folder.glob("*.safetensors"):
        load_file(path)
    assert not [path for path in folder.rglob(".*") if path.name != ".lock" and "writing" not in path.name]
    assert not list(folder.rglob(".writing*"))
    play(settings(resume=True))
    whole = settings(output_dir=tmp_path / "whole")
    play(whole)
    assert results(settings()) == results(whole)


def test_the_picture_of_the_curves_stays_whole(settings, monkeypatch, tmp_path):
    from PIL import Image

    play(settings(), until=2)
    curves = tmp_path / "runs" / "r" / "curves.png"
    before = curves.read_bytes()
    refuse_from(monkeypatch, 1, errno.ENOSPC)
    with pytest.raises(DiskError):
        play(settings(resume=True))
    assert curves.read_bytes() == before
    Image.open(curves).verify()


@pytest.mark.slow
def test_a_process_that_may_write_no_large_file_ends_in_one_line(tiny_base, photos, tmp_path):
    """A limit of the system itself: writing goes on to the limit, then fails in the middle of a file."""
    command = [
        sys.executable, "-m", "scumble", "train", str(photos), "--base", str(tiny_base), "--rank", "16", "--name", "r",
        "--max-train-steps", "3", "--checkpointing-steps", "1", "--output-dir", str(tmp_path / "runs"),
        "--cache-dir", str(tmp_path / "cache"), "--report-to", "none", "--device", "cpu",
    ]  # fmt: skip
    limit = 100_000  # the sheet and the latents fit, the adapter's checkpoint does not

    def less_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=less_room)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "File too large" in line
    assert "make room" in line
    assert not list((tmp_path / "runs").rglob("r*.safetensors"))
    assert list_checkpoints(tmp_path / "runs" / "r" / "checkpoints") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_named(settings, tmp_path):
    (tmp_path / "runs").mkdir(mode=0o500)
    with pytest.raises(DiskError, match="allow writing there"):
        play(settings())

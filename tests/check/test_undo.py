"""Taking back what was put in order, whatever the names are, and wherever the process ended."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from scumble.check.journal import JOURNAL
from scumble.cli.app import exit_code

ODD_NAMES = ["a\u2028b.pdf", "a\u0085b\x0c.pdf", "花.pdf", "a\nb.pdf", '"a".pdf']


@pytest.fixture
def folder(tmp_path, photographs):
    """A picture, whose caption is not clean, and a file that is none."""
    folder = tmp_path / "set"
    folder.mkdir()
    photographs[0].save(folder / "a.png")
    (folder / "a.txt").write_bytes(b"  a   temple ")
    (folder / "other.pdf").write_bytes(b"x")
    return folder


@pytest.fixture
def aside(folder):
    return folder.with_name("set-aside")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fix_and_undo(folder):
    return [exit_code(["check", str(folder), flag]) for flag in ("--fix", "--undo")]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_can_be_taken_back(folder, aside, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (folder / name).write_bytes(b"y")
    before = contents(folder)
    assert fix_and_undo(folder) == [0, 0]
    assert contents(folder) == before
    assert not aside.exists()


def test_a_line_that_was_cut_short_is_an_act_that_never_began(check, folder, aside):
    before = contents(folder)
    check(folder, "--fix")
    journal = aside / JOURNAL
    whole = journal.read_bytes()
    for end in (b'{"kind": "moved", "pa', json.dumps({"kind": "moved"}).encode(), "花".encode()[:2]):
        journal.write_bytes(whole + end)
        assert check(folder, "--fix")[0] == 0
        assert journal.read_bytes() == whole
    journal.write_bytes(whole + b'{"kind"')
    assert check(folder, "--undo")[0] == 0
    assert contents(folder) == before


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", '"x"', '{"kind": "moved"}', '{"kind": "eaten", "path": "a", "aside": "a"}']
)
def test_a_line_that_is_not_ours_is_named_and_nothing_is_touched(check, folder, aside, capsys, line):
    check(folder, "--fix")
    journal = aside / JOURNAL
    journal.write_text(f"{line}\n{journal.read_text()}", encoding="utf-8")
    before = contents(folder)
    assert exit_code(["check", str(folder), "--undo"]) == 1
    assert "journal.jsonl: line 1 is none that check wrote" in capsys.readouterr().err.replace("\n", " ")
    assert contents(folder) == before


def test_an_end_within_the_copying_of_a_caption_loses_nothing(check, folder, aside, monkeypatch):
    before = contents(folder)

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", broken)
        assert exit_code(["check", str(folder), "--fix"]) == 1
    assert (aside / JOURNAL).read_text().count("\n") == 2
    assert not (aside / "a.txt").exists()
    assert exit_code(["check", str(folder), "--undo"]) == 0
    assert contents(folder) == before


def test_an_end_between_the_copy_of_a_caption_and_its_writing_is_taken_back(check, folder, aside):
    before = contents(folder)
    check(folder, "--fix")
    (folder / "a.txt").write_bytes(before["a.txt"])
    assert check(folder, "--undo")[0] == 0
    assert contents(folder) == before


def test_files_move_to_another_disk_whole(check, folder, aside, monkeypatch):
    before, rename = contents(folder), Path.rename

    def to_another_disk(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))

    monkeypatch.setattr(Path, "rename", to_another_disk)
    check(folder, "--fix")
    assert (aside / "other.pdf").read_bytes() == b"x"
    assert not (folder / "other.pdf").exists()
    monkeypatch.setattr(Path, "rename", rename)
    (folder / "other.pdf").write_bytes(b"x")  # as where the process ended before it was removed
    assert check(folder, "--undo")[0] == 0
    assert contents(folder) == before


def test_what_the_person_put_aside_stays_there(check, folder, aside):
    check(folder, "--fix")
    (aside / "mine.txt").write_text("mine")
    check(folder, "--undo")
    assert contents(aside) == {"mine.txt": b"mine"}


def test_undo_says_what_is_back_and_ends_well_whatever_the_captions_are(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "a.txt").unlink()
    assert exit_code(["check", str(folder), "--trigger", "sks", "--fix"]) == 0
    capsys.readouterr()
    assert exit_code(["check", str(folder), "--undo"]) == 0
    said = capsys.readouterr().out
    assert "other.pdf is as it was" in said
    assert "usable" not in said
    assert exit_code(["check", str(folder), "--undo"]) == 1
    assert "nothing is known that could be taken back" in capsys.readouterr().err.replace("\n", " ")


def test_undo_as_json_gives_no_verdict(check, folder):
    check(folder, "--fix")
    code, found = check(folder, "--undo")
    assert (code, found["usable"], found["problems"], found["report"]) == (0, None, [], None)
    assert {act["reason"] for act in found["fixed"]} == {"not a picture", "written as one clean line"}

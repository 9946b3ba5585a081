"""A folder of many pictures is understood with work that grows with their number, not with its square."""

import sys

import pytest

from scumble.data.layouts.plain import find_flat


def calls_for(folder, count):
    """How many functions are called, those of the interpreter among them: as many on every machine."""
    folder.mkdir()
    for index in range(count):
        (folder / f"{index}.png").touch()
    calls = 0

    def note(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        found = find_flat(folder)
    finally:
        sys.setprofile(None)
    assert len(found.pictures) == count
    return calls


def test_sixteen_times_the_files_take_sixteen_times_the_calls(tmp_path):
    few, many = calls_for(tmp_path / "few", 125), calls_for(tmp_path / "many", 2000)
    assert few > 125
    assert many / few == pytest.approx(16, rel=0.1)

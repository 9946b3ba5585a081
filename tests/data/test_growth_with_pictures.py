"""A folder of many pictures is understood in time that grows with their number, not with its square."""

import time

from scumble.data.layouts.plain import find_flat


def seconds_for(folder, count):
    folder.mkdir()
    for index in range(count):
        (folder / f"{index}.png").touch()
    began = time.process_time()
    assert len(find_flat(folder).pictures) == count
    return time.process_time() - began


def test_sixteen_times_the_files_take_no_more_than_some_sixteen_times_as_long(tmp_path):
    few, many = seconds_for(tmp_path / "few", 500), seconds_for(tmp_path / "many", 8000)
    assert many / few < 64, "by the square it would be 256 times"

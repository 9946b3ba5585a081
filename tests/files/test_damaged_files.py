"""Damaged and hostile files: an error that can be read, or a LoRA that is whole; never much memory."""

import json
import os
import struct
import sys

import pytest
from mutations import LAYER_PATHS, MUTATIONS, try_mutated, whole_files

from scumble.errors import LoraFileError
from scumble.files.places import SETTINGS, WEIGHTS
from scumble.files.read import read_lora

MOST_BYTES_OVER = 100e6
HEADER = 8 * 2**20 - 400


def test_two_thousand_mutated_files_are_read_whole_or_refused(tmp_path):
    found = try_mutated(whole_files(), 2000, 0, tmp_path)
    assert sum(map(sum, found.values())) == 2000
    assert len(found) == len(MUTATIONS) == 8
    assert all(refused > 20 for _, refused in found.values())
    assert sum(read for read, _ in found.values()) > 200  # the damage goes deeper than the container


def test_the_files_that_are_damaged_are_whole_to_begin_with(tmp_path):
    from mutations import _write_settings

    files = whole_files()
    assert len(files) > 30
    for file in files:
        (tmp_path / WEIGHTS).write_bytes(file)
        _write_settings(file, tmp_path / SETTINGS)
        assert read_lora(tmp_path / WEIGHTS, LAYER_PATHS).layers


def _file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    return struct.pack("<Q", len(text)) + text + data


def _at(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _settings(text):
    tensors = {
        "unet.conv_out.lora_A.weight": _at(0, 8, [1, 2]),
        "unet.conv_out.lora_B.weight": _at(8, 16, [2, 1]),
    }
    return _file({"__metadata__": {"lora_adapter_metadata": text}, **tensors}, bytes(16))


HOSTILE = {
    "lists": lambda: _file(b'{"a":[' + b"[]," * (HEADER // 3) + b"1]}"),
    "lists, few enough": lambda: _file(b'{"a":[' + b"[]," * 240_000 + b"1]}"),
    "objects, few enough": lambda: _file(b'{"a":[' + b"{}," * 240_000 + b"1]}"),
    "fractions, few enough": lambda: _file(b'{"a":[' + b"1.5," * 490_000 + b"1]}"),
    "texts, few enough": lambda: _file(b'{"a":[' + b'"abc",' * 240_000 + b"1]}"),
    "many tensors": lambda: _file(
        {f"lora_unet_{i:x}.alpha": _at(4 * i, 4 * i + 4, [1] * 8) for i in range(20_000)}, bytes(80_000)
    ),
    "too many tensors": lambda: _file({f"{i:x}": {} for i in range(160_000)}),
    "empty tensors": lambda: _file({f"lora_unet_{i:x}.lora_up.weight": _at(0, 0, [0]) for i in range(20_000)}),
    "much metadata": lambda: _file({"__metadata__": {f"𝄞{i:x}": "𝄞𝄞" for i in range(160_000)}}),
    "a wide character in a long text": lambda: _file({"__metadata__": {"x": "a" * HEADER + "𝄞"}}),
    "a wide character in a long name": lambda: _file({"a" * HEADER + "𝄞": _at(0, 4, [1])}, bytes(4)),
    "a text that does not end": lambda: _file(b'{"' + b'\\"' * (HEADER // 2)),
    "brackets without end": lambda: _file(b'{"a":' + b"[" * 400_000),
    "lists in settings": lambda: _settings('{"unet.lora_alpha":[' + "[]," * 240_000 + "1]}"),
    "many settings": lambda: _settings("{" + ",".join(f'"unet.{i:x}":1.5' for i in range(110_000)) + "}"),
    "a wide character in settings": lambda: _settings('{"x":"' + "a" * (2**21 - 20) + '𝄞"}'),
    "a wide character in too long settings": lambda: _settings('{"x":"' + "a" * HEADER + '𝄞"}'),
    "many patterns": lambda: _settings(
        '{"unet.lora_alpha":1,"unet.alpha_pattern":{' + ",".join(f'"{i:x}":1.5' for i in range(110_000)) + "}}"
    ),
    "8-bit numbers": lambda: _file(
        {"unet.x.lora_A.weight": _at(0, 60_000_000, [60_000_000], "F8_E4M3")}, bytes(60_000_000)
    ),
    "16-bit numbers": lambda: _file(
        {"unet.x.lora_A.weight": _at(0, 60_000_000, [30_000_000], "F16")}, bytes(60_000_000)
    ),
}


def _status(name):
    with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123 - not a file, and read in a fork
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _bytes_over(path):
    """How much more memory than the file's size reading takes, measured in a process of its own."""
    to_parent, from_child = os.pipe()
    child = os.fork()
    if child == 0:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:  # noqa: PTH123
            peak.write("5")
        before = _status("VmRSS")
        try:
            read_lora(path, LAYER_PATHS)
            said = "read"
        except LoraFileError as error:
            said = f"refused {len(str(error))}"
        except BaseException as error:  # noqa: BLE001 - a fork must not run the rest of the tests
            said = f"failed {error!r:.200}"
        os.write(from_child, json.dumps([said, _status("VmHWM") - before - path.stat().st_size]).encode())
        os._exit(0)
    os.close(from_child)
    with os.fdopen(to_parent, "rb") as stream:
        said, over = json.loads(stream.read())
    os.waitpid(child, 0)
    return said, over


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is measured as Linux tells it")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_takes_no_more_memory_than_its_size_and_a_hundred_megabytes(kind, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(HOSTILE[kind]())
    said, over = _bytes_over(path)
    print(kind, said, f"{over / 1e6:.1f} MB over its {path.stat().st_size / 1e6:.1f} MB")  # pytest -s shows the figures
    assert said == "read" or (said.startswith("refused") and int(said.split()[1]) < 1500)
    assert over < MOST_BYTES_OVER

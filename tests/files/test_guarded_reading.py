import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from scumble.errors import LoraFileError
from scumble.files import guard
from scumble.files.guard import read_metadata, read_safetensors

GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def _file(header, data: bytes = bytes(8), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _with(**changes):
    return {"a": {**GOOD["a"], **changes}}


MALFORMED = {
    "empty": b"",
    "seven bytes": b"\x02" + bytes(6),
    "length only": struct.pack("<Q", 2),
    "length zero": _file(b"", length=0),
    "length beyond the file": _file(GOOD, length=10_000),
    "length of 2^64 - 1": b"\xff" * 8 + b"{}",
    "length of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "cut in the header": _file(GOOD)[:30],
    "cut in the data": _file(GOOD)[:-1],
    "a byte too many": _file(GOOD) + b"\0",
    "not UTF-8": _file(b'{"\xff\xfe": 1}'),
    "not JSON": _file(b"{nonsense}"),
    "JSON cut": _file(b'{"a": {"dtype"'),
    "JSON nested without end": _file(b'{"a":' + b"[" * 100_000),
    "a list": _file([]),
    "a string": _file('"abc"'),
    "a number of many digits": _file(b'{"a": ' + b"9" * 5000 + b"}"),
    "tensor twice": _file(b'{"a": %b, "a": %b}' % ((json.dumps(GOOD["a"]).encode(),) * 2)),
    "dtype twice": _file(b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'),
    "metadata twice": _file(b'{"__metadata__": {"x": "1", "x": "2"}}', b""),
    "metadata a list": _file({"__metadata__": [], **GOOD}),
    "metadata null": _file({"__metadata__": None, **GOOD}),
    "metadata a number": _file({"__metadata__": {"ss_steps": 3}, **GOOD}),
    "metadata an object": _file({"__metadata__": {"ss": {}}, **GOOD}),
    "tensor a list": _file({"a": []}),
    "tensor null": _file({"a": None}),
    "no dtype": _file({"a": {"shape": [2], "data_offsets": [0, 8]}}),
    "something else in it": _file(_with(surprise=1)),
    "unknown dtype": _file(_with(dtype="F12")),
    "complex dtype": _file(_with(dtype="C64", shape=[1])),
    "dtype a number": _file(_with(dtype=32)),
    "dtype a list": _file(_with(dtype=["F32"])),
    "shape a number": _file(_with(shape=2)),
    "shape negative": _file(_with(shape=[-2])),
    "shape twice negative": _file(_with(shape=[-1, -2])),
    "shape of fractions": _file(_with(shape=[2.0])),
    "shape of booleans": _file(_with(shape=[True, 2])),
    "shape of strings": _file(_with(shape=["2"])),
    "shape beyond 64 bits": _file(_with(shape=[2**64])),
    "an empty shape beyond 64 bits": _file({"a": {**GOOD["a"], "shape": [0, 2**62, 4], "data_offsets": [0, 0]}}, b""),
    "too many values": _file(b'{"a": [' + b"1," * 500_001 + b"1]}"),
    "a header longer than any": _file(b'{"a": "' + b"x" * guard.MAX_HEADER_BYTES + b'"}'),
    "metadata name of another kind": _file({"__metadata__": {"a": None}, **GOOD}),
    "text after the object": _file(json.dumps(GOOD).encode() + b"x"),
    "shape whose product overflows to fit": _file(_with(shape=[2**62, 2, 2, 2])),
    "nine dimensions": _file(_with(shape=[1] * 8 + [2])),
    "offsets of one": _file(_with(data_offsets=[8])),
    "offsets swapped": _file(_with(data_offsets=[8, 0])),
    "offsets negative": _file(_with(data_offsets=[-8, 0])),
    "offsets beyond the data": _file(_with(data_offsets=[8, 16])),
    "offsets NaN": _file(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [NaN, 8]}}'),
    "size does not fit the shape": _file(_with(shape=[3])),
    "a gap before": _file({"a": {**GOOD["a"], "data_offsets": [4, 12]}}, bytes(12)),
    "overlap": _file({**GOOD, "b": {**GOOD["a"], "data_offsets": [4, 12]}}, bytes(12)),
    "the same bytes twice": _file({**GOOD, "b": GOOD["a"]}),
    "data that no tensor has": _file({}, bytes(8)),
    "a web page": b"<!DOCTYPE html><html>Log in</html>",
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "a zip": b"PK\x03\x04" + bytes(60),
    "a pickle": b"\x80\x02}q\x00." + bytes(60),
    "a JSON text": b'{"error": "not found"}',
    "NaN": _file(GOOD, struct.pack("<2f", 1.0, float("nan"))),
    "infinity": _file(GOOD, struct.pack("<2f", 1.0, float("inf"))),
    "infinity in bfloat16": _file(_with(dtype="BF16", shape=[4]), b"\x80\x7f" * 4),
    "NaN in 8 bits": _file(_with(dtype="F8_E4M3", shape=[8]), b"\x7f" * 8),
}


def test_no_two_malformed_files_are_the_same():
    assert len(set(MALFORMED.values())) == len(MALFORMED) >= 44


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_is_a_lora_file_error(kind, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(MALFORMED[kind])
    with pytest.raises(LoraFileError, match=r"bad\.safetensors: "):
        read_safetensors(path)


def test_a_file_cut_anywhere_is_a_lora_file_error(tmp_path):
    save_file({"a": torch.ones(2, 3), "b": torch.ones(1)}, tmp_path / "a.safetensors", {"x": "y"})
    whole = (tmp_path / "a.safetensors").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        with pytest.raises(LoraFileError):
            read_safetensors(tmp_path / "cut.safetensors")


def test_random_damage_to_the_header_is_read_right_or_refused(tmp_path):
    save_file({"a": torch.ones(2, 3), "b": torch.ones(1)}, tmp_path / "a.safetensors", {"x": "y"})
    whole = (tmp_path / "a.safetensors").read_bytes()
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(whole)
        position, value = torch.randint(0, 2**16, (2,), generator=generator).tolist()
        damaged[position % len(whole)] = value % 256
        (tmp_path / "damaged.safetensors").write_bytes(damaged)
        try:
            read_safetensors(tmp_path / "damaged.safetensors")
        except LoraFileError:
            refused += 1
    assert refused > 250


def test_too_many_tensors_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "MAX_TENSORS", 2)
    save_file({name: torch.ones(1) for name in "abc"}, tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match="found 3 tensors, expected 2 or fewer"):
        read_safetensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin", ".PTH", ".pkl"])
def test_a_pickle_is_not_opened(suffix, tmp_path):
    with pytest.raises(LoraFileError, match=r"can run any program.*'scumble convert .* --out a\.safetensors' makes it"):
        read_safetensors(tmp_path / f"a{suffix}")


def test_what_is_not_there_or_not_a_file_is_said(tmp_path):
    with pytest.raises(LoraFileError, match="there is no such file"):
        read_safetensors(tmp_path / "none.safetensors")
    with pytest.raises(LoraFileError, match="found a folder"):
        read_safetensors(tmp_path)
    with pytest.raises(LoraFileError):
        read_safetensors("a\0b.safetensors")


@pytest.mark.parametrize("dtype", list(guard.DTYPES.values()), ids=list(guard.DTYPES))
def test_every_number_format_is_read_as_the_library_reads_it(dtype, tmp_path):
    path = tmp_path / "图 with space.safetensors"
    save_file({"a": torch.tensor([[0.0, 1.0], [1.0, 0.0]]).to(dtype), "scalar": torch.tensor(1.0)}, path, {"k": "值"})
    tensors, metadata = read_safetensors(path)
    assert metadata == read_metadata(path) == {"k": "值"}
    for name, expected in load_file(path).items():
        assert tensors[name].dtype == expected.dtype
        assert torch.equal(tensors[name].double(), expected.double())


def test_long_names_make_no_long_messages(tmp_path):
    long = "x" * 100_000
    path = tmp_path / "a.safetensors"
    for content in (
        _file({long: GOOD["a"] | {"dtype": long}}),
        _file({long: GOOD["a"] | {"shape": [3] * 5000}}),
        _file(f'{{"{long}": 1, "{long}": 1}}'.encode()),
        _file({"__metadata__": {long: 1}}),
        _file({long: GOOD["a"]}, struct.pack("<2f", 1.0, float("nan"))),
    ):
        path.write_bytes(content)
        with pytest.raises(LoraFileError) as error:
            read_safetensors(path)
        assert len(str(error.value)) < 700


def test_metadata_is_read_without_the_numbers(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(_file({"__metadata__": {"k": "v"}, **GOOD}, struct.pack("<2f", 1.0, float("nan"))))
    assert read_metadata(path) == {"k": "v"}
    path.write_bytes(MALFORMED["cut in the data"])
    with pytest.raises(LoraFileError):
        read_metadata(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("not found", "a text"),
        ("hi", "a text"),
        ("Größe und Übermaß " * 9, "a text"),
        ("<!DOCTYPE html>", "a web page"),
        ("\n  <html>", "a web page"),
        ('{"error": "login"}', "a JSON text"),
    ],
)
def test_a_text_under_the_name_of_a_lora_is_said_to_be_one(content, kind, tmp_path):
    (tmp_path / "a.safetensors").write_text(content, encoding="utf-8")
    with pytest.raises(LoraFileError, match=f"found {kind}.*expected a safetensors file"):
        read_safetensors(tmp_path / "a.safetensors")

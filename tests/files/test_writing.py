import hashlib
import os

import pytest
import safetensors.torch
import torch

from scumble.errors import LoraFileError
from scumble.files.atomic import whole_folder, write_atomically
from scumble.files.encode import encode, with_hashes
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora, write_lora


def _hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_the_same_content_gives_the_same_file_whatever_its_order(format, lora, tmp_path):
    metadata = {f"ss_{number}": str(number) for number in range(20)}
    backwards = LoraFile(dict(reversed(lora.layers.items())), dict(reversed(metadata.items())))
    write_lora(LoraFile(lora.layers, metadata), tmp_path / "a.safetensors", format)
    write_lora(backwards, tmp_path / "b.safetensors", format)
    assert _hash_of(tmp_path / "a.safetensors") == _hash_of(tmp_path / "b.safetensors")


def test_writing_what_was_read_gives_the_same_file(lora, layer_paths, tmp_path):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        write_lora(lora, tmp_path / "a.safetensors", dtype=dtype)
        write_lora(read_lora(tmp_path / "a.safetensors", layer_paths), tmp_path / "b.safetensors")
        assert _hash_of(tmp_path / "a.safetensors") == _hash_of(tmp_path / "b.safetensors")


def test_tensor_bytes_lie_as_the_safetensors_library_lays_them(lora, tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "b": torch.randn(3, 2, generator=generator),
        "a": torch.randn(5, generator=generator).half(),
        "c": torch.tensor(1.5),
        "d": torch.randn(4, 6, generator=generator).t(),
        "e": torch.zeros(3, dtype=torch.uint8),
        "f": torch.zeros(2, dtype=torch.float64),
    }
    theirs = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"k": '"值"'})
    ours = encode(tensors, {"k": '"值"'})
    assert ours == theirs


def test_the_header_begins_as_the_webui_expects(lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    assert content[8:10] == b'{"'
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_the_hash_in_the_file_is_the_one_the_webui_computes(lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", dtype=torch.float16)
    with (tmp_path / "a.safetensors").open("rb") as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        webui = hashlib.sha256(stream.read()).hexdigest()
    metadata = read_metadata(tmp_path / "a.safetensors")
    assert metadata["sshs_model_hash"] == webui
    assert metadata["modelspec.hash_sha256"] == "0x" + webui


def test_the_legacy_hash_is_the_one_sd_scripts_computes():
    big = {"lora_unet_x.lora_down.weight": torch.arange(400_000, dtype=torch.float32)}
    metadata = {"ss_steps": "7", "modelspec.title": "not part of it"}
    content = safetensors.torch.save(big, {"ss_steps": "7"})
    expected = hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
    assert with_hashes(big, metadata)["sshs_legacy_hash"] == expected != "e3b0c442"
    assert with_hashes({"x": torch.ones(1)}, metadata)["sshs_legacy_hash"] == "e3b0c442"


def test_the_tensor_hash_does_not_depend_on_metadata(lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    write_lora(LoraFile(lora.layers, {"ss_steps": "9"}), tmp_path / "b.safetensors")
    hashes = [read_metadata(tmp_path / f"{name}.safetensors")["sshs_model_hash"] for name in "ab"]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_written(bad, tmp_path):
    down = torch.ones(2, 4)
    down[1, 2] = bad
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"before")
    with pytest.raises(LoraFileError, match="1 of 3 tensors have numbers that are not finite"):
        write_lora(LoraFile({"unet.x": LoraLayer("lora", {"down": down, "up": torch.ones(4, 2)}, 2, 1.0)}), path)
    assert path.read_bytes() == b"before"


def test_a_number_too_large_for_half_precision_is_not_written(tmp_path):
    layer = LoraLayer("lora", {"down": torch.full((2, 4), 1e5), "up": torch.ones(4, 2)}, 2, 1.0)
    with pytest.raises(LoraFileError, match="not written, in float16"):
        write_lora(LoraFile({"unet.x": layer}), tmp_path / "a.safetensors", dtype=torch.float16)


def test_a_folder_that_is_not_there_is_an_error(lora, tmp_path):
    with pytest.raises(LoraFileError, match="cannot be written"):
        write_lora(lora, tmp_path / "none" / "a.safetensors")


def test_a_name_that_is_not_utf8_does_not_stop_the_saving(lora, tmp_path):
    write_lora(LoraFile(lora.layers, {"ss_output_name": "a\udcffb"}), tmp_path / "a.safetensors")
    assert read_metadata(tmp_path / "a.safetensors")["ss_output_name"] == "a?b"


def test_an_interrupted_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def disk_full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named_and_not_the_temporary_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "a.bin", tmp_path / "file" / "a.bin", tmp_path / "folder"):
        with pytest.raises(OSError) as caught:
            write_atomically(path, b"new")
        assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, whole_folder(tmp_path / "nowhere" / "out"):
        pass
    assert caught.value.filename == str(tmp_path / "nowhere" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_about_another_file_names_that_one(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_folder(tmp_path / "out"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")
    assert list(tmp_path.iterdir()) == []


def test_a_write_replaces_the_whole_file_under_any_name(tmp_path):
    path = tmp_path / ("图" * 80 + ".safetensors")
    write_atomically(path, b"a longer old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask for files")
def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644

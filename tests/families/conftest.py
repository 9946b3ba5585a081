"""Bases as single files: narrow ones with CLIP's own vocabulary, written with the original names."""

import json
import socket

import original
import pytest

from bases import write_base, write_sd2_base, write_sdxl_base
from scumble.families.shapes import known_as


@pytest.fixture
def no_network(monkeypatch):
    """Whoever connects to anything is an error, not a wait."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache on a machine without network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


def write_sd1_base(folder, seed, is_clip_sized):
    return write_base(folder, (16, 32, 64, 64), 2, 32, 8, seed, is_clip_sized)


WRITERS = {
    "sd1": (write_sd1_base, original.SD1, dict),
    "sd2": (write_sd2_base, original.SD2, original.with_a_24th_layer),
    "sdxl": (write_sdxl_base, original.SDXL, dict),
}


@pytest.fixture(scope="session")
def clip_sized(tmp_path_factory):
    """Family -> a narrow pipeline folder with CLIP's own vocabulary, and its tensors under the original names."""
    made = {}
    for family, (write, text_parts, finish) in WRITERS.items():
        folder = write(tmp_path_factory.mktemp("clip-sized") / family, seed=4, is_clip_sized=True)
        made[family] = folder, finish(original.tensors_of(folder, text_parts))
    return made


@pytest.fixture
def narrow_configs(clip_sized, tmp_path, monkeypatch):
    """The settings that ship for the published sizes, exchanged for those of the narrow bases."""
    known_as({})  # whose layers are in a table is read once, here at the latest: of what ships
    place = tmp_path / "configs"
    for family, (folder, _) in clip_sized.items():
        (place / family).mkdir(parents=True)
        for part, values in original.configs_of(folder).items():
            if part == "scheduler":
                values = {**values, "prediction_type": "epsilon"}
            (place / family / f"{part}.json").write_text(json.dumps(values))
    monkeypatch.setattr("scumble.families.checkpoint.CONFIGS", place)
    return place


@pytest.fixture
def checkpoint(clip_sized, narrow_configs, tmp_path):
    """Writes a family's checkpoint file, with metadata and marks, and some tensors exchanged or left out (None)."""

    def write(family, name="model", metadata=None, marks=(), changes=None):
        tensors = {**clip_sized[family][1], **(changes or {})}
        kept = {key: tensor for key, tensor in tensors.items() if tensor is not None}
        return original.write_checkpoint(tmp_path / f"{name}.safetensors", kept, metadata, marks)

    return write

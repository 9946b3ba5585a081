"""Files that other programs wrote, kept in tests/golden; make_golden.py there made them and the expected changes."""

import json
from pathlib import Path

import pytest
from kinds import weight_of
from safetensors.torch import load_file

from scumble.files.read import read_lora, write_lora

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = ["lycoris-kohya", "diffusers-settings", "diffusers-lora-down", "scumble-kohya", "scumble-diffusers"]
ALGORITHMS = [
    "lycoris-loha",
    "lycoris-loha-tucker-dora",
    "lycoris-lokr",
    "lycoris-lokr-dora-inputs",
    "lycoris-locon-tucker",
    "lycoris-dora",
    "peft-dora",
    "peft-loha",
    "peft-lokr",
]


@pytest.fixture(scope="module")
def layer_paths():
    return {"unet": json.loads((GOLDEN / "layers.json").read_text(encoding="utf-8"))}


def _expected(name):
    changes = load_file(GOLDEN / "expected.safetensors")
    return {key.partition("/")[2]: change for key, change in changes.items() if key.startswith(name + "/")}


def test_every_golden_file_is_tried():
    found = {path.stem for path in GOLDEN.glob("*.safetensors")} | {path.name for path in GOLDEN.glob("peft-*")}
    assert found == {*FILES, *ALGORITHMS, "scumble-algorithms", "expected", "expected-algorithms"}


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_means_here_what_it_means_to_its_writer(name, layer_paths, delta):
    layers = read_lora(GOLDEN / f"{name}.safetensors", layer_paths).part("unet")
    expected = _expected(name)
    assert set(layers) == set(expected)
    assert len(layers) == 32
    for path, layer in layers.items():
        change = expected[path].double()
        assert change.norm() > 0.01
        assert (delta(layer).double() - change).norm() / change.norm() < 2e-3  # half precision


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_golden_layer_weighs_here_what_it_weighs_to_its_writer(name, layer_paths):
    path = GOLDEN / name if name.startswith("peft") else GOLDEN / f"{name}.safetensors"
    layers = read_lora(path, layer_paths).part("unet")
    weights = load_file(GOLDEN / "expected-algorithms.safetensors")
    assert len(layers) == 4
    for path, layer in layers.items():
        base, expected = weights[f"base/{path}"], weights[f"{name}/{path}"].double()
        change = (expected - base).norm()
        assert change / base.norm() > 0.1
        assert (weight_of(layer, base) - expected).norm() / change < 1e-5


def test_scumble_still_writes_other_algorithms_to_the_byte(layer_paths, tmp_path):
    golden = GOLDEN / "scumble-algorithms.safetensors"
    read = read_lora(golden, layer_paths)
    kinds = [(layer.algorithm, "magnitude" in layer.tensors) for _, layer in sorted(read.layers.items())]
    assert kinds == [("lora", True), ("lokr", True), ("loha", False), ("lora", False)]
    write_lora(read, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_scumble_still_writes_its_golden_file_to_the_byte(format, layer_paths, tmp_path):
    golden = GOLDEN / f"scumble-{format}.safetensors"
    write_lora(read_lora(golden, layer_paths), tmp_path / "a.safetensors", format)
    assert (tmp_path / "a.safetensors").read_bytes() == golden.read_bytes()

"""LyCORIS's own modules beside ours: a layer of its making, read here, runs as it runs there; and the other way round.

What is compared is the layer's answer, not LyCORIS's `get_diff_weight`, which applies alpha / r twice for LoHa and LoKr.
"""

import pytest
import torch
from kinds import random_layer, weight_of
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

modules = pytest.importorskip("lycoris.modules")

LAYERS = {
    "linear": lambda: nn.Linear(12, 20),
    "square": lambda: nn.Linear(16, 16),
    "1x1": lambda: nn.Conv2d(8, 12, 1),
    "3x3": lambda: nn.Conv2d(8, 12, 3, padding=1),
}
MADE = {
    "lora": ("LoConModule", {}),
    "tucker": ("LoConModule", {"use_tucker": True}),
    "loha": ("LohaModule", {}),
    "loha tucker": ("LohaModule", {"use_tucker": True}),
    "lokr": ("LokrModule", {}),
    "lokr tucker": ("LokrModule", {"use_tucker": True}),
    "lokr split twice": ("LokrModule", {"decompose_both": True}),
    "lokr whole": ("LokrModule", {"full_matrix": True}),
}
DORA = {
    None: {},
    "output": {"weight_decompose": True, "wd_on_out": True},
    "input": {"weight_decompose": True, "wd_on_out": False},
}
NAME, PATH = "lora_unet_block_layer", "block.layer"
CASES = [
    (kind, place, dora, rank)
    for kind in MADE
    for place in LAYERS
    for dora in DORA
    for rank in (1, 3)
    if "tucker" not in kind or place == "3x3"
]


@pytest.fixture
def layer_of():
    def made(place):
        torch.manual_seed(len(place))
        return LAYERS[place]().requires_grad_(False)

    return made


def _input(layer):
    size = (2, 7, layer.in_features) if isinstance(layer, nn.Linear) else (2, layer.in_channels, 5, 5)
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def _run(layer, weight, x):
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight.float(), layer.bias)
    return functional.conv2d(x, weight.float(), layer.bias, padding=layer.padding)


def _assert_same(ours, theirs, plain):
    assert (theirs - plain).norm() / plain.norm() > 0.02
    assert (ours - theirs).norm() / (theirs - plain).norm() < 1e-5


def test_there_are_cases_of_every_kind():
    assert len(CASES) == (5 * 4 + 3) * 3 * 2


@pytest.mark.parametrize("kind", MADE)
def test_what_lycoris_makes_runs_here_as_it_does_there(kind, layer_of, tmp_path):
    tried = 0
    for _, place, dora, rank in (case for case in CASES if case[0] == kind):
        layer = layer_of(place)
        name, arguments = MADE[kind]
        module = getattr(modules, name)(NAME, layer, 1, rank, 1.75, **arguments, **DORA[dora])
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(0.5 + torch.rand_like(parameter))
        save_file(
            {f"{NAME}.{key}": value.contiguous() for key, value in module.state_dict().items()},
            tmp_path / "a.safetensors",
        )
        ours = read_lora(tmp_path / "a.safetensors", {"unet": [PATH]}).layers[f"unet.{PATH}"]
        assert ("magnitude" in ours.tensors) == (dora is not None)
        x = _input(layer)
        with torch.no_grad():
            _assert_same(_run(layer, weight_of(ours, layer.weight), x), module(x), layer(x))
        tried += 1
    assert tried == (6 if "tucker" in kind else 24)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "lokr tucker"])  # which LyCORIS cannot load again
def test_lycoris_runs_what_is_written_here_as_it_was_meant(kind, layer_of, tmp_path):
    tried = 0
    # LyCORIS loads no magnitudes of input channels
    for _, place, dora, rank in (case for case in CASES if case[0] == kind and case[2] != "input"):
        layer = layer_of(place)
        if kind.startswith("lokr"):
            rank = 1  # with a larger one LyCORIS would not have split these small factors, and does not load them so
        ours = random_layer(kind, tuple(layer.weight.shape), rank, 1.75, rank, dora)
        write_lora(LoraFile({f"unet.{PATH}": ours}), tmp_path / "a.safetensors")
        algorithm, numbers = modules.get_module(load_file(tmp_path / "a.safetensors"), NAME)
        module = modules.make_module(algorithm, numbers, NAME, layer)
        x = _input(layer)
        with torch.no_grad():
            _assert_same(_run(layer, weight_of(ours, layer.weight), x), module(x), layer(x))
        tried += 1
    assert tried == (4 if "tucker" in kind else 16)

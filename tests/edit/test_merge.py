"""LoRAs added up: exactly where they are plain, the nearest of a rank where they are not; and to the same as PEFT's."""

import json
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tests.edit.conftest import CONV
from tests.files.kinds import change_of, weight_of

from scumble.config import from_values
from scumble.config.edit import MergeConfig
from scumble.edit.merge import merge
from scumble.edit.reduce import Size
from scumble.edit.refit import refitted
from scumble.errors import ConfigError, LoraFileError
from scumble.families.layers import LayerTable
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora


@pytest.fixture
def merged(tiny_base, tmp_path):
    def run(*files, **settings):
        values = {"lora": files, "base": str(tiny_base), "out": tmp_path / "out.safetensors", **settings}
        return merge(from_values(MergeConfig, values))

    return run


@pytest.fixture
def sum_of(table):
    """The exact sum of files' changes at each layer, float64."""

    def add(files, weights):
        total = {}
        for path, weight in zip(files, weights, strict=True):
            for key, layer in read_lora(path, table.paths()).layers.items():
                base = table.weight(key).double()
                total[key] = total.get(key, 0) + weight * (weight_of(layer, base) - base)
        return total

    return add


def relative_error(path, table, expected):
    found = {key: change_of(layer, table.shapes[key]) for key, layer in read_lora(path, table.paths()).layers.items()}
    assert {key for key in found if found[key].any()} == set(expected)
    squares = [((found[key] - expected[key]).square().sum(), expected[key].square().sum()) for key in expected]
    return float((sum(difference for difference, _ in squares) / sum(exact for _, exact in squares)).sqrt())


def test_plain_loras_of_different_ranks_and_layers_add_up_to_float32_rounding(
    lora_file, merged, sum_of, table, tmp_path
):
    files = [
        lora_file("one", rank=3, alpha=2.0),
        lora_file("two", rank=5, alpha=3.0, seed=9),
        lora_file("three", kind="tucker", places=[CONV], rank=2, seed=5),
    ]
    done = merged(*files, weights=(0.7, -0.4, 1.3))
    measured = relative_error(tmp_path / "out.safetensors", table, sum_of(files, (0.7, -0.4, 1.3)))
    assert measured < 1e-7
    assert done.error.relative == pytest.approx(measured, rel=0.01, abs=1e-9)
    assert done.ranks == (8, 10)
    assert done.num_layers == 8


def test_weights_of_powers_of_two_are_exact_to_the_bit(lora_file, merged, table):
    files = [lora_file("one", rank=4, alpha=4.0), lora_file("two", rank=4, alpha=8.0, seed=9)]
    assert merged(*files, weights=(0.5, -2.0)).error.relative == 0.0


@pytest.mark.parametrize("rank", [1, 4, 7])
def test_a_chosen_rank_gives_the_nearest_there_is(rank, lora_file, merged, sum_of, table, tmp_path):
    files = [lora_file("one", rank=4), lora_file("two", rank=4, seed=9)]
    done = merged(*files, weights=(0.7, 0.4), rank=rank)
    exact = sum_of(files, (0.7, 0.4))
    tails = sum(torch.linalg.svdvals(change.flatten(1))[rank:].square().sum() for change in exact.values())
    smallest = float((tails / sum(change.square().sum() for change in exact.values())).sqrt())
    assert done.ranks == (rank, rank)
    assert done.error.relative == pytest.approx(smallest, rel=1e-5)
    assert relative_error(tmp_path / "out.safetensors", table, exact) == pytest.approx(smallest, rel=1e-5)


def test_different_algorithms_are_fitted_to_a_rank_with_the_true_error(lora_file, merged, sum_of, table, tmp_path):
    files = [
        lora_file("plain"),
        lora_file("loha", kind="loha", seed=3),
        lora_file("lokr", kind="lokr", seed=6, dora="input"),
    ]
    done = merged(*files, weights=(1.0, 0.5, 0.8), rank=6)
    assert 0.01 < done.error.relative < 1
    assert relative_error(tmp_path / "out.safetensors", table, sum_of(files, (1.0, 0.5, 0.8))) == pytest.approx(
        done.error.relative, rel=1e-4
    )


def test_other_algorithms_without_a_rank_are_refused(lora_file, merged):
    with pytest.raises(LoraFileError, match=r"8 of 8 layers are not plain LoRA, first text_encoder.*give --rank"):
        merged(lora_file("one"), lora_file("two", kind="loha"))


def test_what_the_result_says_of_itself(lora_file, merged, tmp_path):
    common = {"ss_base_model_version": "sd_v1", "ss_v2": "False", "scumble.base": "tiny", "ss_steps": "100"}
    one = lora_file("dog", metadata={**common, "scumble.trigger": "sks dog", "ss_sd_model_name": "a"})
    two = lora_file("oil", metadata={**common, "scumble.trigger": "oil", "ss_sd_model_name": "b"}, seed=4)
    merged(one, two, weights=(0.7, 0.4))
    metadata = read_metadata(tmp_path / "out.safetensors")
    assert [(source["name"], source["weight"]) for source in json.loads(metadata["scumble.merged_from"])] == [
        ("dog", 0.7),
        ("oil", 0.4),
    ]
    assert (metadata["modelspec.merged_from"], metadata["scumble.trigger"]) == ("dog, oil", "sks dog, oil")
    assert (metadata["scumble.base"], metadata["ss_output_name"]) == ("tiny", "out")
    assert "ss_steps" not in metadata  # nobody trained the merge
    assert "ss_sd_model_name" not in metadata  # true of one only


def test_the_same_file_twice_counts_twice(lora_file, merged, sum_of, table, tmp_path):
    file = lora_file("one")
    merged(file, file, weights=(1.0, 2.0))
    assert relative_error(tmp_path / "out.safetensors", table, sum_of([file], [3.0])) < 1e-7
    assert read_metadata(tmp_path / "out.safetensors")["modelspec.merged_from"] == "one, one #2"


def test_the_widest_precision_of_the_sources_is_kept(lora_file, merged, tmp_path):
    half = lora_file("half", dtype=torch.float16)
    merged(half, half)
    assert {tensor.dtype for tensor in load_file(tmp_path / "out.safetensors").values() if tensor.ndim} == {
        torch.float16
    }
    merged(half, lora_file("full"), overwrite=True)
    assert {tensor.dtype for tensor in load_file(tmp_path / "out.safetensors").values()} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weights": (1.0,)}, "found 1 for 2 LoRAs; give one for each"),
        ({"weights": (1.0, 0.0)}, "with weight 0 would have no effect: leave its file out"),
        ({"into": "mini"}, "base would have no effect: the result is --into mini"),
        ({"into": "mini", "base": None, "rank": 4}, "rank would have no effect"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, says, lora_file, merged):
    with pytest.raises(ConfigError, match=says):
        merged(lora_file("one"), lora_file("two"), **settings)


def peft_sum(pairs, weights, alphas, how, rank=None):
    """The change that PEFT's add_weighted_adapter makes of LoRAs (down, up) of one linear layer."""
    out, into = pairs[0][1].shape[0], pairs[0][0].shape[1]
    model = None
    for index, ((down, up), alpha) in enumerate(zip(pairs, alphas, strict=True)):
        config = LoraConfig(r=down.shape[0], lora_alpha=alpha, target_modules=["0"])
        if model is None:
            model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(into, out, bias=False)), config, "0")
        else:
            model.add_adapter(str(index), config)
        layer = model.base_model.model[0]
        layer.lora_A[str(index)].weight.data, layer.lora_B[str(index)].weight.data = down, up
    names = [str(index) for index in range(len(pairs))]
    model.add_weighted_adapter(names, list(weights), "sum", combination_type=how, svd_rank=rank)
    return model.base_model.model[0].get_delta_weight("sum").detach()


@pytest.mark.parametrize(("how", "rank"), [("cat", None), ("svd", 4)])
def test_peft_makes_the_same_sum(how, rank):
    generator = torch.Generator().manual_seed(1)
    pairs = [(torch.randn(r, 30, generator=generator), torch.randn(20, r, generator=generator)) for r in (3, 5)]
    weights, alphas = (0.7, 0.4), (2, 3)
    theirs = peft_sum(pairs, weights, alphas, how, rank)
    files = [
        (weight, LoraFile({"unet.a": LoraLayer("lora", {"down": down, "up": up}, len(down), float(alpha))}))
        for (down, up), weight, alpha in zip(pairs, weights, alphas, strict=True)
    ]
    table = LayerTable("a", None, {"unet.a": (20, 30)})
    layers, error = refitted(files, table, Size(rank), torch.float32)
    ours = change_of(layers["unet.a"], (20, 30))
    assert float((ours - theirs).norm() / theirs.norm()) < 2e-6
    exact = sum(weight * change_of(file.layers["unet.a"], (20, 30)) for weight, file in files)
    their_error = float((theirs.double() - exact).norm() / exact.norm())
    assert error.relative <= their_error + 1e-6
    assert replace(error, worst=0.0).worst_layer == "unet.a"


def test_a_lora_that_changes_nothing_is_told(lora_file, merged, tiny_base, tmp_path):
    idle = lora_file("idle", alpha=0.0)
    said = ("idle.safetensors changes nothing: all its changes are zero (was it saved before training?)",)
    assert merged(idle, lora_file("one")).notes == said
    values = {"lora": (idle,), "into": str(tiny_base), "out": tmp_path / "folder"}
    assert said[0] in merge(from_values(MergeConfig, values)).notes
    assert merged(lora_file("one"), overwrite=True).notes == ()

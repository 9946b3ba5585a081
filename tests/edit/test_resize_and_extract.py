"""Lower ranks and differences of models: never further than the singular values say, and as near as the peers get."""

import json
import shutil

import pytest
import torch
from lycoris.utils import extract_conv, extract_linear
from safetensors.torch import load_file, save_file
from tests.files.kinds import change_of

from scumble.config import from_values
from scumble.config.edit import ExtractConfig, MergeConfig, ResizeConfig, VerifyConfig
from scumble.edit.extract import extract
from scumble.edit.merge import merge
from scumble.edit.reduce import Size, as_layer, fitted
from scumble.edit.resize import resize
from scumble.edit.verify import verify
from scumble.errors import BaseModelError, ConfigError, LoraFileError
from scumble.files.guard import read_metadata
from scumble.files.kinship import SAME
from scumble.files.read import read_lora

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def resized(tiny_base, tmp_path):
    def run(path, **settings):
        values = {"file": path, "base": str(tiny_base), "out": tmp_path / "out.safetensors", **settings}
        return resize(from_values(ResizeConfig, values))

    return run


@pytest.fixture
def extracted(tmp_path):
    def run(base, tuned, **settings):
        values = {"base": str(base), "tuned": str(tuned), "out": tmp_path / "out.safetensors", **settings}
        return extract(from_values(ExtractConfig, values))

    return run


def changes_in(path, table):
    layers = read_lora(path, table.paths()).layers
    return {key: change_of(layer, table.shapes[key]) for key, layer in layers.items()}


def smallest_error(changes, rank):
    tails = sum(torch.linalg.svdvals(change.flatten(1).double())[rank:].square().sum() for change in changes)
    return float((tails / sum(change.double().square().sum() for change in changes)).sqrt())


def relative_error(found, expected):
    difference = sum((found[key] - expected[key]).square().sum() for key in expected)
    return float((difference / sum(change.square().sum() for change in expected.values())).sqrt())


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_resizing_makes_the_smallest_error_there_is(rank, lora_file, resized, table, tmp_path):
    path = lora_file(rank=6, alpha=4.0)
    done = resized(path, rank=rank)
    exact = changes_in(path, table)
    smallest = smallest_error(exact.values(), rank)
    assert (done.ranks_before, done.ranks) == ((6, 6), (rank, rank))
    assert done.error.relative == pytest.approx(smallest, rel=1e-5)
    assert relative_error(changes_in(tmp_path / "out.safetensors", table), exact) == pytest.approx(smallest, rel=1e-5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_resizing_to_an_energy_keeps_it_at_every_layer_and_no_rank_more(energy, lora_file, resized, table, tmp_path):
    path = lora_file(rank=6)
    done = resized(path, energy=energy)
    exact = changes_in(path, table)
    for key, layer in read_lora(tmp_path / "out.safetensors", table.paths()).layers.items():
        squares = torch.linalg.svdvals(exact[key].flatten(1)).square()
        kept = squares.cumsum(0) / squares.sum()
        assert kept[layer.rank - 1] >= energy - 1e-9
        assert layer.rank == 1 or kept[layer.rank - 2] < energy
    assert done.error.relative**2 <= 1 - energy


def test_a_rank_that_is_no_lower_is_refused_as_without_effect(lora_file, resized, tmp_path):
    for rank in (3, 64):
        with pytest.raises(
            ConfigError, match=rf"rank={rank} would have no effect: .*a larger rank than 3; give a smaller"
        ):
            resized(lora_file(rank=3), rank=rank)
    assert not (tmp_path / "out.safetensors").exists()
    assert resized(lora_file(rank=3), rank=3, energy=0.5).ranks[1] < 3


def test_a_resized_file_says_where_it_comes_from_and_keeps_how_it_was_trained(lora_file, resized, tmp_path):
    resized(lora_file("dog", metadata={"ss_steps": "100", "scumble.rank": "3"}), rank=2)
    metadata = read_metadata(tmp_path / "out.safetensors")
    assert json.loads(metadata["scumble.resized_from"])["name"] == "dog"
    assert (metadata["ss_steps"], metadata["ss_network_dim"]) == ("100", "2")
    assert "scumble.rank" not in metadata


@pytest.mark.parametrize("how", [{"kind": "loha"}, {"dora": "output"}])
def test_what_is_not_plain_lora_is_not_resized(how, lora_file, resized):
    with pytest.raises(LoraFileError, match=r"8 of 8 layers are not plain LoRA.*convert --as-lora RANK"):
        resized(lora_file(**how), rank=2)


def test_a_size_must_be_given(lora_file, resized, extracted):
    with pytest.raises(ConfigError, match="rank or energy must be given"):
        resized(lora_file())
    with pytest.raises(ConfigError, match="rank or energy must be given"):
        extracted("a", "b")


@pytest.fixture
def tuned(tiny_base, tmp_path):
    """The tiny base with other numbers in three layers and a bias."""
    shutil.copytree(tiny_base, tmp_path / "tuned")
    weights = load_file(tiny_base / UNET)
    generator = torch.Generator().manual_seed(3)
    for name in ("conv_in", "down_blocks.0.resnets.0.conv1", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"):
        weight = weights[f"{name}.weight"]
        weights[f"{name}.weight"] = weight + 0.01 * torch.randn(weight.shape, generator=generator)
    weights["conv_in.bias"] = weights["conv_in.bias"] + 1
    save_file(weights, tmp_path / "tuned" / UNET, {"format": "pt"})
    return tmp_path / "tuned"


@pytest.mark.parametrize("size", [{"rank": 2}, {"rank": 8}, {"energy": 0.8}])
def test_extracting_makes_the_smallest_error_of_its_rank(size, tiny_base, tuned, extracted, table, tmp_path):
    done = extracted(tiny_base, tuned, **size)
    before, after = load_file(tiny_base / UNET), load_file(tuned / UNET)
    found = changes_in(tmp_path / "out.safetensors", table)
    exact = {key: (after[f"{key[5:]}.weight"] - before[f"{key[5:]}.weight"]).double() for key in found}
    assert (done.num_layers, done.num_equal) == (3, len(table.shapes) - 3)
    assert done.error.relative == pytest.approx(relative_error(found, exact), rel=1e-4)
    layers = read_lora(tmp_path / "out.safetensors", table.paths()).layers
    squares = sum(
        torch.linalg.svdvals(change.flatten(1))[layers[key].rank :].square().sum() for key, change in exact.items()
    )
    smallest = float((squares / sum(change.square().sum() for change in exact.values())).sqrt())
    assert done.error.relative <= smallest * 1.001 + 1e-6
    if "energy" in size:
        assert done.error.relative**2 <= 0.2


def test_what_a_lora_cannot_say_is_counted_and_named(tiny_base, tuned, extracted):
    assert extracted(tiny_base, tuned, rank=2).beyond == ("unet: conv_in.bias",)


def test_a_merged_lora_is_extracted_again(lora_file, tiny_base, extracted, table, tmp_path):
    path = lora_file(rank=3)
    merge(from_values(MergeConfig, {"lora": (path,), "into": str(tiny_base), "out": tmp_path / "merged"}))
    done = extracted(tiny_base, tmp_path / "merged", rank=3)
    exact = changes_in(path, table)
    assert done.num_layers == len(exact)
    assert relative_error(changes_in(tmp_path / "out.safetensors", table), exact) < 1e-5
    assert (done.beyond, done.error.relative < 1e-5) == ((), True)


def test_an_extracted_file_names_its_models_and_no_path(tiny_base, tuned, extracted, tmp_path):
    extracted(tiny_base, tuned, rank=2)
    metadata = read_metadata(tmp_path / "out.safetensors")
    assert json.loads(metadata["scumble.extracted_from"]) == {"base": "tiny", "tuned": "tuned"}
    assert metadata["ss_base_model_version"] == "sd_v1"
    assert not any(str(tmp_path) in text for text in metadata.values())


def test_an_extracted_file_knows_its_base_by_the_layers_that_change(tiny_base, tuned, extracted, tmp_path):
    extracted(tiny_base, tuned, rank=2)
    kinship = verify(VerifyConfig(file=tmp_path / "out.safetensors", base=str(tiny_base))).kinship
    assert (kinship.verdict, kinship.distance) == (SAME, 0.0)
    assert verify(VerifyConfig(file=tmp_path / "out.safetensors", base=str(tuned))).kinship.distance > 0


def test_equal_models_and_other_architectures_are_errors(tiny_base, narrow_base, extracted):
    with pytest.raises(BaseModelError, match="no layer differs, so there is nothing to extract"):
        extracted(tiny_base, tiny_base, rank=2)
    with pytest.raises(BaseModelError, match=r"differ in the shapes of \d+ layers, first .*what was tuned from it"):
        extracted(tiny_base, narrow_base, rank=2)


@pytest.mark.parametrize("rank", [2, 7])
@pytest.mark.parametrize("shape", [(24, 30), (40, 24), (24, 12, 3, 3)])
def test_lycoris_extracts_the_same(shape, rank):
    change = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    peer = extract_linear if len(shape) == 2 else extract_conv
    (down, up, _), how = peer(change, "fixed", rank)
    assert how == "low rank"
    theirs = (up.flatten(1) @ down.flatten(1)).view(shape)
    layer = as_layer(fitted(change, Size(rank)), shape, float(rank), torch.float32)
    assert layer.tensors["down"].shape == down.shape
    assert layer.tensors["up"].shape == up.shape
    ours = change_of(layer, shape)
    assert float((ours - theirs).norm() / theirs.norm()) < 2e-5
    assert float((ours - change).norm()) <= float((theirs - change).norm()) * (1 + 1e-6)

"""LoRAs in the weights of a base: base + sum of weight x change, rounded once; everything else is as it was."""

import re
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer, weight_of

from scumble.config import from_values
from scumble.config.edit import MergeConfig
from scumble.edit.merge import merge
from scumble.errors import ConfigError, LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.fingerprint import fingerprint
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


def merged(files, base, out, weights=(), **settings):
    return merge(
        from_values(MergeConfig, {"lora": files, "into": str(base), "out": out, "weights": weights, **settings})
    )


def weights_of(place):
    """Canonical key -> weight, as the base's own loading sees it."""
    base = open_base(str(place))
    modules = {
        "unet": base.load_denoiser(torch.float32, torch.device("cpu")),
        **base.load_text_encoder(torch.device("cpu")).modules,
    }
    return {
        f"{part}.{path}": modules[part].get_submodule(base.module_path(part, path, modules[part])).weight
        for part, paths in base.layer_paths().items()
        for path in paths
    }


def expected_weights(before, loras, table):
    """base + sum of weight x (W' - W) in float64, by the formulas."""
    result = {key: weight.double() for key, weight in before.items()}
    for path, strength in loras:
        for key, layer in read_lora(path, table.paths()).layers.items():
            result[key] = result[key] + strength * (weight_of(layer, before[key]) - before[key].double())
    return result


def in_half_precision(folder, out):
    shutil.copytree(folder, out)
    for name in (UNET, TEXT):
        save_file({key: tensor.half() for key, tensor in load_file(out / name).items()}, out / name, {"format": "pt"})
    return out


def test_a_folder_becomes_a_folder_with_other_weights_and_nothing_else_changed(lora_file, tiny_base, table, tmp_path):
    loras = [(lora_file("one"), 0.7), (lora_file("two", kind="lokr", seed=8), -0.4)]
    done = merged([path for path, _ in loras], tiny_base, tmp_path / "out", (0.7, -0.4))
    before, after = weights_of(tiny_base), weights_of(tmp_path / "out")
    for key, weight in expected_weights(before, loras, table).items():
        torch.testing.assert_close(after[key], weight.float(), rtol=2e-6, atol=1e-6)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert (len(changed), done.num_layers, done.num_tensors) == (8, 8, 8)
    assert changed == set(read_lora(loras[0][0], table.paths()).layers)
    files = sorted(path.relative_to(tiny_base) for path in tiny_base.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    for name in files:
        if name.as_posix() not in (UNET, TEXT):
            assert (tiny_base / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_names_order_shapes_and_number_formats_stay(lora_file, tiny_base, tmp_path):
    half = in_half_precision(tiny_base, tmp_path / "half")
    merged([lora_file()], half, tmp_path / "out")
    before, after = load_file(half / UNET), load_file(tmp_path / "out" / UNET)
    assert [(name, tensor.shape, tensor.dtype) for name, tensor in before.items()] == [
        (name, tensor.shape, tensor.dtype) for name, tensor in after.items()
    ]
    with safe_open(tmp_path / "out" / UNET, "pt") as file:
        assert (file.metadata()["format"], file.metadata()["modelspec.merged_from"]) == ("pt", "a")


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
def test_half_precision_is_the_float32_sum_rounded_once(kind, lora_file, tiny_base, table, tmp_path):
    half = in_half_precision(tiny_base, tmp_path / "half")
    path = lora_file(kind=kind)
    done = merged([path], half, tmp_path / "out")
    before, after = weights_of(half), weights_of(tmp_path / "out")
    exact = expected_weights(before, [(path, 1.0)], table)
    for key, weight in exact.items():
        one_step = weight.abs().clamp_min(2**-14) * 2.0**-11 * 1.01
        assert ((after[key].double() - weight).abs() <= one_step + 1e-6).all()
    keys = read_lora(path, table.paths()).layers
    lost = sum((after[key] - exact[key]).square().sum() for key in keys)
    size = sum((exact[key] - before[key]).square().sum() for key in keys)
    assert done.error.relative == pytest.approx(float((lost / size).sqrt()), rel=1e-3)


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
@pytest.mark.parametrize("is_half", [False, True])
def test_weight_minus_one_gives_the_base_back_to_rounding(kind, is_half, lora_file, tiny_base, tmp_path):
    base = in_half_precision(tiny_base, tmp_path / "half") if is_half else tiny_base
    path = lora_file(kind=kind)
    merged([path], base, tmp_path / "there")
    merged([path], tmp_path / "there", tmp_path / "back", (-1.0,))
    before, there, back = (weights_of(place) for place in (base, tmp_path / "there", tmp_path / "back"))
    step = 2.0**-11 if is_half else 2.0**-22
    for key, weight in before.items():
        largest = torch.maximum(weight.abs(), there[key].abs()).clamp_min(2**-14)
        assert ((back[key] - weight).abs() <= 2 * step * largest).all(), key
    assert any(not torch.equal(before[key], there[key]) for key in before)


def test_a_dora_is_merged_from_the_weights_it_is_added_to_and_never_taken_away(lora_file, tiny_base, table, tmp_path):
    path = lora_file(dora="output")
    merged([path], tiny_base, tmp_path / "out", (0.5,))
    after = weights_of(tmp_path / "out")
    for key, weight in expected_weights(weights_of(tiny_base), [(path, 0.5)], table).items():
        torch.testing.assert_close(after[key], weight.float(), rtol=2e-6, atol=1e-6)
    with pytest.raises(LoraFileError, match=r"a DoRA with weight -1: .*cannot be taken away"):
        merged([path], tmp_path / "out", tmp_path / "back", (-1.0,))


def test_every_precision_of_a_folder_is_merged_and_pickles_are_left_out(lora_file, tiny_base, table, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    half = {name: tensor.half() for name, tensor in load_file(base / UNET).items()}
    save_file(half, base / "unet" / "diffusion_pytorch_model.fp16.safetensors", {"format": "pt"})
    (base / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"old")
    save_file({"model.diffusion_model.out.2.weight": torch.ones(2)}, base / "whole.safetensors")
    (base / "torn.safetensors").write_bytes(b"old")
    save_file({"head.weight": torch.ones(2)}, base / "judge.safetensors")
    path = lora_file()
    done = merged([path], base, tmp_path / "out")
    assert done.num_tensors == 8 + 4
    assert [note.partition(" ")[0] for note in done.notes] == [
        "torn.safetensors", "unet/diffusion_pytorch_model.bin", "whole.safetensors",
    ]  # fmt: skip
    assert (tmp_path / "out/judge.safetensors").read_bytes() == (base / "judge.safetensors").read_bytes()
    assert all("is left out: these weights are not merged in" in note for note in done.notes)
    assert not (tmp_path / "out/unet/diffusion_pytorch_model.bin").exists()
    full, halved = (
        load_file(tmp_path / "out" / UNET),
        load_file(tmp_path / "out/unet/diffusion_pytorch_model.fp16.safetensors"),
    )
    for name, tensor in full.items():
        torch.testing.assert_close(halved[name].float(), tensor, rtol=2e-3, atol=2e-3)


def test_a_text_encoder_that_a_base_lacks_is_an_error(sdxl_base, tiny_base, tmp_path):
    table = table_of(open_base(str(sdxl_base)))
    keys = [key for key in table.shapes if key.startswith("text_encoder_2.text_model.encoder.layers.0.")]
    layers = {key: random_layer("lora", table.shapes[key], 2, 1.0, seed=0) for key in keys}
    write_lora(LoraFile(layers), tmp_path / "second.safetensors")
    with pytest.raises(LoraFileError, match="none of the 6 layers matches anything in this base: lora_te2_"):
        merged([tmp_path / "second.safetensors"], tiny_base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_result_is_what_the_base_is_and_replaces_no_other_folder(lora_file, tiny_base, tmp_path):
    path = lora_file()
    with pytest.raises(ConfigError, match="the base is a pipeline folder, and so is the result; name a folder"):
        merged([path], tiny_base, tmp_path / "out.safetensors")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="is there already"):
        merged([path], tiny_base, mine)
    with pytest.raises(ConfigError, match="a folder that is no pipeline folder is not replaced"):
        merged([path], tiny_base, mine, overwrite=True)
    assert (mine / "letter.txt").read_text() == "keep me"
    merged([path], tiny_base, tmp_path / "out")
    merged([path], tiny_base, tmp_path / "out", (0.5,), overwrite=True)
    with pytest.raises(ConfigError, match="the base lies there"):
        merged([path], tmp_path / "out", tmp_path / "out", overwrite=True)
    assert not list(tmp_path.glob(".scumble-*"))


def test_a_lora_that_was_trained_on_other_weights_is_told(lora_file, tiny_base, table, tmp_path):
    """All but a hundredth apart is another base: told, and merged nevertheless."""
    keys = [key for key in read_lora(lora_file(), table.paths()).layers if key.startswith("unet.")]
    weights = {key.removeprefix("unet."): table.weight(key) for key in keys}
    same = lora_file("same", metadata={"scumble.fingerprint": fingerprint(weights)})
    assert merged([same], tiny_base, tmp_path / "one").notes == ()
    moved = {path: weight + 0.1 * weight.std() * torch.randn_like(weight) for path, weight in weights.items()}
    other = lora_file("other", metadata={"scumble.fingerprint": fingerprint(moved)})
    (note,) = merged([other], tiny_base, tmp_path / "two").notes
    assert note.startswith(f"other.safetensors: {tiny_base} is a near relative of the base it was trained on")
    assert re.search(r"its layers differ by (9|10)\.", note)


def test_a_stop_half_way_leaves_nothing_behind(lora_file, tiny_base, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="no space left"):
        merged([lora_file()], tiny_base, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]

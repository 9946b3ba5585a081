"""From what a person calls a base model to its parts: folders, hub ids, old names, and what cannot be used."""

import hashlib
import json
import shutil

import pytest
import torch

from scumble.errors import BaseModelError, ConfigError
from scumble.families.find import DEFAULT_BASE, open_base, wanted_files


def put_in_cache(hub_cache, hub_id, folder, revision="main", commit="0123456789abcdef0123456789abcdef01234567"):
    """Lay a pipeline folder out as the hub's client does: blobs by hash, snapshots of links, refs."""
    repo = hub_cache / f"models--{hub_id.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True, exist_ok=True)
    (repo / "blobs").mkdir(exist_ok=True)
    (repo / "refs" / revision).write_text(commit)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        blob = repo / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copyfile(path, blob)
        link = repo / "snapshots" / commit / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)


@pytest.fixture
def broken_base(tiny_base, tmp_path):
    """A copy of the tiny base, to be spoilt."""
    return shutil.copytree(tiny_base, tmp_path / "broken base 模型")


def test_a_pipeline_folder_opens(tiny_base):
    base = open_base(str(tiny_base))
    assert (base.family, base.resolution, base.pixels_per_latent, base.latent_channels) == ("sd1", 32, 8, 4)
    assert (base.max_tokens, base.prediction_type, list(base.notes)) == (75, "epsilon", [])


def test_a_folder_with_spaces_and_chinese_characters_loads(broken_base, cpu):
    base = open_base(str(broken_base))
    assert base.load_text_encoder(cpu).encode(["a"], 1)[0]["hidden"].shape == (77, 32)
    assert base.load_denoiser(torch.float32, cpu).config.in_channels == 4


def test_a_hub_id_is_taken_from_the_hub_cache(hub_cache, tiny_base, cpu):
    put_in_cache(hub_cache, "someone/tiny-base", tiny_base)
    base = open_base("someone/tiny-base")
    assert base.name == "someone/tiny-base"
    assert base.path.is_relative_to(hub_cache)
    own, hubs = (
        open_base(name).load_denoiser(torch.float32, cpu).state_dict() for name in (str(tiny_base), "someone/tiny-base")
    )
    assert all(torch.equal(own[key], hubs[key]) for key in own)


def test_a_revision_is_the_one_that_is_opened(hub_cache, tiny_base, narrow_base):
    put_in_cache(hub_cache, "someone/base", tiny_base)
    put_in_cache(hub_cache, "someone/base", narrow_base, "big", "f" * 40)
    assert open_base("someone/base").resolution == 32
    assert open_base("someone/base", revision="big").resolution == 64


def test_none_is_stable_diffusion_1_5(hub_cache, tiny_base):
    put_in_cache(hub_cache, DEFAULT_BASE, tiny_base)
    assert open_base().name == "stable-diffusion-v1-5/stable-diffusion-v1-5"


def test_the_old_id_is_taken_as_the_new_one_and_said(hub_cache, tiny_base):
    put_in_cache(hub_cache, DEFAULT_BASE, tiny_base)
    base = open_base("runwayml/stable-diffusion-v1-5")
    assert base.name == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    (note,) = base.notes
    assert "runwayml/stable-diffusion-v1-5 has moved" in note and base.name in note


def test_a_base_not_to_be_had_offline_says_how_to_get_it(hub_cache):
    with pytest.raises(BaseModelError) as caught:
        open_base("someone/else")
    text = str(caught.value)
    assert "hf download someone/else" in text and "--base" in text and "mini" in text


def test_an_old_id_in_the_cache_is_taken_as_it_is(hub_cache, tiny_base):
    put_in_cache(hub_cache, "stabilityai/stable-diffusion-2-1", tiny_base)
    base = open_base("stabilityai/stable-diffusion-2-1")
    assert (base.name, list(base.notes)) == ("stabilityai/stable-diffusion-2-1", [])


def test_sdxl_is_taken_from_the_hub_cache_with_all_its_parts(hub_cache, sdxl_base, no_network, cpu, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_in_cache(hub_cache, "stabilityai/stable-diffusion-xl-base-1.0", sdxl_base)
    base = open_base(preset="sdxl")
    assert (base.name, base.family) == ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl")
    assert base.load_denoiser(torch.float32, cpu).config.in_channels == 4
    assert set(base.load_text_encoder(cpu).modules) == {"text_encoder", "text_encoder_2"}
    assert base.load_autoencoder(cpu).scale == 0.13025


def test_what_is_fetched_from_the_hub_is_a_whole_pipeline_and_no_more(sdxl_base):
    from huggingface_hub.utils import filter_repo_objects

    there = [path.relative_to(sdxl_base).as_posix() for path in sdxl_base.rglob("*") if path.is_file()]
    others = ["sd_xl_base_1.0.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/model.onnx"]
    assert sorted(filter_repo_objects([*there, *others], allow_patterns=wanted_files(None))) == sorted(there)
    fetched = set(filter_repo_objects([*there, *others], allow_patterns=wanted_files("fp16")))
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in fetched
    assert "unet/diffusion_pytorch_model.safetensors" not in fetched


def test_an_old_id_not_to_be_had_names_both(hub_cache):
    with pytest.raises(BaseModelError, match=r"runwayml/\S+ has moved.*hf download stable-diffusion-v1-5/"):
        open_base("runwayml/stable-diffusion-v1-5")


@pytest.mark.parametrize("name", ["nothing", "./nothing", "../no/thing", "/no/such/folder", "a/b/c", "-a/b"])
def test_what_is_neither_folder_nor_hub_id_is_said(hub_cache, name):
    with pytest.raises(BaseModelError, match="no such folder, and not a hub id"):
        open_base(name)


def test_a_revision_of_a_folder_would_have_no_effect(tiny_base):
    with pytest.raises(ConfigError, match="revision=main would have no effect"):
        open_base(str(tiny_base), revision="main")


def test_a_folder_that_is_no_pipeline_is_said(tmp_path):
    with pytest.raises(BaseModelError, match=r"no model_index\.json"):
        open_base(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_damaged_index_is_said(broken_base, text):
    (broken_base / "model_index.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BaseModelError, match=r"model_index\.json is not"):
        open_base(str(broken_base))


def test_an_unknown_pipeline_class_is_named_with_what_is_expected(broken_base):
    index = broken_base / "model_index.json"
    index.write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(
        BaseModelError, match="is a FluxPipeline, which is not there yet; expected StableDiffusionPipeline"
    ):
        open_base(str(broken_base))


@pytest.mark.parametrize("part", ["unet/config.json", "scheduler/scheduler_config.json", "tokenizer"])
def test_a_missing_part_is_said_before_anything_is_loaded(broken_base, part):
    path = broken_base / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BaseModelError, match=part.partition("/")[0]):
        open_base(str(broken_base))


PARTS = {
    "unet": lambda base, cpu: base.load_denoiser(torch.float32, cpu),
    "vae": lambda base, cpu: base.load_autoencoder(cpu),
    "text_encoder": lambda base, cpu: base.load_text_encoder(cpu),
}


@pytest.mark.parametrize("part", PARTS)
def test_pickled_weights_are_refused(broken_base, cpu, part):
    (weights,) = (broken_base / part).glob("*.safetensors")
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    torch.save({}, weights.with_name(name))
    weights.unlink()
    with pytest.raises(BaseModelError, match=r"pickle.*never read"):
        PARTS[part](open_base(str(broken_base)), cpu)


@pytest.mark.parametrize("part", PARTS)
def test_a_weight_that_is_not_in_the_file_is_not_made_up(broken_base, cpu, part):
    from safetensors.torch import load_file, save_file

    (path,) = (broken_base / part).glob("*.safetensors")
    weights = load_file(path)
    gone = next(name for name in weights if name.endswith("weight"))
    del weights[gone]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(BaseModelError, match=f"lacks 1 of its weights, first {gone}"):
        PARTS[part](open_base(str(broken_base)), cpu)


@pytest.mark.parametrize("part", PARTS)
def test_a_weight_file_that_is_cut_short_is_said(broken_base, cpu, part):
    (path,) = (broken_base / part).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BaseModelError, match=f"cannot load .*{part}"):
        PARTS[part](open_base(str(broken_base)), cpu)

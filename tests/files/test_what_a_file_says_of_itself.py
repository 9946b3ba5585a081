import json

import pytest
import torch

from scumble.errors import LoraFileError
from scumble.files.fingerprint import distance, fingerprint
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile
from scumble.files.metadata import TrainingFacts, metadata_of
from scumble.files.read import write_lora

FACTS = TrainingFacts(
    output_name="my cat 猫",
    base_name="stable-diffusion-v1-5/stable-diffusion-v1-5",
    base_version="sd_v1",
    architecture="stable-diffusion-v1/lora",
    prediction_type="v_prediction",
    rank=8,
    alpha=4.0,
    targets=("attention", "*.proj_in"),
    steps=300,
    epochs=12,
    learning_rate=1e-4,
    lr_scheduler="cosine",
    optimizer="AdamW(weight_decay=0.01)",
    seed=7,
    resolution=(512, 768),
    clip_skip=2,
    num_pictures=24,
    batch_size=4,
    trigger="sks cat",
    dataset_name="cats",
    tag_frequency={"a photo of sks cat": 20, "sitting": 4},
)


def test_all_metadata_is_text_and_none_is_empty_of_meaning():
    metadata = metadata_of(FACTS)
    assert all(isinstance(name, str) and isinstance(text, str) for name, text in metadata.items())
    assert "None" not in metadata.values()
    assert "ss_noise_offset" not in metadata


def test_the_fields_that_kohya_and_model_spec_demand_are_there():
    metadata = metadata_of(FACTS)
    expected = {
        "ss_v2": "False",
        "ss_base_model_version": "sd_v1",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "8",
        "ss_network_alpha": "4",
        "ss_network_args": "{}",
        "ss_clip_skip": "2",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "my cat 猫",
        "modelspec.resolution": "512x768",
        "modelspec.prediction_type": "v",
        "modelspec.trigger_phrase": "sks cat",
        "scumble.trigger": "sks cat",
        "scumble.targets": '["attention", "*.proj_in"]',
    }
    assert {name: metadata.get(name) for name in expected} == expected


def test_the_webui_finds_tags_sizes_and_the_number_of_pictures():
    # as extensions-builtin/Lora/ui_edit_user_metadata.py of v1.10.1 looks at them
    metadata = {name: json.loads(text) if text.startswith("{") else text for name, text in metadata_of(FACTS).items()}
    tags = {tag: int(n) for tags in metadata["ss_tag_frequency"].values() for tag, n in tags.items()}
    sizes = [bucket["resolution"] for bucket in metadata["ss_bucket_info"]["buckets"].values()]
    assert tags == {"a photo of sks cat": 20, "sitting": 4}
    assert sizes == [[512, 768]]
    assert sum(int(params["img_count"]) for params in metadata["ss_dataset_dirs"].values()) == 24


def test_metadata_comes_back_from_the_file(lora, tmp_path):
    write_lora(LoraFile(lora.layers, metadata_of(FACTS)), tmp_path / "a.safetensors")
    metadata = read_metadata(tmp_path / "a.safetensors")
    # rank and alpha are those of the tensors, whatever was said
    assert metadata_of(FACTS).items() - metadata.items() == {("ss_network_dim", "8"), ("ss_network_alpha", "4")}
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "3")


def _base(seed, layers=128, shape=(64, 64)):
    generator = torch.Generator().manual_seed(seed)
    return {f"blocks.{i}.to_q": torch.randn(shape, generator=generator) * 0.05 for i in range(layers)}


@pytest.mark.parametrize("layers", [1, 7, 128, 700, 1500])
def test_a_fingerprint_is_ascii_text_of_less_than_4_kb(layers):
    text = fingerprint(_base(0, layers, (8, 8)))
    assert len(text.encode("ascii")) < 4096
    assert distance(text, text) == 0.0


def test_fingerprints_tell_how_far_two_bases_are_apart():
    base, other = _base(0), _base(1)
    merged = {path: 0.8 * base[path] + 0.2 * other[path] for path in base}
    true = (
        sum((merged[p] - base[p]).square().sum() for p in base)
        / ((sum(merged[p].square().sum() + base[p].square().sum() for p in base)) / 2)
    ).sqrt()
    assert distance(fingerprint(base), fingerprint(merged)) == pytest.approx(true.item(), rel=0.05)
    assert distance(fingerprint(base), fingerprint(other)) == pytest.approx(2**0.5, rel=0.05)


def test_the_fingerprint_is_that_of_the_base_not_of_its_precision_or_order():
    base = _base(0)
    half = {path: weight.half() for path, weight in reversed(base.items())}
    brain = {path: weight.bfloat16() for path, weight in base.items()}
    assert distance(fingerprint(base), fingerprint(half)) < 1e-6
    assert distance(fingerprint(base), fingerprint(brain)) < 3e-3


def test_the_places_are_the_same_in_every_process():
    weights = {"a": torch.arange(10_000, dtype=torch.float32).reshape(100, 100) / 1000}
    # made by fingerprint() itself: a change of it would orphan the fingerprints of all files written before
    assert fingerprint(weights)[:60] == "v1.812d211c1df0be16.N0Y5RR86r0gnQqY5M0inQ3RAeEdURws9YUgUQDhH"


def test_fingerprints_of_different_layers_are_not_compared():
    with pytest.raises(LoraFileError, match="different layers"):
        distance(fingerprint(_base(0, 4)), fingerprint(_base(0, 5)))


@pytest.mark.parametrize(
    "text", ["", "v1", "v2.0123456789abcdef.AAAA", "v1.0123456789abcdef.?", "v1.0123456789abcdef.AHw="]
)
def test_a_text_that_is_no_fingerprint_is_an_error(text):
    good = fingerprint(_base(0, 1))
    with pytest.raises(LoraFileError):
        distance(text, good)

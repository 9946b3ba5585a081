"""A CLIP model from a folder or the hub's cache, and what is made of it; torchmetrics and transformers are the peers."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from scumble.errors import MetricError
from scumble.generate.events import Noted
from scumble.metrics import clip_score
from scumble.metrics.base import Measured
from scumble.metrics.clip import open_clip
from scumble.metrics.clip_score import clip_scores
from scumble.metrics.similarity import mean_cosines

CPU = torch.device("cpu")
TEXTS = ("a handwritten three", "red ink on yellow paper", "a handwritten nine, black ink on white paper")


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 48, 3), np.uint8).astype(np.uint8)) for _ in range(3)]


def test_clip_score_is_a_hundred_times_the_cosine(clip, clip_folder, pictures):
    from transformers import CLIPModel, CLIPProcessor

    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPProcessor.from_pretrained(clip_folder)
    with torch.no_grad():
        said = model(**processor(text=list(TEXTS), images=pictures, return_tensors="pt", padding=True))
    cosines = (said.image_embeds * said.text_embeds).sum(dim=1)
    expected = (100 * cosines).clamp(min=0)
    assert expected.max() > 1  # not all of them nothing
    assert torch.allclose(clip_scores(clip, pictures, TEXTS), expected, atol=1e-3)


def test_similarity_is_torchmetrics_score_of_pairs_of_pictures(clip, pictures):
    from torchmetrics.multimodal.clip_score import CLIPScore

    metric = CLIPScore(lambda: (clip.encoders, clip.reader))
    tensors = [torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures]
    pairs = [(a, b) for a in tensors for b in tensors]
    metric.update([a for a, _ in pairs], [b for _, b in pairs])
    seen = clip.see(pictures)
    assert float(mean_cosines(seen, seen).mean()) == pytest.approx(float(metric.compute()), abs=1e-3)
    assert mean_cosines(seen[:1], seen[:1]).item() == pytest.approx(100)


def test_a_model_in_the_hub_cache_is_opened_by_its_name(clip_folder, clip, tmp_path, monkeypatch):
    place = tmp_path / "hub" / "models--someone--tiny-clip"
    shutil.copytree(clip_folder, place / "snapshots" / "0123")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    opened = open_clip("someone/tiny-clip", CPU)
    assert opened.hash == clip.hash
    assert opened.said == f"CLIP someone/tiny-clip ({clip.hash[:10]})"


def test_a_model_that_is_not_here_is_not_fetched_and_the_command_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(MetricError, match="hf download someone/large-clip"):
        open_clip("someone/large-clip", CPU)


def test_pickles_and_half_models_are_refused(clip_folder, tmp_path):
    pickled = tmp_path / "pickled"
    shutil.copytree(clip_folder, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(MetricError, match=r"pickles \(\.bin\) are not read"):
        open_clip(str(pickled), CPU)
    half = tmp_path / "half"
    shutil.copytree(clip_folder, half)
    tensors = load_file(half / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, half / "model.safetensors", {"format": "pt"})
    with pytest.raises(MetricError, match=r"lack 1 that CLIP has, such as visual_projection\.weight"):
        open_clip(str(half), CPU)


def test_a_prompt_that_clip_does_not_read_to_its_end_is_told(subject):
    found = list(clip_score.measure(subject(prompts=("a handwritten three " * 40,))))
    assert any(isinstance(event, Noted) and "77 tokens" in event.text for event in found)
    assert sum(isinstance(event, Measured) for event in found) == 1


def test_eyes_that_cannot_read_give_no_clip_score(subject):
    with pytest.raises(MetricError, match="--clip FOLDER"):
        list(clip_score.measure(subject(eyes=None)))

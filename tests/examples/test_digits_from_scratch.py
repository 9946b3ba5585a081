"""The example from scratch runs, short: adapters on cross-attention alone, folded as good as not, base untouched."""

import json
from pathlib import Path

import pytest
import torch
from sklearn.svm import SVC

from scripts import load_script

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_from_scratch.py"


@pytest.fixture(scope="module")
def example():
    return load_script(EXAMPLE)


@pytest.mark.slow
def test_it_writes_figures_and_a_picture(example, tmp_path, capsys):
    figures = example.main(["--out", str(tmp_path), "--seeds", "0", "--epochs", "1", "1", "--pictures", "20"])
    assert figures == json.loads((tmp_path / "digits.json").read_text(encoding="utf-8"))
    assert set(figures) == {"without", "with LoRA", "folded in"}
    assert all(0 <= mark <= 1 for marks in figures.values() for mark in marks)
    assert (tmp_path / "digits.png").stat().st_size > 1000
    assert "seed 0: without" in capsys.readouterr().out


def test_the_lora_changes_the_pictures_and_folding_does_not(example):
    torch.manual_seed(0)
    data = (2 * torch.rand(32, 1, 8, 8) - 1, torch.arange(32) % 10)
    judge = SVC().fit(data[0].flatten(1).numpy(), data[1].numpy())
    _, pictures = example.one_seed(0, judge, data, (1, 2), 4)
    changed = (pictures["with LoRA"] - pictures["without"]).abs().max()
    assert changed > 1e-2
    assert (pictures["folded in"] - pictures["with LoRA"]).abs().max() < 1e-3 * changed


def test_what_is_trained_is_the_cross_attention_alone(example):
    model = example.Digits()
    targets = example.find_targets(model.denoiser, ["*.attn2.to_q", "*.attn2.to_k", "*.attn2.to_v"])
    cross = [path for path, _ in model.denoiser.named_modules() if path.endswith(".attn2")]
    assert set(targets) == {f"{path}.to_{letter}" for path in cross for letter in "qkv"}

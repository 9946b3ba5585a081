"""The shipped judge, on handwriting that it never saw."""

import pytest
import torch

from scumble.errors import BaseModelError
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.examine import render_plain, render_style
from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.judge import QUESTIONS, build_judge, load_judge, save_judge, score


@pytest.fixture(scope="module")
def unseen():
    return split(read_handwriting(), "demo")


def test_it_reads_plain_digits(unseen):
    scores = score(load_judge(), render_plain(unseen))
    assert scores.share("digit", [DIGIT_WORDS[digit] for digit in unseen.digits]) >= 0.985


def test_it_reads_the_style_of_the_demonstration(unseen):
    scores = score(load_judge(), render_style(unseen))
    assert scores.share("digit", [DIGIT_WORDS[digit] for digit in unseen.digits]) >= 0.96
    assert scores.share("ink", ["white"] * len(unseen)) >= 0.98
    assert scores.share("paper", ["dark"] * len(unseen)) >= 0.98
    assert scores.share("look", ["striped"] * len(unseen)) >= 0.95


def test_it_is_small_and_saved_without_loss_of_judgement(tmp_path):
    judge = build_judge(3)
    save_judge(judge, tmp_path)
    assert (tmp_path / "judge.safetensors").stat().st_size < 600_000
    pictures = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before, after = score(judge, pictures), score(load_judge(tmp_path), pictures)
    for question, names in QUESTIONS.items():
        assert before.probabilities[question].shape == (5, len(names))
        assert torch.allclose(before.probabilities[question], after.probabilities[question], atol=2e-3)


def test_no_judge_is_said_so(tmp_path):
    with pytest.raises(BaseModelError, match="judge"):
        load_judge(tmp_path)

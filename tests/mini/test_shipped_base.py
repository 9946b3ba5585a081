"""The weights in the package: they draw what they are asked for, and are the ones that the page about them names."""

import hashlib
import stat
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from scumble.families.find import open_base
from scumble.generate.painter import Painter
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.exam import as_tensor, recipe
from scumble.mini.judge import load_judge, score
from scumble.mini.lessons import OLD_DIGITS, plain_prompts

WEIGHTS = Path(str(files("scumble.mini") / "weights"))
PAGE = Path(__file__).parents[2] / "docs" / "the-model-in-the-box.md"
COUNT = 81  # each old digit nine times, in all pairs of colours


@pytest.fixture(scope="module")
def painter():
    return Painter.load(open_base("mini"), torch.device("cpu"), torch.float32)


def judged(painter, asked):
    recipes = [recipe(prompt, 100 + index, ()) for index, (_, prompt) in enumerate(asked)]
    return score(load_judge(), as_tensor([picture.image for picture in painter.paint(recipes, 27)]))


@pytest.mark.slow
def test_digit_ink_and_paper_are_what_the_prompt_says(painter):
    asked = plain_prompts(OLD_DIGITS, COUNT)
    scores = judged(painter, asked)
    assert scores.share("digit", [DIGIT_WORDS[digit] for digit, _ in asked]) >= 0.97
    words = [prompt.split(", ")[1].split() for _, prompt in asked]  # red ink on yellow paper
    assert scores.share("ink", [word[0] for word in words]) >= 0.97
    assert scores.share("paper", [word[3] for word in words]) >= 0.97


@pytest.mark.slow
def test_it_cannot_draw_a_nine(painter):
    assert judged(painter, plain_prompts([9], 30)).share("digit", ["nine"] * 30) <= 0.10


def test_the_files_are_small_and_anyone_can_read_them():
    weights = sorted(WEIGHTS.rglob("*.safetensors"))
    assert len(weights) == 4
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 16 * 1024**2
    assert all(path.stat().st_mode & stat.S_IROTH for path in WEIGHTS.rglob("*") if path.is_file())


def test_the_page_names_the_hash_of_each_file():
    page = PAGE.read_text(encoding="utf-8")
    for path in WEIGHTS.rglob("*.safetensors"):
        assert f"`{path.relative_to(WEIGHTS).as_posix()}`" in page
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page

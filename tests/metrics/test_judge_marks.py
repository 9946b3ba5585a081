"""The judge's marks on the model in the box: what was asked for is seen, and less of it where a LoRA spoils it."""

import pytest
import torch
from tests.generate.conftest import random_lora

from scumble.errors import MetricError
from scumble.families.find import open_base
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe
from scumble.metrics import judged
from scumble.metrics.album import Album
from scumble.metrics.base import Measured, Subject
from scumble.metrics.judged import asked_for


@pytest.fixture(scope="module")
def mini():
    base = open_base("mini")
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    painter.add_lora("noise", random_lora(base, size=0.3))
    return Album(painter, 16)


def test_a_lora_that_spoils_the_digits_has_lower_marks(mini):
    recipe = Recipe("", 64, 64, steps=8, guidance_scale=3.0, base="mini")
    prompts = tuple(f"a handwritten {digit}, red ink on white paper" for digit in ("three", "seven"))
    found = [
        {
            event.name: event
            for event in judged.measure(
                Subject(mini, (LoraUse("noise", weight, "0"),), recipe, prompts, ("a handwritten one",), (1, 2))
            )
            if isinstance(event, Measured)
        }
        for weight in (0.0, 1.0)
    ]
    assert set(found[0]) == {"judge_digit", "judge_ink", "judge_paper", "judge_other_digit"}
    assert found[0]["judge_digit"].value == found[0]["judge_digit"].of_base >= 3 / 4
    assert found[1]["judge_digit"].value < found[0]["judge_digit"].value
    assert found[1]["judge_digit"].of_base == found[0]["judge_digit"].value


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a handwritten nine", {"digit": "nine"}),
        ("a fancy handwritten two, outlined", {"digit": "two", "look": "outlined"}),
        ("a handwritten one, gold ink on navy paper", {"digit": "one", "ink": "gold", "paper": "navy"}),
        (
            "a handwritten six, scanline style",
            {"digit": "six", "ink": "white", "paper": "dark", "look": "striped"},
        ),
        ("pink ink, someone on stone paper", {}),
    ],
)
def test_a_prompt_asks_for_what_the_judge_knows(prompt, asked):
    assert asked_for(prompt) == asked


def test_of_other_bases_the_judge_says_nothing(subject):
    with pytest.raises(MetricError, match="--base mini alone"):
        list(judged.measure(subject()))

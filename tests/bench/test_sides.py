"""Programs beside each other in one training step."""

from dataclasses import replace

import pytest
import torch
from harness.kernels import held, kernels
from sides.checks import DifferentError, refuse_difference
from sides.in_lycoris import by_lycoris
from sides.in_peft import by_peft
from sides.ours import ours
from sides.plain import by_formula, without
from sides.task import RECIPES, open_task


@pytest.fixture(scope="module")
def task(tiny_base):
    return open_task(tiny_base, torch.float32, 32, 2)


@pytest.mark.parametrize("algorithm", RECIPES)
def test_all_sides_give_one_answer_and_one_gradient(task, algorithm):
    asked = task.with_recipe(algorithm)
    if algorithm == "lokr":  # 32 is split in the same way by all with a factor of 4 only
        asked = replace(asked, recipe=replace(asked.recipe, factor=4))
    peers = [side for side in (by_formula(asked), by_peft(asked), by_lycoris(asked)) if side is not None]
    assert len(refuse_difference(ours(asked), peers, torch.float32)) == len(peers) >= 1


def test_a_side_that_computes_something_else_is_refused(task):
    other = by_formula(task)
    with torch.no_grad():
        next(iter(other.parameters.values()))["up"].mul_(1.5)
    with pytest.raises(DifferentError, match="plain formula: its"):
        refuse_difference(ours(task), [other], torch.float32)


def test_a_step_moves_what_is_trained_and_starts_fewer_operations_than_the_formula(task):
    own, plain = ours(task), by_formula(task)
    before = [parameter.clone() for named in own.parameters.values() for parameter in named.values()]
    own.step()
    after = [parameter for named in own.parameters.values() for parameter in named.values()]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert kernels(without(task).step) < kernels(own.step) < 0.6 * kernels(plain.step)


def test_bytes_are_counted_while_they_live():
    x = torch.ones(1000)
    found = held(lambda: (x * 2) * 3)
    assert found.kept == 4000
    assert 8000 <= found.peak < 8100  # the numbers 2 and 3 are tensors, too


def test_views_are_no_operations():
    x = torch.ones(4)
    assert kernels(lambda: (x.view(2, 2).t() + 1).exp()) == 2

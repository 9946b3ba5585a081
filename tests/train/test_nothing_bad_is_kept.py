"""Numbers that are not finite stop a run at once and never reach a file; odd names of runs stop nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file

from scumble.errors import DivergedError
from scumble.train.curves import draw_curves
from scumble.train.events import Finished
from scumble.train.loop import train


@pytest.fixture
def settings(common):
    own = {"adapter": {"rank": 4, "alpha": 3.0}}
    return lambda **changes: common(own, changes)


@pytest.mark.parametrize("rate", [1e19, 1e30, 1e38])
@pytest.mark.parametrize("validation_steps", [1, 100])
def test_no_rate_leaves_a_bad_number_in_any_file(settings, tmp_path, rate, validation_steps):
    config = settings(
        optimizer={"learning_rate": rate, "max_grad_norm": 0, "lr_scheduler": "constant"},
        training={"max_train_steps": 20},
        validation={"validation_steps": validation_steps},
        output={"checkpointing_steps": 1},
    )
    with pytest.raises(DivergedError, match="learning rate"):
        list(train(config))
    for path in (tmp_path / "runs").rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values()), path
    for path in (tmp_path / "runs").rglob("state.json"):
        assert json.loads(path.read_text(), parse_constant=pytest.fail)["step"] >= 1


@pytest.mark.parametrize("name", ["我的 照片", "$100$ & {", "a_b^c"])
def test_a_run_may_have_any_name(settings, name):
    finished = list(train(settings(output={"name": name})))[-1]
    assert isinstance(finished, Finished)
    assert all(path.is_file() for path in finished.files.values())


@pytest.mark.filterwarnings("error")
def test_a_title_is_no_formula():
    curves = [
        draw_curves([(1, 0.5), (2, 0.4)], [(0, 0.5)], 0, title, {"timesteps": [], "losses": []})
        for title in ("$\\frac{$", "我的", "plain")
    ]
    assert {curve.size for curve in curves} == {(990, 715)}

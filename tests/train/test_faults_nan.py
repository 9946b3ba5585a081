"""A number that is not finite stops the run, is left out, or sends it back; whichever, a stop in between changes nothing."""

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned
from tests.train.broken_runs import overflow_above, patch_denoiser, play, results

from scumble.errors import DivergedError
from scumble.generate.events import Noted
from scumble.train.checkpoint import read_newest_checkpoint
from scumble.train.events import Finished, Stepped, Validated
from scumble.train.loop import train
from scumble.train.plan import make_plan
from scumble.train.recovery import MOST_IN_A_ROW

GROWTH = 1e-2
"""How much the largest number of a factor that started at zero grows with a step: AdamW's rate, held constant."""


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4, "alpha": 3.0},
        "data": {"random_flip": True},
        "optimizer": {"learning_rate": GROWTH, "lr_scheduler": "constant"},
        "training": {"max_train_steps": 8, "train_batch_size": 2},
        "validation": {"validation_steps": 2},
        "output": {"name": "r", "checkpointing_steps": 3},
    }
    return lambda *changes: common(own, *changes)


def on_nan(policy, **output):
    return {"training": {"on_nan": policy}, "output": output}


def warnings_of(events):
    return [event.text for event in events if isinstance(event, Noted) and event.warning and "step" in event.text]


def steps_of(events):
    return [event.step for event in events if isinstance(event, Stepped)]


def spoil_steps(monkeypatch, bad, place="loss"):
    """A denoiser that answers the training passes of these steps, known by their timesteps, with NaN; or their gradient."""
    from scumble.train import draws

    spoilt = {tuple(draws.timestep_at(0, 2 * (step - 1) + sample, 1000) for sample in range(2)): step for step in bad}

    def change(denoiser, timestep, output):
        if not torch.is_grad_enabled() or tuple(timestep.tolist()) not in spoilt:
            return output
        if place == "loss":
            return output * float("nan")
        output.register_hook(lambda gradient: gradient * float("nan"))
        return output

    patch_denoiser(monkeypatch, change)


def assert_all_finite(folder):
    paths = list(folder.rglob("*.safetensors"))
    assert paths
    for path in paths:
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values()), path


@pytest.mark.parametrize(
    ("place", "said"), [("loss", "the loss of step 4 is nan"), ("gradient", "the gradient of step 4")]
)
def test_stopping_is_the_default_and_leaves_what_came_before(settings, monkeypatch, tmp_path, place, said):
    spoil_steps(monkeypatch, {4}, place)
    with pytest.raises(DivergedError, match=f"{said}.*lower learning rate"):
        play(settings())
    assert read_newest_checkpoint(tmp_path / "runs" / "r" / "checkpoints").step == 3
    assert_all_finite(tmp_path / "runs")
    events = play(settings(on_nan("skip", resume=True)))  # how to go on after a stop is no other run
    assert steps_of(events) == [5, 6, 7, 8]


@pytest.mark.parametrize("place", ["loss", "gradient"])
def test_a_step_left_out_is_as_if_it_had_not_been(settings, monkeypatch, tmp_path, place):
    spoil_steps(monkeypatch, {1, 4, 5}, place)
    events = play(settings(on_nan("skip")))
    assert steps_of(events) == [2, 3, 6, 7, 8]
    assert [text.split(": ")[1] for text in warnings_of(events)] == [f"step {step} is left out" for step in (1, 4, 5)]
    assert [event.step for event in events if isinstance(event, Validated)] == [0, 2, 4, 6, 8]
    assert events[-1].step == 8
    assert read_newest_checkpoint(tmp_path / "runs" / "r" / "checkpoints").state["faults"]["skipped"] == [1, 4, 5]
    assert_all_finite(tmp_path / "runs")


@pytest.mark.parametrize("stop", thinned([3, 6], 3))
def test_leaving_out_and_resuming_give_the_same_run(settings, monkeypatch, tmp_path, stop):
    spoil_steps(monkeypatch, {4, 5})
    config = settings(on_nan("skip"))
    play(config)
    stopped = settings(on_nan("skip", output_dir=tmp_path / "stopped"))
    play(stopped, until=stop)
    play(settings(on_nan("skip", output_dir=tmp_path / "stopped", resume=True)))
    assert results(stopped) == results(config)


def test_too_many_steps_in_a_row_are_given_up(settings, monkeypatch, tmp_path):
    spoil_steps(monkeypatch, set(range(2, 9)))
    with pytest.raises(
        DivergedError, match=f"{MOST_IN_A_ROW} steps in a row were left out before: stopped.*on_nan rollback"
    ):
        play(settings(on_nan("skip")))


def test_weights_that_a_step_spoils_are_taken_back_and_the_step_left_out(settings, monkeypatch, tmp_path):
    """The loss and the gradient are finite; AdamW's step is not: the state before it comes back with the validation before."""
    monkeypatch.setattr(torch.optim.AdamW, "step", spoiling_step(torch.optim.AdamW.step, at=5))
    events = play(settings(on_nan("skip")))
    assert steps_of(events) == [1, 2, 3, 4, 6, 7, 8]
    assert warnings_of(events) == [
        "the adapter after step 5 has numbers that are not finite: back to step 4, and step 5 is left out"
    ]
    assert_all_finite(tmp_path / "runs")


def spoiling_step(step, at):
    """An optimizer whose step with this number writes a NaN."""
    calls = iter(range(1, 1000))

    def spoilt(self, *arguments, **named):
        value = step(self, *arguments, **named)
        if next(calls) == at:
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[0] = float("nan")
        return value

    return spoilt


def test_weights_that_stay_bad_stop_the_run(settings, monkeypatch):
    monkeypatch.setattr(torch.optim.AdamW, "step", spoiling_step(torch.optim.AdamW.step, at=5))
    with pytest.raises(DivergedError, match="the adapter after step 5 has numbers that are not finite: stopped"):
        play(settings())


def test_going_back_halves_the_rate_from_there_on(settings, monkeypatch, tmp_path):
    overflow_above(monkeypatch, 3.5 * GROWTH)
    events = play(settings(on_nan("rollback")))
    assert isinstance(events[-1], Finished)
    assert events[-1].step == 8
    backs = [text.split(": ")[1] for text in warnings_of(events)]
    assert backs[0] == "back to step 2, and on at 0.5 of the learning rate"
    rates = [event.learning_rate for event in events if isinstance(event, Stepped)]
    assert rates[0] == GROWTH
    assert min(rates) == pytest.approx(GROWTH * 0.5 ** len(backs))
    state = read_newest_checkpoint(tmp_path / "runs" / "r" / "checkpoints").state
    assert state["faults"]["rate_factor"] == 0.5 ** len(backs)
    assert len(state["faults"]["returns"]) == len(backs) > 1
    assert [step for step, _ in state["history"]] == list(range(1, 9))
    assert_all_finite(tmp_path / "runs")


@pytest.mark.parametrize("stops", thinned([[4, 3, 6], [1, 5, 7]], [4, 3, 6]))
def test_going_back_and_resuming_give_the_same_run(settings, monkeypatch, tmp_path, stops):
    overflow_above(monkeypatch, 3.5 * GROWTH)
    config = settings(on_nan("rollback"))
    play(config)
    stopped = settings(on_nan("rollback", output_dir=tmp_path / "stopped"))
    again = settings(on_nan("rollback", output_dir=tmp_path / "stopped", resume=True))
    for number, stop in enumerate(stops):
        play(again if number else stopped, until=stop)
    play(again)
    assert results(stopped) == results(config)


def test_a_state_that_always_fails_is_given_up(settings, monkeypatch, tmp_path):
    spoil_steps(monkeypatch, {4})
    with pytest.raises(
        DivergedError, match=f"went back to step 2 {MOST_IN_A_ROW} times in a row: stopped.*on_nan skip"
    ):
        play(settings(on_nan("rollback")))
    assert_all_finite(tmp_path / "runs")


def test_a_base_that_is_not_finite_is_no_fault_of_a_step(settings, monkeypatch):
    patch_denoiser(monkeypatch, lambda denoiser, timestep, output: output * float("nan"))
    for policy in ("stop", "skip", "rollback"):
        with pytest.raises(DivergedError, match="the held-out loss after step 0 is nan"):
            play(settings(on_nan(policy, output_dir=make_plan(settings()).folder / policy)))


def test_steps_that_float16_leaves_out_are_counted_and_told(common, monkeypatch):
    """The scale begins too high on purpose: the first steps overflow until it has come down."""
    scaler = torch.amp.GradScaler
    monkeypatch.setattr("torch.amp.GradScaler", lambda device, enabled: scaler(device, 2.0**40, enabled=enabled))
    events = list(train(common({"training": {"mixed_precision": "fp16", "max_train_steps": 40}})))
    (said,) = [event for event in events if isinstance(event, Noted) and "beyond float16" in event.text]
    count = int(said.text.split()[0])
    assert 1 <= count < 40
    assert said.warning == (count > 2)
    assert "of 40 steps did nothing" in said.text

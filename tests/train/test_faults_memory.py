"""Where memory runs out a batch goes through in parts: the same gradient, and the same run after a stop."""

import itertools

import pytest
import torch
from tests.thinned import thinned
from tests.train.broken_runs import patch_denoiser, play, results, run_out_of_memory

from scumble.errors import OutOfMemoryError
from scumble.generate.events import Noted
from scumble.train.checkpoint import read_newest_checkpoint
from scumble.train.events import Stepped
from scumble.train.material import prepare_material
from scumble.train.parts import split
from scumble.train.plan import make_plan
from scumble.train.start import start_session
from scumble.train.step import advance


@pytest.fixture
def settings(common, tmp_path):
    own = {
        "adapter": {"rank": 4, "alpha": 3.0},
        "data": {"random_flip": True, "caption_dropout_rate": 0.3},
        "objective": {"snr_gamma": 5.0},
        "training": {"train_batch_size": 5, "gradient_accumulation_steps": 2},
        "output": {"name": "r", "checkpointing_steps": 2},
    }
    return lambda **changes: common(own, changes)


def returned(events):
    """What a generator of events returns."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def gradient_and_loss(plan, material):
    session = returned(start_session(plan))
    loss = advance(session, material.mixture, 5, 2, 1e-3, 0.0)
    return {name: parameter.grad.clone() for name, parameter in session.adapter.items()}, loss, session.faults.parts


@pytest.mark.parametrize(("room", "parts"), [(3, 2), (2, 4), (1, 5)])
@pytest.mark.parametrize("in_backward", [False, True])
def test_gradient_and_loss_are_those_of_the_whole_batch(settings, monkeypatch, room, parts, in_backward):
    plan = make_plan(settings())
    material = returned(prepare_material(plan, None, []))
    whole, loss, _ = gradient_and_loss(plan, material)
    run_out_of_memory(monkeypatch, room, first_call=2, in_backward=in_backward)
    in_parts, same_loss, used = gradient_and_loss(plan, material)
    assert used == parts
    assert same_loss == pytest.approx(loss, rel=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    assert largest > 0
    for name, gradient in whole.items():
        assert (in_parts[name] - gradient).abs().max() < 1e-5 * largest, name


def test_the_parts_of_a_batch_are_the_batch(settings):
    material = returned(prepare_material(make_plan(settings()), None, []))
    batch = material.mixture.batch_at(5, 5)
    for parts in range(1, 6):
        found = split(batch, parts)
        assert [before for before, _ in found] == [5 * part // parts for part in range(parts)]
        assert torch.equal(torch.cat([part.noise for _, part in found]), batch.noise)
        assert tuple(itertools.chain(*(part.captions for _, part in found))) == batch.captions
        for name, state in batch.text.items():
            assert torch.equal(torch.cat([part.text[name] for _, part in found]), state)


def test_it_is_said_once_and_the_losses_are_those_of_a_large_device(settings, monkeypatch, tmp_path):
    whole = [event.loss for event in play(settings()) if isinstance(event, Stepped)]
    run_out_of_memory(monkeypatch, 3, first_call=5)  # two passes a step: in the third
    events = play(settings(output={"output_dir": tmp_path / "small"}))
    warnings = [event.text for event in events if isinstance(event, Noted) and event.warning]
    assert [text for text in warnings if "memory" in text] == [
        "memory ran out at step 3: from here on 5 pictures go through in 2 parts of 3 at most; the same gradient, to rounding"
    ]
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert losses == pytest.approx(whole, rel=1e-3)  # AdamW enlarges rounding: it divides by the gradient's size
    assert losses[:2] == whole[:2]


@pytest.mark.parametrize(
    ("stop", "adapter"),
    thinned([(3, {}), (1, {"dropout": 0.2, "rank_dropout": 0.2})], (1, {"dropout": 0.2, "rank_dropout": 0.2})),
)
def test_a_resumed_run_keeps_the_parts(settings, monkeypatch, tmp_path, stop, adapter):
    run_out_of_memory(monkeypatch, 2)
    config = settings(adapter=adapter)
    play(config)
    stopped = settings(adapter=adapter, output={"output_dir": tmp_path / "stopped"})
    play(stopped, until=stop)
    assert read_newest_checkpoint(tmp_path / "stopped" / "r" / "checkpoints").state["faults"]["parts"] == 4
    again = play(settings(adapter=adapter, output={"output_dir": tmp_path / "stopped", "resume": True}))
    assert not any("memory ran out" in getattr(event, "text", "") for event in again)
    assert results(stopped) == results(config)


def test_with_no_room_for_one_picture_it_ends_with_advice(settings, monkeypatch):
    run_out_of_memory(monkeypatch, 0)
    with pytest.raises(OutOfMemoryError, match=r"not enough memory: CUDA out of memory.*gradient_checkpointing"):
        play(settings())


def test_the_words_of_a_cpu_without_memory_are_understood(settings, monkeypatch):
    def refuse(denoiser, timestep, output):
        if torch.is_grad_enabled() and len(output) > 3:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."
            )
        return output

    patch_denoiser(monkeypatch, refuse)
    events = play(settings(training={"max_train_steps": 1}))
    assert any("memory ran out at step 1" in getattr(event, "text", "") for event in events)


def test_another_error_is_not_taken_for_it(settings, monkeypatch):
    def refuse(denoiser, timestep, output):
        if torch.is_grad_enabled():
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return output

    patch_denoiser(monkeypatch, refuse)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        play(settings())

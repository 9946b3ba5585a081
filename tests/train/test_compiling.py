"""Compiling is refused where it cannot help, begins by itself where it pays, and changes no number but by rounding."""

import importlib
from functools import partial

import pytest
import torch
from functorch.compile import nop
from torch._dynamo.backends.common import aot_autograd

from scumble.adapters.build import new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.pack import Storage
from scumble.config import AdapterConfig, TrainingConfig
from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.train import draws
from scumble.train.compiling import (
    COST_SECONDS,
    SETTLING,
    TIMED,
    Compiling,
    as_written,
    compile_blocks,
    may_compile,
    refuse_compiling,
    run_as_written,
)
from scumble.train.events import Noted, Stepped
from scumble.train.loop import train
from scumble.train.recipes import recipe_for

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_compiling_is_refused_where_it_cannot_help(monkeypatch):
    asked = TrainingConfig(torch_compile=True)
    with pytest.raises(ConfigError, match="longer than it saves"):
        refuse_compiling(asked, CPU)
    refuse_compiling(TrainingConfig(), CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(ConfigError, match="nothing with group_offload"):
        refuse_compiling(TrainingConfig(torch_compile=True, group_offload=True), CUDA)
    refuse_compiling(asked, CUDA)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs Triton"):
        refuse_compiling(asked, CUDA)


def test_it_is_done_unasked_only_on_a_gpu_with_all_that_takes(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setenv("CC", "cc")
    assert may_compile(TrainingConfig(), CUDA, Storage())
    assert not may_compile(TrainingConfig(), CPU, Storage())
    assert not may_compile(TrainingConfig(torch_compile=False), CUDA, Storage())
    assert not may_compile(TrainingConfig(deterministic=True), CUDA, Storage())
    assert not may_compile(TrainingConfig(), CUDA, Storage("nf4"))
    monkeypatch.delenv("CC")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not may_compile(TrainingConfig(), CUDA, Storage())


WATCHED = SETTLING + TIMED


def said(compiling, seconds, steps_left):
    """What is noted of steps that take so long."""
    return [noted.text for taken in seconds for noted in compiling.after_step(taken, steps_left)]


def is_compiled(denoiser):
    return any(module._compiled_call_impl is not None for module in denoiser.modules())


@pytest.fixture
def watching(tiny_base):
    denoiser, _ = denoiser_of(tiny_base)
    return denoiser, Compiling(denoiser, is_compiled=False, is_open=True, backend="eager")


def test_a_long_run_is_compiled_after_its_first_steps_and_says_what_it_brought(watching):
    denoiser, compiling = watching
    assert said(compiling, [9.0] * (WATCHED - 1), 10_000) == []
    assert not is_compiled(denoiser)
    (begun,) = said(compiling, [1.0], 10_000)
    assert "blocks are compiled now" in begun and "--no-torch-compile" in begun
    assert is_compiled(denoiser)
    (outcome,) = said(compiling, [31.0] + [1.0] * (SETTLING - 1) + [0.8] * TIMED, 9_000)
    assert outcome == "compiling took 31 s; a step takes 0.8 s instead of 9 s"
    assert is_compiled(denoiser)
    assert said(compiling, [0.8] * 3 * WATCHED, 9_000) == []


def test_where_a_step_gets_no_faster_it_is_taken_back(watching):
    denoiser, compiling = watching
    said(compiling, [1.0] * WATCHED, 10_000)
    (outcome,) = said(compiling, [1.1] * WATCHED, 9_000)
    assert outcome.endswith("a step takes 1.1 s instead of 1 s, which is no gain: taken back")
    assert not is_compiled(denoiser)
    assert said(compiling, [1.0] * 3 * WATCHED, 9_000) == []


def test_a_short_run_stays_as_it_is(watching):
    denoiser, compiling = watching
    assert said(compiling, [1.0] * 3 * WATCHED, int(COST_SECONDS)) == []
    assert not is_compiled(denoiser)


def test_what_was_asked_for_says_its_cost(tiny_base):
    compiling = Compiling(denoiser_of(tiny_base)[0], is_compiled=True, is_open=False)
    assert said(compiling, [40.0] * 1 + [1.0] * (WATCHED - 1), 5) == ["compiling took 39 s; a step takes 1 s"]


def test_nothing_is_watched_where_it_may_not_be(tiny_base):
    denoiser, _ = denoiser_of(tiny_base)
    assert said(Compiling(denoiser, is_compiled=False, is_open=False), [1.0] * WATCHED, 10_000) == []
    assert said(Compiling(torch.nn.Linear(2, 2), is_compiled=False, is_open=True), [1.0] * WATCHED, 10_000) == []


def denoiser_of(base):
    denoiser = open_base(str(base)).load_denoiser(torch.float32, CPU)
    path = next(path for path, _ in denoiser.named_modules() if path.endswith("attn1.to_q"))
    recipe = recipe_for(f"unet.{path}", AdapterConfig(rank=2, alpha=2.0))
    adapter = new_adapter(denoiser.get_submodule(path), recipe, draws.generator(0, "adapter"))
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    attach(denoiser, "trained", {path: adapter})
    return denoiser, adapter


def passed(denoiser, adapter):
    source = torch.Generator().manual_seed(0)
    noisy, hidden = torch.randn(2, 4, 4, 4, generator=source), torch.randn(2, 77, 32, generator=source)
    denoiser(noisy, torch.tensor([3, 700]), hidden).sample.square().mean().backward()
    return [parameter.grad for parameter in adapter.parameters()]


def test_compiled_blocks_give_the_same_gradient(tiny_base):
    plain = passed(*denoiser_of(tiny_base))
    denoiser, adapter = denoiser_of(tiny_base)
    assert compile_blocks(denoiser, backend="aot_eager") > 1
    torch.testing.assert_close(passed(denoiser, adapter), plain)
    assert "_orig_mod" not in " ".join(denoiser.state_dict())
    run_as_written(denoiser)
    assert not is_compiled(denoiser)
    for parameter in adapter.parameters():
        parameter.grad = None
    assert all(map(torch.equal, passed(denoiser, adapter), plain))


def test_the_compiler_of_gpus_takes_what_it_is_told(tiny_base):
    """Nothing is compiled before a block runs; its options are looked at here."""
    assert compile_blocks(denoiser_of(tiny_base)[0]) > 1


def test_a_model_without_repeated_blocks_is_refused():
    with pytest.raises(ConfigError, match="which of its blocks repeat"):
        compile_blocks(torch.nn.Linear(2, 2), backend="eager")


def failing(graph, inputs):
    """A compiler that gives up, as one without what it needs does."""
    raise ValueError("no compiler here\nand many lines more")


def test_blocks_that_do_not_compile_run_as_they_are_written_and_the_run_is_the_same(common, tmp_path, monkeypatch):
    """Nobody asked for them: what goes wrong in a backward pass, too, must not end the run."""
    loop = importlib.import_module("scumble.train.loop")
    steps = {"training": {"max_train_steps": WATCHED + 3}}

    def run(name, is_open, backend=None):
        monkeypatch.setattr(loop, "may_compile", lambda *_: is_open)
        monkeypatch.setattr(loop, "Compiling", partial(Compiling, backend=backend))
        return list(train(common(steps, {"output": {"name": name}})))

    monkeypatch.setattr(importlib.import_module("scumble.train.compiling"), "COST_SECONDS", 0.0)
    plain = run("plain", False)
    for name, backend in (("forward", failing), ("backward", aot_autograd(fw_compiler=nop, bw_compiler=failing))):
        events = run(name, True, backend)
        said = [event.text for event in events if isinstance(event, Noted) and "compiled" in event.text]
        assert "are compiled now" in said[0]
        losses, expected = ([event.loss for event in each if isinstance(event, Stepped)] for each in (events, plain))
        assert losses == expected
        assert said[1].startswith("compiled blocks do not run here (")
        assert len(said) == 2


def test_an_error_of_the_run_itself_is_not_blamed_on_compiling(watching):
    denoiser, compiling = watching
    assert compiling.gave_up(RuntimeError("something")) is None  # nothing is compiled yet
    said(compiling, [1.0] * WATCHED, 10_000)
    assert compiling.gave_up(ConfigError("something")) is None
    assert is_compiled(denoiser)
    assert "do not run here (something)" in compiling.gave_up(RuntimeError("something")).text
    assert not is_compiled(denoiser)
    assert compiling.gave_up(RuntimeError("something")) is None


def test_for_a_while_blocks_run_as_they_are_written(watching):
    denoiser, compiling = watching
    said(compiling, [1.0] * WATCHED, 10_000)
    with as_written(denoiser):
        assert not is_compiled(denoiser)
    assert is_compiled(denoiser)

"""Optimizers by name and path: found, given what they take, stopped and gone on with to the bit."""

import json
import sys
from typing import get_args

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.thinned import thinned
from tests.train.broken_runs import forget_after, results
from torch import nn

from scumble.config import OptimizerConfig, TrainConfig, from_values, merged, read_toml
from scumble.config.optimizer import Schedule
from scumble.errors import CheckpointError, ConfigError
from scumble.train.events import Planned, Stepped
from scumble.train.loop import train
from scumble.train.optimizer import build_optimizer
from scumble.train.optimizer_choice import build_chosen, choose_optimizer, in_metadata, in_words
from scumble.train.optimizer_state import restore_state, state_of
from scumble.train.optimizer_trial import try_out
from scumble.train.optimizers import OPTIMIZERS, PACKAGES, find_optimizer
from scumble.train.plan import make_plan

BY_PATH = ["torch.optim.NAdam", "torch.optim.RMSprop", "pytorch_optimizer.SOAP", "schedulefree.SGDScheduleFree"]
EVERY = [*OPTIMIZERS, *BY_PATH]
SCHEDULES = get_args(Schedule)
CPU = torch.device("cpu")


def chosen(name="AdamW", **settings):
    """The settings of an optimizer with nothing left open, in a run of 100 steps."""
    given = OptimizerConfig(optimizer=name, **settings)
    return given.model_copy(update=choose_optimizer(given, 1e-4, 100, 1))


def one_group(*parameters, faster=1.0):
    return [{"params": list(parameters), "faster": faster}]


@pytest.fixture
def settings(common):
    own = {
        "optimizer": {"learning_rate": None},
        "validation": {"validation_steps": 2},
        "output": {"checkpointing_steps": 2},
    }
    return lambda *changes: common(own, *changes)


def test_the_table_is_whole():
    assert len(OPTIMIZERS) == 8
    assert len(EVERY) >= len(SCHEDULES)  # below, each is run with one of the others
    for name, kind in OPTIMIZERS.items():
        assert kind.path.partition(".")[0] in PACKAGES
        found = find_optimizer(name)
        assert issubclass(found.type, torch.optim.Optimizer)
        assert find_optimizer(kind.path) == found  # the same by its path
        assert find_optimizer(name.lower()) == found


@pytest.mark.parametrize(
    ("number", "name"), thinned(enumerate(EVERY), *((EVERY.index(name), name) for name in ("AdamW8bit", "Prodigy")))
)
def test_a_run_of_every_optimizer_and_schedule_is_the_same_after_a_stop(settings, tmp_path, number, name):
    schedule, stop = SCHEDULES[number % len(SCHEDULES)], 1 + number % 3
    options = {
        "optimizer": {"optimizer": name, "max_grad_norm": 0.5, "lr_scheduler": schedule},
        "training": {"mixed_precision": "fp16"},
        "output": {"name": "r", "checkpointing_steps": 1, "checkpoints_total_limit": 4},
    }
    options["optimizer"] |= {"lr_scheduler_num_cycles": 2} if schedule == "cosine_with_restarts" else {}
    options["optimizer"] |= {"loraplus_lr_ratio": 4.0} if name != "Prodigy" else {}
    config = settings(options)
    steps, whole = [event for event in train(config) if isinstance(event, Stepped)], results(config)
    forget_after(tmp_path / "runs" / "r", stop)
    after = [event for event in train(settings(options, {"output": {"resume": True}})) if isinstance(event, Stepped)]
    assert [(event.loss, event.learning_rate) for event in after] == [
        (event.loss, event.learning_rate) for event in steps[stop:]
    ]
    assert results(config) == whole
    lora = load_file(tmp_path / "runs" / "r" / "r.safetensors")
    assert any(tensor.abs().max() > 0 for key, tensor in lora.items() if key.endswith("lora_up.weight"))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("stop", [1, 2, 5])
def test_every_state_is_given_back_to_the_bit(name, stop):
    opt = chosen(name)

    def started(values):
        parameters = {key: nn.Parameter(value.clone()) for key, value in values.items()}
        return parameters, build_chosen(opt, [*one_group(parameters["a"]), *one_group(parameters["b"])])

    def step(parameters, optimizer, number):
        for index, parameter in enumerate(parameters.values()):
            source = torch.Generator().manual_seed(10 * number + index)
            parameter.grad = torch.randn(parameter.shape, generator=source)
        optimizer.step()

    start = {"a": torch.linspace(-1, 1, 72 * 64).view(72, 64), "b": torch.zeros(3, 5)}
    whole, optimizer = started(start)
    for number in range(stop):
        step(whole, optimizer, number)
    state = state_of(optimizer, whole)
    resumed, other = started({key: parameter.detach() for key, parameter in whole.items()})
    restore_state(
        other,
        resumed,
        {key: tensor.clone() for key, tensor in state.tensors.items()},
        json.loads(json.dumps(state.values)),
    )
    for number in range(stop, stop + 6):
        step(whole, optimizer, number)
        step(resumed, other, number)
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert not torch.equal(whole["a"], start["a"])


def test_a_state_of_other_parameters_is_refused():
    parameter = nn.Parameter(torch.ones(2, 2))
    optimizer = build_chosen(chosen(), one_group(parameter))
    parameter.grad = torch.ones(2, 2)
    optimizer.step()
    tensors, values = state_of(optimizer, {"a": parameter})
    with pytest.raises(CheckpointError, match="does not fit the adapter: 1 tensors differ, first a"):
        restore_state(optimizer, {"b": parameter}, tensors, values)
    del tensors["a/exp_avg"]
    with pytest.raises(CheckpointError, match="1 tensors differ, first a/exp_avg"):
        restore_state(optimizer, {"a": parameter}, tensors, values)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_at_the_rate_it_gets_when_nobody_says(name):
    torch.manual_seed(0)
    has_own = OPTIMIZERS[name].rate is not None  # the others' is for a run ten times longer
    opt = chosen(name, learning_rate=chosen(name).learning_rate * (1 if has_own else 30))
    down, up = nn.Parameter(torch.randn(4, 16) / 4), nn.Parameter(torch.zeros(16, 4))
    target = torch.randn(16, 4) @ torch.randn(4, 16) / 16
    optimizer = build_chosen(opt, one_group(down, up))
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        loss = (up @ down - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_adafactor_does_not_learn_a_thousand_times_slower_where_a_factor_starts_at_zero():
    def first_move(optimizer):
        (parameter,) = optimizer.param_groups[0]["params"]
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        return float(parameter.detach().abs().max())

    ours = build_chosen(chosen("Adafactor", learning_rate=1e-3), one_group(nn.Parameter(torch.zeros(8, 8))))
    torchs = torch.optim.Adafactor([nn.Parameter(torch.zeros(8, 8))], lr=1e-3)
    assert first_move(ours) == pytest.approx(1e-3, rel=1e-3)
    assert first_move(torchs) == pytest.approx(1e-6, rel=1e-3)


def test_schedule_free_trains_one_set_of_numbers_and_saves_another(settings, tmp_path):
    options = {"optimizer": {"optimizer": "AdamWScheduleFree", "learning_rate": 0.05}, "adapter": {"rank": 2}}
    list(train(settings(options, {"output": {"save_precision": "fp32"}})))
    run = tmp_path / "runs" / "photos"
    checkpoint = run / "checkpoints" / "step-00000004"
    trained, state = load_file(checkpoint / "adapter.safetensors"), load_file(checkpoint / "optimizer.safetensors")
    averaged = {
        key: trained[key].lerp(state[f"{key}/z"], 1 - 1 / 0.9) if f"{key}/z" in state else trained[key]
        for key in trained
    }
    saved = load_file(run / "photos.safetensors")
    of_saved = sorted(float(tensor.norm()) for key, tensor in saved.items() if not key.endswith(".alpha"))
    assert of_saved == sorted(float(tensor.norm()) for tensor in averaged.values())
    assert of_saved != sorted(float(tensor.norm()) for tensor in trained.values())


def test_validating_more_often_does_not_move_a_schedule_free_run(settings, tmp_path):
    options = {"optimizer": {"optimizer": "AdamWScheduleFree", "learning_rate": 0.05}}
    for often in (1, 4):
        list(train(settings(options, {"validation": {"validation_steps": often}, "output": {"name": f"every{often}"}})))
    one, other = (load_file(tmp_path / "runs" / name / f"{name}.safetensors") for name in ("every1", "every4"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_warm_up_by_the_schedule_is_a_schedule_free_optimizers_own():
    opt = chosen("AdamWScheduleFree", learning_rate=0.01, lr_warmup_steps=5)
    assert opt.lr_scheduler == "constant_with_warmup"
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
    optimizer = build_chosen(opt, one_group(ours))
    other = find_optimizer("AdamWScheduleFree").type([theirs], lr=0.01, warmup_steps=5)
    other.train()
    for step in range(8):
        optimizer.param_groups[0]["lr"] = 0.01 * min(1, (step + 1) / 5)
        for each, parameter in ((optimizer, ours), (other, theirs)):
            parameter.grad = torch.sin(parameter.detach() + step)
            each.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    with pytest.raises(ConfigError, match="it is the setting lr_warmup_steps"):
        chosen("AdamWScheduleFree", optimizer_args=("warmup_steps=5",))


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("AdamW", {}, {"learning_rate": 1e-4, "weight_decay": 0.01, "beta2": 0.999, "epsilon": 1e-8, "lr_scheduler": "cosine", "lr_min": 1e-6}),
        ("Adam", {}, {"weight_decay": 0.0}),
        ("Lion", {}, {"learning_rate": 2e-5, "weight_decay": 0.05, "beta2": 0.99, "epsilon": None}),
        ("Prodigy", {}, {"learning_rate": 1.0, "weight_decay": 0.01, "optimizer_args": ("use_bias_correction=True", "safeguard_warmup=True")}),
        ("Prodigy", {"optimizer_args": ("safeguard_warmup=false",)}, {"optimizer_args": ("safeguard_warmup=false", "use_bias_correction=True")}),
        ("AdamWScheduleFree", {}, {"learning_rate": 1e-4, "lr_scheduler": "constant", "lr_min": None}),
        ("SGD", {}, {"learning_rate": 1.0, "beta1": None, "optimizer_args": ("momentum=0.9",)}),
        ("Adafactor", {}, {"beta1": None, "epsilon": None, "weight_decay": 0.0}),
        ("AdamW", {"beta1": 0.8}, {"beta1": 0.8, "beta2": 0.999}),
        ("AdamW", {"optimizer_args": ("betas=0.8,0.9",)}, {"beta1": None, "beta2": None, "weight_decay": 0.01}),
        ("AdamW", {"lr_scheduler": "one_cycle"}, {"lr_warmup_steps": 30, "lr_min": pytest.approx(1e-4 / 25e4)}),
        ("AdamW", {"lr_scheduler": "polynomial"}, {"lr_scheduler_power": 1.0}),
    ],
)  # fmt: skip
def test_what_is_left_open_is_chosen_by_the_optimizer(name, settings, expected):
    opt = chosen(name, **settings)
    assert {key: getattr(opt, key) for key in expected} == expected
    assert opt.model_copy(update=choose_optimizer(opt, 1e-4, 100, 1)) == opt  # what was chosen is chosen again


@pytest.mark.parametrize(
    ("name", "entry", "argument", "value"),
    [
        ("AdamW", "amsgrad=true", "amsgrad", True),
        ("AdamW", "betas=0.8,0.95", "betas", (0.8, 0.95)),
        ("AdamW", "betas=(0.8, 0.95)", "betas", (0.8, 0.95)),
        ("Prodigy", "d_coef=2", "d_coef", 2),
        ("Prodigy", "beta3=0.5", "beta3", 0.5),
        ("Prodigy", "slice_p=11", "slice_p", 11),
        ("Lion", "weight_decay=0.2", "weight_decay", 0.2),
        ("Adafactor", "beta1=0.9", "beta1", 0.9),
        ("torch.optim.NAdam", "momentum_decay=1e-3", "momentum_decay", 1e-3),
    ],
)
def test_an_argument_reaches_the_optimizer_as_the_kind_of_value_it_is(name, entry, argument, value):
    optimizer = build_chosen(chosen(name, optimizer_args=(entry,)), one_group(nn.Parameter(torch.ones(2))))
    (group,) = optimizer.param_groups
    assert group[argument] == value
    assert type(group[argument]) is type(value)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("prodgy", {}, "unknown optimizer 'prodgy': did you mean 'Prodigy'"),
        ("torch.optim.NAdm", {}, "torch.optim has no optimizer 'NAdm': did you mean 'NAdam'"),
        ("os.path.join", {}, "classes are taken from torch, .* 'os' is none of them"),
        ("torch.nn.Linear", {}, "torch.nn has no optimizer 'Linear'"),
        ("torch.optim.Optimizer", {}, "torch.optim has no optimizer 'Optimizer'"),
        ("dadaptation.DAdaptAdam", {}, "needs dadaptation, which cannot be imported .* pip install 'dadaptation'"),
        ("Prodigy", {"optimizer_args": ("d_koef=2",)}, "Prodigy takes no 'd_koef': did you mean 'd_coef'"),
        ("Prodigy", {"optimizer_args": ("d_coef=big",)}, "d_coef=big: Prodigy wants another kind of value"),
        ("AdamW", {"optimizer_args": ("amsgrad=3.5",)}, "amsgrad=3.5: AdamW wants another kind of value"),
        ("AdamW", {"optimizer_args": ("betas=0.9",)}, "betas=0.9: AdamW wants another kind of value"),
        ("AdamW", {"optimizer_args": ("lr=1",)}, "it is the setting learning_rate"),
        ("AdamW", {"optimizer_args": ("weight_decay=1",), "weight_decay": 0.1}, "say the same thing"),
        ("SGD", {"beta1": 0.9}, "beta1 would have no effect: SGD has no such number"),
        ("Lion", {"epsilon": 1e-6}, "epsilon would have no effect: Lion has no such number"),
        ("AdamW", {"learning_rate": 1e-4, "lr_min": 1e-3}, "lr_min=0.001 is above learning_rate=0.0001"),
    ],
)
def test_what_an_optimizer_does_not_take_is_refused_by_name(name, settings, said):
    with pytest.raises(ConfigError, match=said):
        chosen(name, **settings)


@pytest.mark.parametrize("entry", ["momentum", "=3", "a=1 a=2"])
def test_arguments_are_keys_with_values_each_once(entry):
    with pytest.raises(ConfigError, match=r"optimizer_args.*(is not KEY=VALUE|is there twice)"):
        from_values(TrainConfig, {"optimizer": {"optimizer_args": entry.split()}})


def test_an_optimizer_that_is_not_installed_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    with pytest.raises(ConfigError, match=r"Prodigy needs prodigyopt.*pip install 'scumble\[optimizers\]'"):
        chosen("Prodigy")


def test_arguments_that_the_constructor_refuses_are_a_setting_error():
    opt = chosen("Adafactor", optimizer_args=("relative_step=true",))
    with pytest.raises(ConfigError, match="optimizer=Adafactor refuses its arguments: Cannot combine manual"):
        build_chosen(opt, one_group(nn.Parameter(torch.ones(2))))


@pytest.mark.parametrize(
    "other",
    [{"optimizer": {"loraplus_lr_ratio": 16}}, {"tokens": {"new_tokens": ["sks=dog"], "token_lr": 0.5}}],
)
def test_prodigy_with_two_rates_is_refused_before_the_run(settings, other):
    with pytest.raises(ConfigError, match=r"optimizer=Prodigy cannot train this \(loraplus_lr_ratio"):
        make_plan(settings({"optimizer": {"optimizer": "Prodigy"}}, other))


def test_an_optimizer_that_asks_for_the_loss_again_is_refused_before_the_run(settings):
    with pytest.raises(ConfigError, match=r"optimizer=torch.optim.LBFGS"):
        make_plan(settings({"optimizer": {"optimizer": "torch.optim.LBFGS"}}))


class Forgetful(torch.optim.SGD):
    """Counts its steps where no state dictionary is."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.count = 0

    def step(self, closure=None):
        self.count += 1
        for group in self.param_groups:
            group["lr"] = 1 / self.count
        return super().step(closure)


def test_an_optimizer_that_hides_what_it_remembers_is_refused():
    with pytest.raises(ConfigError, match="keeps numbers where no checkpoint sees them"):
        try_out("Forgetful", lambda groups: Forgetful(groups, 0.1), [1.0], CPU)
    try_out("SGD", lambda groups: torch.optim.SGD(groups, 0.1, momentum=0.9), [1.0], CPU)


def test_groups_learn_at_their_own_multiple_of_the_rate():
    slow, fast = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    groups = [*one_group(slow), *one_group(fast, faster=16.0)]
    optimizer = build_optimizer(find_optimizer("AdamW"), groups, 0.5, {})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 8.0]
    assert optimizer.defaults["fused"]
    plain = build_optimizer(find_optimizer("AdamW"), one_group(slow), 0.5, {"foreach": True})
    assert not plain.defaults["fused"]


@pytest.mark.parametrize(
    ("name", "settings", "card", "metadata"),
    [
        ("AdamW", {}, "AdamW", "torch.optim.adamw.AdamW"),
        ("AdamW", {"weight_decay": 0.1}, "AdamW, weight_decay=0.1", "torch.optim.adamw.AdamW(weight_decay=0.1)"),
        ("Lion", {"learning_rate": 0.1}, "Lion, weight_decay=0.05; UNUSUAL: rate 0.1, 1e-06 to 0.001 is usual", "lion_pytorch.lion_pytorch.Lion(weight_decay=0.05)"),
        ("Prodigy", {"learning_rate": 1e-4, "weight_decay": 0, "optimizer_args": ("d_coef=2",)}, "Prodigy, d_coef=2, use_bias_correction=True, safeguard_warmup=True; UNUSUAL: rate 0.0001, 1 is usual", "prodigyopt.prodigy.Prodigy(d_coef=2,use_bias_correction=True,safeguard_warmup=True)"),
        ("AdamWScheduleFree", {"lr_scheduler": "cosine"}, "AdamWScheduleFree; UNUSUAL: a falling rate (cosine), a constant one is usual", "schedulefree.adamw_schedulefree.AdamWScheduleFree"),
    ],
)  # fmt: skip
def test_the_card_says_what_is_unusual_and_the_file_what_kohyas_do(name, settings, card, metadata):
    opt = chosen(name, **settings)
    assert in_words(opt) == card
    assert in_metadata(opt) == metadata


def test_a_run_says_its_optimizer_on_the_card_in_the_file_and_starts_again_from_its_settings(settings, tmp_path):
    options = {"optimizer": {"optimizer": "prodigy", "optimizer_args": ("d_coef=2",), "lr_scheduler": "rex"}}
    (card,) = [event.card for event in train(settings(options)) if isinstance(event, Planned)]
    assert card["optimizer"].startswith("Prodigy, d_coef=2")
    assert card["rate"] == "1, rex to 0.01"
    run = tmp_path / "runs" / "photos"
    with safe_open(run / "photos.safetensors", "pt") as file:
        said = file.metadata()
    assert said["ss_optimizer"].startswith("prodigyopt.prodigy.Prodigy(d_coef=2")
    assert said["ss_lr_scheduler"] == "rex"
    values = merged(read_toml(run / "config.toml"), {"output": {"output_dir": tmp_path / "again"}})
    list(train(from_values(TrainConfig, values)))
    one, other = (load_file(place / "photos.safetensors") for place in (run, tmp_path / "again" / "photos"))
    assert all(torch.equal(one[key], other[key]) for key in one)

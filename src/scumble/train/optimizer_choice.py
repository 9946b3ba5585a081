"""Choosing what was left open of the optimizer, its rate and its schedule; and saying what is unusual."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from scumble.config import OptimizerConfig
from scumble.config.optimizer import FALLING, Schedule
from scumble.errors import ConfigError
from scumble.train.optimizer import build_optimizer
from scumble.train.optimizer_arguments import SETTINGS, as_arguments, changed, own_settings, read_arguments
from scumble.train.optimizer_trial import try_out
from scumble.train.optimizers import OPTIMIZERS, Found, find_optimizer, is_averaging
from scumble.train.schedule import usual_floor, usual_warmup


def choose_optimizer(opt: OptimizerConfig, advised_rate: float, num_steps: int, per_step: int) -> dict[str, object]:
    """The settings with nothing left open that has a value.

    Args:
        opt: the settings.
        advised_rate: of AdamW, for this base.
        num_steps: of the whole run.
        per_step: pictures of an optimizer step.
    Raises:
        ConfigError: no such optimizer, a setting it does not understand, or rates that do not fit each other.
    """
    found = find_optimizer(opt.optimizer)
    given = read_arguments(found.type, found.name, opt.optimizer_args)
    if opt.ema_decay is not None and is_averaging(found.type):
        raise ConfigError(f"ema_decay would have no effect: {found.name} averages already; leave ema_decay out")
    rate = opt.learning_rate or found.kind.rate or advised_rate * found.kind.times
    rate *= per_step if opt.scale_lr else 1
    schedule = opt.lr_scheduler or _usual_schedule(found, opt.lr_warmup_steps)
    floor = usual_floor(schedule, rate) if opt.lr_min is None else opt.lr_min
    if floor is not None and floor > rate:
        raise ConfigError(f"lr_min={floor:g} is above learning_rate={rate:g}: it is where the rate ends")
    return {
        "optimizer": found.name,
        "optimizer_args": (*opt.optimizer_args, *_better_arguments(found, given)),
        **_own_settings(opt, found, given),
        "learning_rate": rate,
        "scale_lr": False,
        "lr_scheduler": schedule,
        "lr_warmup_steps": opt.lr_warmup_steps or usual_warmup(schedule, num_steps),
        "lr_min": floor,
        "lr_scheduler_num_cycles": opt.lr_scheduler_num_cycles or (1 if schedule == "cosine_with_restarts" else None),
        "lr_scheduler_power": opt.lr_scheduler_power or (1.0 if schedule == "polynomial" else None),
        "ema_export": opt.ema_export or ("average" if opt.ema_decay is not None else None),
    }


def arguments_of(opt: OptimizerConfig, found: Found) -> dict[str, Any]:
    """What the constructor is given besides the parameters and the rate.

    Args:
        opt: settings with nothing left open.
        found: their optimizer.
    """
    settings = {name: getattr(opt, name) for name in SETTINGS}
    return {**read_arguments(found.type, found.name, opt.optimizer_args), **as_arguments(settings)}


def build_chosen(opt: OptimizerConfig, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer of settings with nothing left open.

    Args:
        opt: the settings.
        groups: see `adapter_groups`.
    """
    assert opt.learning_rate is not None
    found = find_optimizer(opt.optimizer)
    return build_optimizer(found, groups, opt.learning_rate, arguments_of(opt, found))


def text_ratio_of(opt: OptimizerConfig) -> float:
    """How many times faster than the denoiser's the text encoders' adapters learn, by settings with nothing left open."""
    assert opt.learning_rate is not None
    return (opt.text_encoder_lr or opt.learning_rate) / opt.learning_rate


def try_chosen(opt: OptimizerConfig, device: torch.device, token_rate: float | None = None) -> None:
    """Try an optimizer that is not torch's own beforehand.

    Args:
        opt: settings with nothing left open.
        device: where it will train.
        token_rate: the rate of new words, where it is one of their own.
    Raises:
        ConfigError: it cannot train, or not go on from a checkpoint.
    """
    kind = OPTIMIZERS.get(opt.optimizer)
    if kind is not None and kind.path.startswith("torch."):
        return
    assert opt.learning_rate is not None
    of_words = (token_rate or opt.learning_rate) / opt.learning_rate
    ratios = [1.0, opt.loraplus_lr_ratio or 1.0, text_ratio_of(opt), of_words]
    try_out(opt.optimizer, lambda groups: build_chosen(opt, groups), list(dict.fromkeys(ratios)), device)


def in_metadata(opt: OptimizerConfig) -> str:
    """The optimizer as kohya's scripts note it: "torch.optim.adamw.AdamW(weight_decay=0.1)"."""
    found = find_optimizer(opt.optimizer)
    arguments = changed(found.type, arguments_of(opt, found))
    listed = ",".join(f"{key}={value}" for key, value in arguments.items())
    return f"{found.type.__module__}.{found.type.__name__}" + (f"({listed})" if listed else "")


def in_words(opt: OptimizerConfig) -> str:
    """The optimizer, its arguments, and what is unusual about its rate: for the start-up card."""
    found = find_optimizer(opt.optimizer)
    arguments = changed(found.type, arguments_of(opt, found))
    parts = [found.name, *(f"{key}={value}" for key, value in arguments.items())]
    parts += ["LoRA+ x" + f"{opt.loraplus_lr_ratio:g}"] if opt.loraplus_lr_ratio is not None else []
    return ", ".join(parts) + "".join(f"; UNUSUAL: {each}" for each in unusual(opt, found))


def average_in_words(name: str, opt: OptimizerConfig) -> str:
    """What is kept of the average, and which file holds it: for the start-up card.

    Args:
        name: of the run.
        opt: settings with nothing left open, and with an average.
    """
    averaged, last = (name, f"{name}-last") if opt.ema_export == "average" else (f"{name}-average", name)
    return f"EMA {opt.ema_decay:g}: validation, samples and {averaged} have the average, {last} the last step"


def unusual(opt: OptimizerConfig, found: Found) -> list[str]:
    """What of the rate is not what an optimizer is usually given.

    Args:
        opt: settings with nothing left open.
        found: their optimizer.
    """
    kind, rate = found.kind, opt.learning_rate
    assert rate is not None
    remarks = []
    if not kind.lowest <= rate <= kind.highest:
        usual = f"{kind.rate:g}" if kind.rate is not None else f"{kind.lowest:g} to {kind.highest:g}"
        remarks.append(f"rate {rate:g}, {usual} is usual")
    if is_averaging(found.type) and opt.lr_scheduler in FALLING:
        remarks.append(f"a falling rate ({opt.lr_scheduler}), a constant one is usual")
    return remarks


def _usual_schedule(found: Found, warmup_steps: int) -> Schedule:
    if not is_averaging(found.type):
        return "cosine"
    return "constant_with_warmup" if warmup_steps else "constant"


def _better_arguments(found: Found, given: Mapping[str, Any]) -> list[str]:
    """Arguments that suit a LoRA better than the class's own and that nobody gave, but for those that are settings."""
    return [f"{key}={value}" for key, value in found.kind.defaults.items() if key not in {*given, *SETTINGS.values()}]


def _own_settings(opt: OptimizerConfig, found: Found, given: Mapping[str, Any]) -> dict[str, float | None]:
    """beta1, beta2, epsilon and weight_decay: as given, else the optimizer's own; None where it has none."""
    own = own_settings(found.type, found.kind.defaults)
    chosen: dict[str, float | None] = {}
    for name, argument in SETTINGS.items():
        value = getattr(opt, name)
        if value is not None and argument in given:
            raise ConfigError(f"{name} and optimizer_args {argument} say the same thing: give one of them")
        if value is not None and name not in own:
            raise ConfigError(f"{name} would have no effect: {found.name} has no such number; leave {name} out")
        chosen[name] = None if argument in given else own.get(name) if value is None else value
    return chosen

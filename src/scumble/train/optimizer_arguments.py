"""What an optimizer's constructor takes: arguments given as text, checked against its signature."""

import inspect
from ast import literal_eval
from collections.abc import Mapping, Sequence
from typing import Any, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from scumble.errors import ConfigError, nearest
from scumble.train.optimizers import is_averaging

SETTINGS = {"beta1": "betas", "beta2": "betas", "epsilon": "eps", "weight_decay": "weight_decay"}
"""Setting -> the constructor's argument that it is, or is part of."""


def read_arguments(optimizer: type, name: str, entries: Sequence[str]) -> dict[str, Any]:
    """Arguments given as KEY=VALUE, as the constructor wants them.

    Args:
        optimizer: the class.
        name: how messages call it.
        entries: "d_coef=2", "betas=0.9,0.99", "foreach=none".
    Raises:
        ConfigError: the constructor has no such argument, or wants it otherwise.
    """
    taken = _parameters(optimizer)
    hints = _hints(optimizer)
    arguments = {}
    for entry in entries:
        key, _, text = (part.strip() for part in entry.partition("="))
        if key == "lr":
            raise ConfigError("optimizer_args lr: it is the setting learning_rate; give it there")
        if key == "warmup_steps" and is_averaging(optimizer):  # a warm-up by the schedule is the same to it
            raise ConfigError("optimizer_args warmup_steps: it is the setting lr_warmup_steps; give it there")
        if key not in taken:
            raise ConfigError(f"optimizer_args: {name} takes no '{key}'{nearest(key, taken)}")
        arguments[key] = _value(name, key, text, hints.get(key, _kind_of(taken[key])))
    return arguments


def own_settings(optimizer: type, better: Mapping[str, Any]) -> dict[str, float]:
    """Which of our settings a class understands -> its default of each.

    Args:
        optimizer: the class.
        better: defaults to prefer to its own.
    """
    defaults = {**_parameters(optimizer), **better}
    found: dict[str, float] = {}
    betas = defaults.get("betas")
    if isinstance(betas, tuple) and len(betas) == 2:
        found |= {"beta1": float(betas[0]), "beta2": float(betas[1])}
    for setting in ("epsilon", "weight_decay"):
        default = defaults.get(SETTINGS[setting])
        if isinstance(default, int | float):
            found[setting] = float(default)
    return found


def as_arguments(settings: Mapping[str, float | None]) -> dict[str, Any]:
    """Our settings as the constructor's arguments; those that are None are left out."""
    beta1, beta2 = settings["beta1"], settings["beta2"]
    betas = {} if beta1 is None or beta2 is None else {"betas": (beta1, beta2)}
    others = {SETTINGS[name]: settings[name] for name in ("epsilon", "weight_decay") if settings[name] is not None}
    return {**betas, **others}


def changed(optimizer: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are not the constructor's own defaults."""
    defaults = _parameters(optimizer)
    return {key: value for key, value in arguments.items() if defaults.get(key) != value}


def _parameters(optimizer: type) -> dict[str, Any]:
    """Argument -> its default, but for the parameters and the rate."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(optimizer.__init__)  # type: ignore[misc]
    named = [parameter for parameter in signature.parameters.values() if parameter.kind in kinds]
    return {each.name: each.default for each in named[2:] if each.name != "lr"}


def _hints(optimizer: type) -> dict[str, Any]:
    try:
        return get_type_hints(optimizer.__init__)  # type: ignore[misc]
    except NameError:  # annotations that only a type checker can read
        return {}


def _kind_of(default: Any) -> Any:
    """What an argument without annotation takes, by its default."""
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return int | float
    return tuple[(float,) * len(default)] if isinstance(default, tuple) else Any  # type: ignore[misc]


def _value(name: str, key: str, text: str, kind: Any) -> Any:
    given: Any = None if text.casefold() == "none" else text
    if given is not None and ("," in text or get_origin(kind) is tuple):
        given = tuple(part.strip() for part in text.strip("()[] ").split(",") if part.strip())
    if kind is Any:
        return _literal(text)
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(given)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"optimizer_args {key}={text}: {name} wants another kind of value: {said}") from None


def _literal(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return {"none": None, "true": True, "false": False}.get(text.casefold(), text)

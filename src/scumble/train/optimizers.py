"""Optimizers by name: where each lives, what installs it, what it wants. To add one, write a line."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from scumble.errors import ConfigError, nearest

EXTRA = "scumble[optimizers]"


@dataclass(frozen=True)
class Kind:
    """What is worth knowing of an optimizer.

    Attributes:
        path: of its class.
        defaults: arguments that suit a LoRA better than the class's own.
        rate: its usual learning rate; None = that of AdamW times `times`.
        times: see `rate`.
        lowest, highest: learning rates beyond these are unusual.
        is_fused: whether the class can work on all tensors at once in one kernel.
    """

    path: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None
    times: float = 1.0
    lowest: float = 1e-6
    highest: float = 1e-2
    is_fused: bool = False


# With scale_parameter, a factor that starts at zero would learn a thousand times slower: transformers' class can do
# without, torch's cannot.
_OWN_RATE = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
# as its authors advise for diffusion models
_PRODIGY = {"use_bias_correction": True, "safeguard_warmup": True, "weight_decay": 0.01}

OPTIMIZERS = {
    "AdamW": Kind("torch.optim.AdamW", is_fused=True),  # Loshchilov & Hutter 2017, arXiv:1711.05101
    "Adam": Kind("torch.optim.Adam", is_fused=True),  # Kingma & Ba 2014, arXiv:1412.6980
    "AdamW8bit": Kind("bitsandbytes.optim.AdamW8bit"),  # Dettmers et al. 2021, arXiv:2110.02861
    "Adafactor": Kind("transformers.optimization.Adafactor", _OWN_RATE),  # Shazeer & Stern 2018, arXiv:1804.04235
    # Chen et al. 2023, arXiv:2302.06675: a rate 3 to 10 times smaller, a decay as much larger
    "Lion": Kind("lion_pytorch.Lion", {"weight_decay": 0.05}, times=0.2, highest=1e-3),
    # Mishchenko & Defazio 2023, arXiv:2306.06101
    "Prodigy": Kind("prodigyopt.Prodigy", _PRODIGY, rate=1.0, lowest=0.1, highest=10.0),
    # Defazio et al. 2024, arXiv:2405.15682
    "AdamWScheduleFree": Kind("schedulefree.AdamWScheduleFree", highest=1e-1),
    "SGD": Kind("torch.optim.SGD", {"momentum": 0.9}, rate=1.0, lowest=1e-3, highest=10.0, is_fused=True),
}

PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "bitsandbytes": EXTRA,
    "lion_pytorch": EXTRA,
    "prodigyopt": EXTRA,
    "schedulefree": EXTRA,
    "pytorch_optimizer": "pytorch-optimizer",
    "dadaptation": "dadaptation",
    "timm": "timm",
    "torchao": "torchao",
}
"""Packages whose classes are taken by path -> what installs them. Settings are shared: no others run from a path."""


class Found(NamedTuple):
    """An optimizer that was asked for: its name here (a path where it is in no table), what is known of it, its class."""

    name: str
    kind: Kind
    type: type[torch.optim.Optimizer]


def find_optimizer(name: str) -> Found:
    """Import what a name or path stands for.

    Args:
        name: of the table, in small or capital letters; or "package.Class".
    Raises:
        ConfigError: no such optimizer, a package that is not among those that are taken, or one that is not installed.
    """
    known = {each.casefold(): each for each in OPTIMIZERS}
    if name.casefold() in known:
        called = known[name.casefold()]
        return Found(called, OPTIMIZERS[called], _import(called, OPTIMIZERS[called].path))
    if "." not in name:
        raise ConfigError(f"unknown optimizer '{name}'{nearest(name, OPTIMIZERS)}, or the path of a class")
    found = _import(name, name)
    for called, kind in OPTIMIZERS.items():
        if _address(kind.path) == (found.__module__.partition(".")[0], found.__name__):
            return Found(called, kind, found)
    return Found(name, Kind(name), found)


def is_averaging(optimizer: object) -> bool:
    """Whether an optimizer or its class moves other numbers than those to be used, as schedule-free ones do."""
    return hasattr(optimizer, "eval") and hasattr(optimizer, "train")


def _address(path: str) -> tuple[str, str]:
    return path.partition(".")[0], path.rpartition(".")[2]


def _import(name: str, path: str) -> type[torch.optim.Optimizer]:
    place, _, class_name = path.rpartition(".")
    package = place.partition(".")[0]
    if package not in PACKAGES:
        raise ConfigError(
            f"optimizer={name}: classes are taken from {', '.join(PACKAGES)} only, because settings are shared; "
            f"'{package}' is none of them"
        )
    try:
        module = importlib.import_module(place)
    except ImportError as error:
        raise ConfigError(
            f"optimizer={name} needs {package}, which cannot be imported ({error}): pip install '{PACKAGES[package]}'"
        ) from None
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer:
        return found
    there = [
        each
        for each, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    ]
    raise ConfigError(f"optimizer={name}: {place} has no optimizer '{class_name}'{nearest(class_name, there)}")

"""PEFT's settings: where its files say rank and alpha, and what else they may say that changes what the tensors mean."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from scumble.errors import LoraFileError
from scumble.files.json_text import parse_json
from scumble.files.lorafile import LoraLayer

Settings = Mapping[str, Any]

MAX_SETTINGS_BYTES = 2 * 2**20  # a path and a number for every layer of SDXL are 200 kB

NEUTRAL: dict[str, tuple[object, ...]] = {
    "bias": (None, "none"),
    "fan_in_fan_out": (None, False),
    "lora_bias": (None, False),
    "use_qalora": (None, False),
    "use_bdlora": (None, False),
    "layer_replication": (None, []),
    "alora_invocation_tokens": (None, []),
    "modules_to_save": (None, []),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, [], {}),
    "arrow_config": (None,),
    "kasa_config": (None,),
    "monteclora_config": (None,),
    "velora_config": (None,),
}
"""Settings that change more than scale -> the values with which they change nothing."""

CHANGES_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Ways of starting (`init_lora_weights`) that take something out of the base's weights: the file alone is not enough."""

LARGEST = 1e30
ALPHA_NAMES = ("lora_alpha", "alpha")
ALGORITHMS = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}
"""PEFT's `peft_type` -> algorithm."""


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """Settings from their JSON text.

    Args:
        text: an object, in JSON.
        where: what to call it in messages.
    Raises:
        LoraFileError: not an object in JSON, or too long.
    """
    content = text.encode("utf-8", "surrogatepass")
    if len(content) > MAX_SETTINGS_BYTES:
        raise LoraFileError(
            f"{where} has more than {MAX_SETTINGS_BYTES} bytes, expected PEFT's settings: get the file again"
        )
    try:
        settings = parse_json(content)
    except ValueError as error:
        raise LoraFileError(f"{where} is not JSON that can be read ({error}): get the file again") from None
    if not isinstance(settings, dict):
        raise LoraFileError(f"{where} is a {type(settings).__name__}, expected an object")
    return settings


def refuse_unknown_meaning(settings: Settings, where: str) -> None:
    """Raise for settings under which the tensors mean something else than a LoRA, LoHa or LoKr.

    Raises:
        LoraFileError: names the setting.
    """
    for name, neutral in NEUTRAL.items():
        if settings.get(name) not in neutral:
            raise LoraFileError(
                f"{where}: found {name} = {settings[name]!r:.80}, which is not read; expected {neutral[-1]!r}"
            )
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        raise LoraFileError(
            f"{where}: found init_lora_weights = {start!r:.40}, which changes the base model as well; have PEFT convert "
            "the file to a plain LoRA (path_initial_model_for_weight_conversion)"
        )
    kind = settings.get("peft_type", "LORA")
    if not isinstance(kind, str) or kind not in ALGORITHMS:
        raise LoraFileError(f"{where}: found peft_type = {kind!r:.40}, expected one of {', '.join(ALGORITHMS)}")


@dataclass(frozen=True)
class Scales:
    """Rank and alpha of each layer, as the settings of a model part say them.

    Attributes:
        where: what to call the settings in messages.
        alpha, rank: of layers that no pattern names.
        alphas, ranks: of the others.
        has_dora: whether all layers have magnitudes.
        rank_stabilized: whether the change is scaled by alpha / sqrt(rank).
    """

    where: str
    alpha: object
    rank: object
    alphas: "Patterns"
    ranks: "Patterns"
    has_dora: bool
    rank_stabilized: bool


def scales_of(settings: Settings, where: str) -> Scales:
    """What the settings say of scale.

    Raises:
        LoraFileError: a pattern that is more than a path, or settings with which the tensors mean something else.
    """
    refuse_unknown_meaning(settings, where)
    return Scales(
        where=where,
        alpha=next((settings[name] for name in ALPHA_NAMES if name in settings), None),
        rank=settings.get("r"),
        alphas=_patterns(settings, "alpha_pattern"),
        ranks=_patterns(settings, "rank_pattern"),
        has_dora=bool(settings.get("use_dora")),
        rank_stabilized=bool(settings.get("use_rslora")),
    )


def with_scale(key: str, layer: LoraLayer, scales: Scales) -> LoraLayer:
    """The layer with the scale that the settings give it.

    Args:
        key: the layer's canonical key.
        layer: with scale 1, as the tensors alone have it.
        scales: of its model part.
    Raises:
        LoraFileError: no alpha or rank that is a number; another rank than that of the tensors; DoRA in the settings
            and not in the tensors, or the other way round.
    """
    path = key.partition(".")[2]
    alpha = _number(key, "alpha", _of_layer(path, scales.alphas, scales.alpha), scales.where)
    is_whole = {"w1", "w2"} <= layer.tensors.keys()
    said = _of_layer(path, scales.ranks, scales.rank)
    rank = layer.rank if said is None and not is_whole else _number(key, "r", said, scales.where)
    if not rank > 0 or (rank != layer.rank and not is_whole):
        raise LoraFileError(
            f"{key}: {scales.where} says rank {rank:g}, its tensors have rank {layer.rank}: get the file again"
        )
    if scales.has_dora != ("magnitude" in layer.tensors):
        raise LoraFileError(
            f"{key}: {scales.where} says use_dora = {scales.has_dora}, its tensors say otherwise: get the file again"
        )
    if scales.rank_stabilized:
        alpha *= math.sqrt(rank)
    return _whole_scaled(key, layer, alpha / rank) if is_whole else replace(layer, alpha=alpha)


def _whole_scaled(key: str, layer: LoraLayer, scale: float) -> LoraLayer:
    """PEFT scales two whole factors, the others do not: the scale goes into the small one."""
    if scale == 1.0:
        return layer
    w1 = layer.tensors["w1"].float() * scale
    if not torch.isfinite(w1).all():
        raise LoraFileError(f"{key}: scaled by {scale:g} its numbers are not finite: get the file again")
    return replace(layer, tensors={**layer.tensors, "w1": w1})


Patterns = dict[tuple[str, bool], tuple[int, object]]
"""(path, whether it is a whole one and not an end) -> (place in the settings, value)."""


def _patterns(settings: Settings, name: str) -> Patterns:
    """PEFT's patterns are regular expressions; a file's are not run, only compared as the paths that people write."""
    table = settings.get(name) or {}
    if not isinstance(table, dict):
        raise LoraFileError(f"{name} is a {type(table).__name__}, expected an object")
    patterns: Patterns = {}
    for place, (pattern, value) in enumerate(table.items()):
        plain = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", plain):
            raise LoraFileError(f"{name} {pattern[:80]!r}: found a regular expression, expected a layer's path")
        patterns.setdefault((plain, pattern.startswith("^")), (place, value))
    return patterns


def _of_layer(path: str, patterns: Patterns, default: object) -> object:
    """The value of the first pattern that is the path or an end of it, as PEFT chooses."""
    wholes = {path, path.removeprefix("text_model.")}
    steps = path.split(".")
    ends = {".".join(steps[start:]) for start in range(len(steps))}
    asked = [*((whole, True) for whole in wholes), *((end, False) for end in wholes | ends)]
    return min(
        (patterns[each] for each in asked if each in patterns), key=lambda found: found[0], default=(0, default)
    )[1]


def _number(key: str, name: str, value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise LoraFileError(f"{key}: its {name} in {where} is {str(value)[:40]!r}, expected a number")
    return float(value)

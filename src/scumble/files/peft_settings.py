"""PEFT's settings: where its files say rank and alpha, and what else they may say that changes what the tensors mean."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scumble.errors import LoraFileError
from scumble.files.json_text import parse_json
from scumble.files.lorafile import LoraLayer

Settings = Mapping[str, Any]

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
        LoraFileError: not an object in JSON.
    """
    try:
        settings = parse_json(text.encode("utf-8", "surrogatepass"))
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
    if kind not in ALGORITHMS:
        raise LoraFileError(f"{where}: found peft_type = {kind!r:.40}, expected one of {', '.join(ALGORITHMS)}")


def with_scale(key: str, layer: LoraLayer, settings: Settings, where: str) -> LoraLayer:
    """The layer with the scale that the settings give it.

    Args:
        key: the layer's canonical key.
        layer: with scale 1, as the tensors alone have it.
        settings: of its model part.
        where: what to call the settings in messages.
    Raises:
        LoraFileError: no alpha or rank that is a number; another rank than that of the tensors; DoRA in the settings
            and not in the tensors, or the other way round.
    """
    path = key.partition(".")[2]
    alpha_name = next((name for name in ALPHA_NAMES if name in settings), ALPHA_NAMES[0])
    alpha = _number(key, "alpha", _of_layer(path, "alpha_pattern", settings.get(alpha_name), settings), where)
    is_whole = {"w1", "w2"} <= layer.tensors.keys()
    rank = _of_layer(path, "rank_pattern", settings.get("r"), settings)
    rank = layer.rank if rank is None and not is_whole else _number(key, "r", rank, where)
    if not rank > 0 or (rank != layer.rank and not is_whole):
        raise LoraFileError(f"{key}: {where} says rank {rank}, its tensors have rank {layer.rank}: get the file again")
    if bool(settings.get("use_dora")) != ("magnitude" in layer.tensors):
        raise LoraFileError(
            f"{key}: {where} says use_dora = {settings.get('use_dora')!r:.40}, its tensors say otherwise: get the file "
            "again"
        )
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    if is_whole:
        # PEFT scales two whole factors, the others do not
        w1 = layer.tensors["w1"]
        return replace(layer, tensors={**layer.tensors, "w1": w1.float() * scale}) if scale != 1.0 else layer
    return replace(layer, alpha=alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha)


def _of_layer(path: str, patterns: str, default: object, settings: Settings) -> object:
    table = settings.get(patterns) or {}
    if not isinstance(table, dict):
        raise LoraFileError(f"{patterns} is a {type(table).__name__}, expected an object")
    return next((value for pattern, value in table.items() if _matches(pattern, path, patterns)), default)


def _number(key: str, name: str, value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise LoraFileError(f"{key}: its {name} in {where} is {str(value)[:40]!r}, expected a number")
    return float(value)


def _matches(pattern: str, path: str, patterns: str) -> bool:
    """PEFT's patterns are regular expressions; a file's are not run, only compared as the paths that PEFT's users write.

    Raises:
        LoraFileError: the pattern is more than a path.
    """
    plain = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
    if not re.fullmatch(r"[\w.]+", plain):
        raise LoraFileError(f"{patterns} {pattern[:80]!r}: found a regular expression, expected a layer's path")
    if plain in (path, path.removeprefix("text_model.")):
        return True
    return not pattern.startswith("^") and path.endswith("." + plain)

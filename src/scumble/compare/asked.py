"""Which axes were asked for, whether they go together, and which LoRA files they and the settings name."""

from collections.abc import Sequence
from pathlib import Path

from scumble.compare.axis import CHECKPOINT, LORA, PROMPT, SEED, WEIGHT, Asked, parse_axis
from scumble.compare.choices import PLAIN, checkpoints
from scumble.compare.shelf import paths_in
from scumble.compare.values import texts
from scumble.config.compare import AXES, DEFAULT_WEIGHTS, CompareConfig
from scumble.errors import ConfigError


def axes_of(config: CompareConfig) -> list[Asked]:
    """The axes that were asked for; of LoRAs alone, the columns are the base and each of them.

    Raises:
        ConfigError: an axis that is not understood.
    """
    written = {flag: text for flag in AXES if (text := getattr(config, flag)) is not None}
    asked = [parse_axis(flag, text) for flag, text in written.items()]
    if config.plane is not None:
        weights = DEFAULT_WEIGHTS if config.weights is None else config.weights
        sides = zip(("x", "y"), map(str, config.plane), strict=True)
        return [*(Asked(flag, f"weight {name}: {weights}", WEIGHT, name, weights) for flag, name in sides), *asked]
    chooses = any(each.kind in (LORA, CHECKPOINT) or each.about for each in asked)
    if "x" not in written and config.lora and not chooses:
        return [Asked("x", LORA, LORA, "", None), *asked]
    return asked


def refuse_together(asked: Sequence[Asked]) -> None:
    """Refuse axes that say the same of a cell.

    Raises:
        ConfigError: says which two.
    """
    for index, one in enumerate(asked):
        for other in asked[:index]:
            kinds = {one.kind, other.kind}
            same_weight = kinds == {WEIGHT} and (not one.about or not other.about or one.about == other.about)
            if same_weight or kinds == {LORA, CHECKPOINT} or one.kind == other.kind != WEIGHT:
                raise ConfigError(
                    f"{other.flag}='{other.text}' and {one.flag}='{one.text}' cannot vary together: both say the same of a cell"
                )


def refuse_settings_without_effect(config: CompareConfig, asked: Sequence[Asked]) -> None:
    """Refuse settings that an axis says in their place, and a table that nobody says what to draw in.

    Raises:
        ConfigError: names the setting and the axis.
    """
    for each in asked:
        for setting in _said_by(each, config.plane is not None):
            if setting in config.model_fields_set:
                raise ConfigError(
                    f"{setting} would have no effect: {each.flag}='{each.text}' says it; leave one of them out"
                )
    if not config.prompt and PROMPT not in {each.kind for each in asked}:
        raise ConfigError("prompt in [compare] must be given: say by --prompt what to draw")


def _said_by(asked: Asked, of_plane: bool) -> list[str]:
    if asked.kind == WEIGHT:
        return ["weight"] if of_plane or not asked.about else []
    field = PLAIN[asked.kind].field if asked.kind in PLAIN else ""
    return [field, "n"] if asked.kind == SEED else [field]


def files_of(config: CompareConfig, asked: Sequence[Asked]) -> list[Path]:
    """Every LoRA file that the settings or an axis name, once.

    Raises:
        ConfigError: one that is given twice, or a run that is none.
    """
    for path in config.lora:
        if config.lora.count(path) > 1:
            raise ConfigError(f"lora={path}: given twice; each LoRA has one column")
        if path in (config.plane or ()):
            raise ConfigError(f"lora={path}: is on the plane already; leave one of them out")
    paths = [*config.lora, *(config.plane or ())]
    for each in asked:
        if each.kind == LORA and each.values is not None:
            paths += [path for value in texts(each.values) for path in paths_in(value)]
        elif each.kind == WEIGHT and each.about:
            paths += paths_in(each.about)
        elif each.kind == CHECKPOINT:
            try:
                paths += checkpoints(each, config.lora)
            except ConfigError as error:
                raise each.wrong(error) from None
    return list(dict.fromkeys(paths))

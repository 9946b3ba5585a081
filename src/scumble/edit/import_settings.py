"""Reading another trainer's settings into a file of ours; what has no counterpart is named, in the file too."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scumble.config import TrainConfig, from_values, read_toml
from scumble.config.adapter import WITH_INIT_LORA
from scumble.config.publish import ImportConfig
from scumble.edit.foreign_settings import Account, Table, Unmatched
from scumble.edit.kohya_settings import TABLE as KOHYA
from scumble.edit.kohya_settings import read_kohya
from scumble.edit.onetrainer_settings import TABLE as ONETRAINER
from scumble.edit.onetrainer_settings import read_onetrainer
from scumble.errors import ConfigError
from scumble.files.atomic import write_atomically

MARKS = {
    KOHYA.program: ("pretrained_model_name_or_path", "network_module", "network_dim", "train_data_dir"),
    ONETRAINER.program: ("base_model_name", "training_method", "model_type", "lora_rank"),
}
"""Program -> keys of which its files have at least one."""


@dataclass(frozen=True)
class Imported:
    """What became of another trainer's settings.

    Attributes:
        path: the file written.
        source: the file read.
        program: whose it is.
        num_settings: settings written.
        unmatched: keys that change something there and have no exact counterpart.
        idle: keys that are as usual there, or change nothing here.
    """

    path: Path
    source: Path
    program: str
    num_settings: int
    unmatched: tuple[Unmatched, ...]
    idle: tuple[str, ...]


def import_settings(config: ImportConfig) -> Imported:
    """Write the settings of kohya's scripts or of OneTrainer as a file for `scumble train --config`.

    What nobody said there is written with the value that it has there, where ours is another.

    Raises:
        ConfigError: the file cannot be read or is of neither program, its values cannot be used here, or something is
            at `out` already.
    """
    table, account = _read(config.file)
    if config.out.exists() and (config.out.is_dir() or not config.overwrite):
        raise ConfigError(f"out={config.out}: is there already; give another name, or --overwrite to replace a file")
    if not config.out.absolute().parent.is_dir():
        raise ConfigError(f"out={config.out}: there is no folder {config.out.parent}; make it first")
    if config.out.exists() and config.out.samefile(config.file):
        raise ConfigError(f"out={config.out}: it is the file to import; give another name")
    settings = _checked(config.file, account)
    text = _with_remarks(settings, config.file, table, account)
    write_atomically(config.out, text.encode())
    count = sum(map(len, settings.values()))
    return Imported(config.out, config.file, table.program, count, tuple(account.unmatched), tuple(account.idle))


def _read(path: Path) -> tuple[Table, Account]:
    values = _json(path) if path.suffix.lower() == ".json" else read_toml(path)
    inner = {key for value in values.values() if isinstance(value, dict) for key in value}
    found = {program: sum(key in values or key in inner for key in keys) for program, keys in MARKS.items()}
    program = max(found, key=lambda name: found[name])
    if not found[program]:
        raise ConfigError(
            f"{path}: expected a TOML file of kohya's scripts or a JSON file of OneTrainer; found none of "
            f"{', '.join(key for keys in MARKS.values() for key in keys)}"
        )
    try:
        return (KOHYA, read_kohya(values)) if program == KOHYA.program else (ONETRAINER, read_onetrainer(values))
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: a value is of another kind than {program} writes: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"no settings file at {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object of settings, found a {type(values).__name__}")
    return values


def _checked(path: Path, account: Account) -> dict[str, dict[str, Any]]:
    """The settings by section, with the types and spellings of our own schema."""
    if "output.init_lora" in account.settings:  # the file has its own layers and form
        fixed = {f"adapter.{name}" for name in WITH_INIT_LORA}
        for place in [place for place in account.settings if place.startswith("adapter.")]:
            if place not in fixed:
                del account.settings[place]
                account.idle.append(place)
    given = account.nested()
    try:
        whole = from_values(TrainConfig, given).model_dump(mode="json")
    except ConfigError as error:
        raise ConfigError(f"{path}: its values cannot be used here: {error}") from None
    return {section: {name: whole[section][name] for name in names} for section, names in given.items()}


def _with_remarks(settings: dict[str, dict[str, Any]], source: Path, table: Table, account: Account) -> str:
    import tomli_w

    remarks = [f"From {source.name}, of {table.program}."]
    if account.unmatched:
        remarks.append("Not the same here:")
    remarks += [f"  {line_of(unmatched)}" for unmatched in account.unmatched]
    return "".join(f"# {remark}\n" for remark in remarks) + "\n" + tomli_w.dumps(settings)


def line_of(unmatched: Unmatched) -> str:
    """A key without a counterpart in one line."""
    value = " ".join(json.dumps(unmatched.value, ensure_ascii=False, default=str).split())
    return f"{unmatched.key} = {value}: {unmatched.advice}"

"""What every group of settings can do: refuse unknown keys, say what is wrong in words, be read from and written to TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from scumble.errors import ConfigError, nearest


@dataclass(frozen=True)
class Also:
    """Further flag names of a setting, as other trainers spell them."""

    flags: tuple[str, ...]

    def __init__(self, *flags: str) -> None:
        object.__setattr__(self, "flags", flags)


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    known = [*cls.model_fields, *_also_names(cls)]
                    raise ConfigError(f"unknown setting '{key}' in {section_title(cls)}{nearest(str(key), known)}")
        return values


def section_title(section: type[Section]) -> str:
    """How messages call a section: its name in the TOML file."""
    return f"[{section.__name__.removesuffix('Config').lower() or 'settings'}]"


def _also_names(section: type[Section]) -> list[str]:
    return [
        flag
        for field in section.model_fields.values()
        for m in field.metadata
        if isinstance(m, Also)
        for flag in m.flags
    ]


AnySection = TypeVar("AnySection", bound=Section)


def from_values(schema: type[AnySection], values: Mapping[str, Any]) -> AnySection:
    """Build settings from plain values.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range, named with what was found.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            *section, key = problem["loc"] or ("settings",)
            where = f" in [{'.'.join(map(str, section))}]" if section else ""
            found = f"={problem['input']!r}" if problem["type"] != "missing" else ""
            lines.append(f"{key}{found}{where}: {_said(problem['msg'])}")
        raise ConfigError("\n".join(lines)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file of settings.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"no settings file at {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML in UTF-8: {error}") from None


def write_toml(config: Section) -> str:
    """The settings as TOML text that `read_toml` gives back; what is None is left out."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested sets of values as one, where `above` wins."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _said(message: str) -> str:
    """Pydantic's complaint in our tone."""
    return message.replace("Input should be", "must be").removeprefix("Value error, ")

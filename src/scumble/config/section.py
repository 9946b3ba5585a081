"""What every group of settings can do: refuse unknown keys, say what is wrong in words, be read from and written to TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from scumble.errors import ConfigError, nearest


@dataclass(frozen=True)
class Also:
    """Further flag names of a setting, as other trainers spell them."""

    flags: tuple[str, ...]

    def __init__(self, *flags: str) -> None:
        object.__setattr__(self, "flags", flags)


Rule = tuple[bool, str, str]
"""Whether a setting would do nothing, its name, and what it needs."""

Place = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path as people write it: ~ is the home folder, also where no shell expands it."""


def _no_random_seed(seed: Any) -> Any:
    if str(seed) == "-1":
        raise ValueError("must be 0 or more; it is never a random one here, so that everything can be made again")
    return seed


Seed = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_no_random_seed)]
"""A seed; -1, which other programs take for a random one, is refused with the reason."""


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    raise ConfigError(f"unknown setting '{key}' in {section_title(cls)}{_meant(cls, str(key))}")
        return values


def section_title(section: type[Section]) -> str:
    """How messages call a section: its name in the TOML file."""
    has_sections = any(isinstance(field.default, Section) for field in section.model_fields.values())
    return "the settings" if has_sections else f"[{section.__name__.removesuffix('Config').lower()}]"


def spellings(section: type[Section]) -> dict[str, str]:
    """Every name of a section's settings, those of `Also` included -> the setting's own name."""
    own = {name: name for name in section.model_fields}
    others = {
        flag: name
        for name, field in section.model_fields.items()
        for extra in field.metadata
        if isinstance(extra, Also)
        for flag in extra.flags
    }
    return {**others, **own}


def _beside(section: type[Section]) -> list[type[Section]]:
    """The sections of the settings that a section belongs to, or is."""
    for schema in Section.__subclasses__():
        parts = [type(field.default) for field in schema.model_fields.values() if isinstance(field.default, Section)]
        if section in [schema, *parts] and parts:
            return parts
    return []


def _meant(section: type[Section], key: str) -> str:
    """The end of an 'unknown setting' message: its name here, the section it belongs in, or the nearest name."""
    here = spellings(section)
    if key in here:
        return f": it is called '{here[key]}' here"
    for other in _beside(section):
        if key in spellings(other):
            return f": '{spellings(other)[key]}' belongs in {section_title(other)}"
    return nearest(key, section.model_fields, here)


AnySection = TypeVar("AnySection", bound=Section)


def from_values(schema: type[AnySection], values: Mapping[str, Any]) -> AnySection:
    """Build settings from plain values.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range, named with what was found.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError(in_words(error)) from None


def in_words(error: ValidationError) -> str:
    """What pydantic complains of, a line a setting: what was found, where, and what was expected."""
    lines = []
    for problem in error.errors(include_url=False):
        names = [part for part in problem["loc"] if isinstance(part, str)]  # and not the place in a list
        *section, key = names or ["settings"]
        where = f" in [{'.'.join(section)}]" if section else ""
        if problem["type"] == "missing":
            lines.append(f"{key}{where} must be given: --{key.replace('_', '-')}")
            continue
        found = f"={problem['input']!r}"
        expected = _EXPECTED.get(problem["type"])
        said = expected.format(**problem.get("ctx", {})) if expected else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{key}{found}{where}: {said}")
    return "\n".join(lines)


_EXPECTED = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "path_type": "must be a path",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length}",
}
"""Pydantic's kinds of complaint -> our words."""


def file_name(name: str | None) -> str | None:
    """The name, if it is a plain file name on every system: ".." would write outside the folder it is meant for.

    Raises:
        ValueError: it is not; inside a validator, pydantic collects it.
    """
    if name is None:
        return None
    odd = sorted({sign for sign in name if sign in '/\\:*?"<>|' or ord(sign) < 32})
    if odd:
        raise ValueError(f"must be a plain file name, without {' '.join(odd)}")
    if not name or name[-1] in " .":
        raise ValueError("must be a plain file name, and not end in a dot or a space")
    return name


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

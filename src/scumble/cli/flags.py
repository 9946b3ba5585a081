"""Flags straight from the settings: every field of a schema is a flag, under its own name and those of `Also`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import create_model
from pydantic.fields import FieldInfo

from scumble.config import Also, Section, merged, read_toml


def leaves(schema: type[Section], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every setting of a schema with its place in it, sections before their fields."""
    for name, field in schema.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from leaves(field.annotation, (*path, name))
        else:
            yield (*path, name), field


def flag_names(name: str, field: FieldInfo) -> list[str]:
    """The flags of a setting: --its-name, then the other spellings; `_` and `-` are the same on the command line."""
    spellings = [name, *(flag for extra in field.metadata if isinstance(extra, Also) for flag in extra.flags)]
    return ["--" + spelling.replace("_", "-") for spelling in spellings]


def flags_model(
    schema: type[Section], without: frozenset[str] = frozenset(), several: frozenset[str] = frozenset()
) -> type[Any]:
    """A model with every setting optional: what was not given on the command line is None.

    Args:
        schema: the settings.
        without: settings that the command takes in another way.
        several: settings that take all values up to the next flag; others take one, and are repeated.
    """
    fields: dict[str, Any] = {}
    for path, field in leaves(schema):
        name = path[-1]
        if name in without:
            continue
        group = path[0].capitalize() if len(path) > 1 else "Settings"
        default = "" if field.is_required() or field.default is None else f" (default: {_shown(field.default)})"
        parameter = Parameter(
            name=flag_names(name, field),
            help=f"{field.description}{default}",
            show_default=False,
            group=group,
            negative_iterable=(),
            consume_multiple=name in several,
        )
        fields[name] = (Annotated[field.annotation | None, parameter], None)  # type: ignore[operator]
    model: type[Any] = create_model(f"{schema.__name__}Flags", **fields)
    return model


def nested(schema: type[Section], flags: Any) -> dict[str, Any]:
    """What was given on the command line, laid out as the schema is."""
    values: dict[str, Any] = {}
    for path, _ in leaves(schema):
        value = getattr(flags, path[-1], None)
        if value is None:
            continue
        place = values
        for section in path[:-1]:
            place = place.setdefault(section, {})
        place[path[-1]] = value
    return values


def of_pictures(schema: type[Section], flags: Any, config: Path | None, folder: Path | None) -> dict[str, Any]:
    """What was given to a command on a folder of pictures: a file of settings, flags that win over it, the folder over both.

    Args:
        schema: the settings.
        flags: of the command line.
        config: TOML file.
        folder: of pictures.
    Raises:
        ConfigError: the file cannot be read.
    """
    values = merged(read_toml(config) if config is not None else {}, nested(schema, flags))
    return values if folder is None else merged(values, {"data": {"folder": folder}})


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    return str(value)

"""Writes docs/reference/settings.md from the settings themselves: `make docs`, or `--check` to only compare."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from scumble.cli.flags import flag_names
from scumble.config import CaptionConfig, CheckConfig, CompareConfig, GenerateConfig, Section, TrainConfig
from scumble.config.cache import CacheConfig, PruneConfig
from scumble.config.doctor import DoctorConfig
from scumble.config.edit import ConvertConfig, ExtractConfig, InspectConfig, MergeConfig, ResizeConfig, VerifyConfig
from scumble.config.metrics import MeasureConfig
from scumble.config.publish import ImportConfig, PublishConfig
from scumble.config.recipe import RecipeConfig
from scumble.config.report import ReportConfig
from scumble.config.runs import RunsConfig
from scumble.config.sweep import SweepConfig
from scumble.config.upscale import ResizePicturesConfig, UpscaleConfig
from scumble.mini.config import DemoConfig, PretrainConfig

PAGE = Path(__file__).parent / "reference" / "settings.md"
COMMANDS: dict[str, type[Section]] = {
    "train": TrainConfig,
    "generate": GenerateConfig,
    "compare": CompareConfig,
    "sweep": SweepConfig,
    "measure": MeasureConfig,
    "check": CheckConfig,
    "caption": CaptionConfig,
    "inspect": InspectConfig,
    "verify": VerifyConfig,
    "convert": ConvertConfig,
    "merge": MergeConfig,
    "extract": ExtractConfig,
    "resize": ResizeConfig,
    "publish": PublishConfig,
    "import": ImportConfig,
    "recipe": RecipeConfig,
    "upscale": UpscaleConfig,
    "resize-pictures": ResizePicturesConfig,
    "report": ReportConfig,
    "runs": RunsConfig,
    "doctor": DoctorConfig,
    "cache": CacheConfig,
    "cache prune": PruneConfig,
    "demo": DemoConfig,
    "pretrain": PretrainConfig,
}
"""Command -> its settings."""

FIRST_ARGUMENTS = {
    "train": ("folder",),
    "generate": ("prompt",),
    "sweep": ("folder",),
    "measure": ("lora",),
    "recipe": ("picture",),
    "check": ("folder",),
    "caption": ("path",),
    "inspect": ("file",),
    "verify": ("file",),
    "convert": ("file",),
    "merge": ("lora",),
    "extract": ("base", "tuned"),
    "resize": ("file",),
    "publish": ("file",),
    "import": ("file",),
    "report": ("run",),
    "runs": ("folder",),
}
"""Command -> the settings that it also takes without a flag, in their order."""

ORDINALS = ("first", "second")

HEADER = """# Settings

Every setting of every command. This page is written by `make docs` from the settings in `src/scumble/config/`, and a
test compares the two: change the settings, not this page.

- A setting is a flag on the command line (`--learning-rate 1e-4`), a key in a TOML file
  (`learning_rate = 1e-4` under `[optimizer]`) and an argument in Python
  (`TrainConfig(optimizer={"learning_rate": 1e-4})`).
- On the command line `_` and `-` are the same; a yes/no setting is `--random-flip` or `--no-random-flip`.
- The default *none* means not set. Where the description says `none = ...`, that is what happens then; `scumble train`
  shows what it chose on the start-up card and writes it into the run's `config.toml`.
- An unknown setting, and one that would have no effect, is an error.
"""

WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes or no", Path: "path"}
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
LARGE = {2**63: "2^63"}


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEADER]
    for command, schema in COMMANDS.items():
        parts.append(f"\n## scumble {command}\n\n{_first_line(schema)}\n")
        inherited: set[str] = set()
        if schema is not TrainConfig and issubclass(schema, TrainConfig):
            inherited = set(TrainConfig.model_fields)
            parts.append("\nAll settings of `scumble train`, and these:\n")
        groups = [
            (name, field.annotation)
            for name, field in schema.model_fields.items()
            if _is_section(field) and name not in inherited
        ]
        for name, section in groups:
            assert section is not None
            parts.append(f"\n### [{name}]\n\n{_first_line(section)}\n\n" + table(command, section))
        if not groups:
            parts.append("\n" + table(command, schema))
    return "".join(parts)


def table(command: str, section: type[Section]) -> str:
    """One row a setting."""
    rows = ["| setting | flags | type | default | what it does |", "| --- | --- | --- | --- | --- |"]
    for name, field in section.model_fields.items():
        flags = [f"`{flag}`" for flag in flag_names(name, field)]
        if name in FIRST_ARGUMENTS.get(command, ()):
            flags = [f"{ORDINALS[FIRST_ARGUMENTS[command].index(name)]} argument", *flags]
        cells = [f"`{name}`", ", ".join(flags), type_words(field), default_words(field), _escaped(field.description)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def type_words(field: FieldInfo) -> str:
    """The type and its bounds, for people."""
    kinds = [part for part in _alternatives(field.annotation) if part is not NoneType]
    return " or ".join(_kind_words(kind, field.metadata) for kind in kinds)


def _kind_words(annotated: Any, metadata: Sequence[Any]) -> str:
    kind = _plain(annotated)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"{_kind_words(get_args(kind)[0], metadata)}, repeatable"
    return ", ".join([WORDS[kind], *_bounds([*metadata, *_annotations(annotated)])])


def default_words(field: FieldInfo) -> str:
    """What holds when the setting is not given."""
    value = field.default
    if field.is_required():
        return "must be given"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(f"`{item}`" for item in value) or "none"
    return f"`{value}`" if value != "" else "empty"


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _plain(kind: Any) -> Any:
    """The type without what is annotated on it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _annotations(kind: Any) -> Iterator[Any]:
    """What is annotated on a type."""
    for extra in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        yield from extra.metadata if isinstance(extra, FieldInfo) else [extra]


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    for constraint in metadata:
        for name, sign in SIGNS.items():
            if hasattr(constraint, name):
                bound = getattr(constraint, name)
                yield f"{sign} {LARGE.get(bound, bound)}"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _escaped(text: str | None) -> str:
    """Text in which Markdown finds no table cell, tag or emphasis."""
    return re.sub(r"([|<>*])", r"\\\1", text or "")


def _first_line(schema: type[Any]) -> str:
    return (schema.__doc__ or "").strip().splitlines()[0]


def main() -> str | None:
    """Write the page; with --check, say what is wrong with it."""
    text = page()
    if "--check" in sys.argv[1:]:
        is_current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        return None if is_current else f"docs/reference/{PAGE.name} is not what the settings say: run `make docs`"
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    return None


if __name__ == "__main__":
    sys.exit(main())

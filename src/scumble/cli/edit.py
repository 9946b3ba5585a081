"""The commands that work on LoRA files: inspect, verify, convert, merge, extract, resize."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from scumble.cli.ahead import ready
from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.results import lines_of
from scumble.config.edit import ConvertConfig, ExtractConfig, InspectConfig, MergeConfig, ResizeConfig, VerifyConfig

InspectFlags = flags_model(InspectConfig, without=frozenset({"file"}))
VerifyFlags = flags_model(VerifyConfig, without=frozenset({"file"}))
ConvertFlags = flags_model(ConvertConfig, without=frozenset({"file"}))
MergeFlags = flags_model(MergeConfig, without=frozenset({"lora", "weights"}))
ExtractFlags = flags_model(ExtractConfig, without=frozenset({"base", "tuned"}))
ResizeFlags = flags_model(ResizeConfig, without=frozenset({"file"}))


def _help(schema: Any, name: str) -> Parameter:
    return Parameter(help=schema.model_fields[name].description, negative_iterable=())


def inspect(
    file: Annotated[Path, _help(InspectConfig, "file")],
    *,
    flags: Annotated[InspectFlags, Parameter(name="*")] = InspectFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Say what is in a LoRA file: algorithm, ranks, alpha, what it changes and how much, what it was trained on.

    scumble inspect photos.safetensors
    """
    settings = ready(InspectConfig, {"file": file, **nested(InspectConfig, flags)})
    from scumble.edit.look import inspect as run

    found = run(settings)
    _print([json.dumps(asdict(found), ensure_ascii=False, indent=2)] if settings.as_json else lines_of(found))


def verify(
    file: Annotated[Path, _help(VerifyConfig, "file")],
    *,
    flags: Annotated[VerifyFlags, Parameter(name="*")] = VerifyFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Say whether a base is the one a LoRA was trained on, and what other programs apply of the file.

    scumble verify photos.safetensors --base sd15.safetensors
    """
    settings = ready(VerifyConfig, {"file": file, **nested(VerifyConfig, flags)})
    from scumble.edit.verify import verify as run

    found = run(settings)
    _print([json.dumps(asdict(found), ensure_ascii=False, indent=2)] if settings.as_json else lines_of(found))


def convert(
    file: Annotated[Path, _help(ConvertConfig, "file")],
    *,
    flags: Annotated[ConvertFlags, Parameter(name="*")] = ConvertFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Write a LoRA file in another naming, or as plain LoRA; make a .safetensors file of a pickle.

    scumble convert photos.safetensors --to diffusers --out photos-diffusers.safetensors
    """
    settings = ready(ConvertConfig, {"file": file, **nested(ConvertConfig, flags)})
    from scumble.edit.convert import convert as run

    _print(lines_of(run(settings)))


def merge(
    lora: Annotated[tuple[Path, ...], _help(MergeConfig, "lora")],
    *,
    weights: Annotated[
        tuple[float, ...],
        Parameter(help=MergeConfig.model_fields["weights"].description, consume_multiple=True, negative_iterable=()),
    ] = (),
    flags: Annotated[MergeFlags, Parameter(name="*")] = MergeFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Add LoRAs up to one, or add them to the weights of a base.

    scumble merge dog.safetensors oil.safetensors --weights 0.7 0.4 --out both.safetensors
    """
    settings = ready(MergeConfig, {"lora": lora, "weights": weights, **nested(MergeConfig, flags)})
    from scumble.edit.merge import merge as run

    _print(lines_of(run(settings)))


def extract(
    base: Annotated[str, _help(ExtractConfig, "base")],
    tuned: Annotated[str, _help(ExtractConfig, "tuned")],
    *,
    flags: Annotated[ExtractFlags, Parameter(name="*")] = ExtractFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Make a LoRA of the difference of two models.

    scumble extract base.safetensors tuned.safetensors --rank 32 --out tuned-lora.safetensors
    """
    settings = ready(ExtractConfig, {"base": base, "tuned": tuned, **nested(ExtractConfig, flags)})
    from scumble.edit.extract import extract as run

    _print(lines_of(run(settings)))


def resize(
    file: Annotated[Path, _help(ResizeConfig, "file")],
    *,
    flags: Annotated[ResizeFlags, Parameter(name="*")] = ResizeFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Make a LoRA of lower rank.

    scumble resize photos.safetensors --rank 8 --out photos-8.safetensors
    """
    settings = ready(ResizeConfig, {"file": file, **nested(ResizeConfig, flags)})
    from scumble.edit.resize import resize as run

    _print(lines_of(run(settings)))


def _print(lines: list[str]) -> None:
    console = plain_console()
    for line in lines:
        console.print(escape(line))

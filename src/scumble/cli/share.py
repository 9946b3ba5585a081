"""The commands between this program and others: publish, import."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from scumble.cli.ahead import ready
from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config.publish import ImportConfig, PublishConfig

PublishFlags = flags_model(PublishConfig, without=frozenset({"file"}))
ImportFlags = flags_model(ImportConfig, without=frozenset({"file"}))


def _help(schema: Any, name: str) -> Parameter:
    return Parameter(help=schema.model_fields[name].description)


def publish(
    file: Annotated[Path, _help(PublishConfig, "file")],
    *,
    flags: Annotated[PublishFlags, Parameter(name="*")] = PublishFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Make a folder that is ready to share: the LoRA, previews, a model card, and files for the WebUI and ComfyUI.

    scumble publish runs/photos/photos.safetensors --license openrail
    """
    settings = ready(PublishConfig, {"file": file, **nested(PublishConfig, flags)})
    from scumble.edit.publish import publish as run

    play(run(settings))


def import_(
    file: Annotated[Path, _help(ImportConfig, "file")],
    *,
    flags: Annotated[ImportFlags, Parameter(name="*")] = ImportFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Read the settings of kohya's scripts or of OneTrainer into a file for `scumble train --config`.

    scumble import kohya.toml --out scumble.toml
    """
    settings = ready(ImportConfig, {"file": file, **nested(ImportConfig, flags)})
    from scumble.edit.import_settings import import_settings, line_of

    done = import_settings(settings)
    lines = [f"{done.path}: {done.num_settings} settings of {done.program}, from {done.source}"]
    lines += [f"! not the same here: {line_of(unmatched)}" for unmatched in done.unmatched]
    lines += [f"· as usual there, or without effect here: {', '.join(done.idle)}"] if done.idle else []
    console = plain_console()
    for line in [*lines, f"next: scumble train --config {done.path} --dry-run"]:
        console.print(escape(line))

"""The command `scumble`: each command builds settings from flags and a file, calls one function, shows its events."""

import logging
import os
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter
from pydantic import ValidationError

from scumble.cli.cache import COMMANDS as CACHE_COMMANDS
from scumble.cli.check import COMMANDS as CHECK_COMMANDS
from scumble.cli.compare import COMMANDS as COMPARE_COMMANDS
from scumble.cli.data import COMMANDS as DATA_COMMANDS
from scumble.cli.doctor import COMMANDS as DOCTOR_COMMANDS
from scumble.cli.edit import COMMANDS as EDIT_COMMANDS
from scumble.cli.flags import flags_model, nested
from scumble.cli.foreign import notes_on, translate
from scumble.cli.metrics import COMMANDS as METRICS_COMMANDS
from scumble.cli.recipe import COMMANDS as RECIPE_COMMANDS
from scumble.cli.report import COMMANDS as REPORT_COMMANDS
from scumble.cli.report import AtTheEnd
from scumble.cli.run import play, report
from scumble.cli.runs import COMMANDS as RUNS_COMMANDS
from scumble.cli.share import COMMANDS as SHARE_COMMANDS
from scumble.cli.sweep import COMMANDS as SWEEP_COMMANDS
from scumble.cli.upscale import COMMANDS as UPSCALE_COMMANDS
from scumble.config import GenerateConfig, TrainConfig, from_values, in_words, merged, read_toml
from scumble.errors import ConfigError, ScumbleError
from scumble.mini.config import DemoConfig, PretrainConfig
from scumble.processes import share_of
from scumble.train.ahead import refuse_missing_pictures
from scumble.train.taken_name import refuse_taken_name

app = App(
    name="scumble",
    help="The LoRA workshop for Stable Diffusion: from a folder of pictures to a proven LoRA file.",
    help_flags=["--help", "-h"],
    help_format="plaintext",  # in any richer form <lora:name:weight> is taken for markup, and loses its brackets
    result_action="return_value",
)

TrainFlags = flags_model(TrainConfig, without=frozenset({"folder"}))
GenerateFlags = flags_model(GenerateConfig, without=frozenset({"prompt"}), several=frozenset({"seeds"}))
DemoFlags = flags_model(DemoConfig)
PretrainFlags = flags_model(PretrainConfig)


@app.command
def train(
    folder: Annotated[
        Path | None,
        Parameter(
            name=["--folder", "--train-data-dir"],
            help="folder of pictures, each with an optional .txt caption beside it",
        ),
    ] = None,
    *,
    config: Annotated[Path | None, Parameter(help="TOML file of settings; flags win over it")] = None,
    dry_run: Annotated[
        bool, Parameter(help="show the start-up card, and what a run in miniature says it will cost", negative="")
    ] = False,
    probe: Annotated[
        bool, Parameter(help="of --dry-run: the run in miniature (default: yes)", show_default=False)
    ] = True,
    flags: Annotated[TrainFlags, Parameter(name="*")] = TrainFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Train a LoRA on a folder of pictures.

    scumble train ./photos --trigger "sks dog"
    """
    started = monotonic()
    values = merged(read_toml(config) if config is not None else {}, nested(TrainConfig, flags))
    if folder is not None:
        values = merged(values, {"data": {"folder": folder}})
    settings = from_values(TrainConfig, values)
    refuse_missing_pictures(settings.data)
    if dry_run:
        from scumble.check.dry_run import dry_run as look_ahead

        play(look_ahead(settings, probe, started))
        return
    if not probe:
        raise ConfigError("no-probe would have no effect: it needs --dry-run; leave it out")
    refuse_taken_name(settings.data, settings.output)
    from scumble.train.loop import train as run

    at_the_end, is_main = AtTheEnd(), share_of().is_main
    try:
        play(
            at_the_end.watched(run(settings)),
            "what was done is saved: the same command with --resume goes on",
            speaks=is_main,
        )
    finally:
        if is_main:
            at_the_end.write()


@app.command
def generate(
    prompt: Annotated[str | None, Parameter(help="what to draw; <lora:name:weight> applies a LoRA")] = None,
    *,
    flags: Annotated[GenerateFlags, Parameter(name="*")] = GenerateFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Draw pictures with a base model and LoRAs.

    scumble generate "photo of sks dog on the moon <lora:photos:0.8>" --n 4
    """
    given = {} if prompt is None else {"prompt": prompt}
    settings = from_values(GenerateConfig, {**given, **nested(GenerateConfig, flags)})
    from scumble.generate.run import generate as run

    play(run(settings))


@app.command
def demo(
    *,
    flags: Annotated[DemoFlags, Parameter(name="*")] = DemoFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Train two LoRAs on the model in the box, judge them and write a report: minutes on a CPU, offline.

    scumble demo --out demo --seed 0
    """
    settings = from_values(DemoConfig, nested(DemoConfig, flags))
    from scumble.mini.demo import demo as run

    play(run(settings))


@app.command
def pretrain(
    *,
    flags: Annotated[PretrainFlags, Parameter(name="*")] = PretrainFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Make the model in the box from real handwriting: an hour or two on a CPU. The same command goes on after a stop.

    scumble pretrain --out mini
    """
    settings = from_values(PretrainConfig, nested(PretrainConfig, flags))
    from scumble.mini.pretrain import pretrain as run

    play(run(settings), "what was done is saved: the same command goes on")


for command in (
    *CACHE_COMMANDS,
    *CHECK_COMMANDS,
    *COMPARE_COMMANDS,
    *DATA_COMMANDS,
    *DOCTOR_COMMANDS,
    *EDIT_COMMANDS,
    *METRICS_COMMANDS,
    *RECIPE_COMMANDS,
    *REPORT_COMMANDS,
    *RUNS_COMMANDS,
    *SHARE_COMMANDS,
    *SWEEP_COMMANDS,
    *UPSCALE_COMMANDS,
):
    app.command(command)


def main(arguments: list[str] | None = None) -> None:
    """The entry point; ends the process with the exit code that errors.py and the README list."""
    sys.exit(exit_code(sys.argv[1:] if arguments is None else arguments))


def exit_code(arguments: list[str]) -> int:
    """Run one command line and say how it ended."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of a faster kernel on every import
    try:
        for note in notes_on(arguments):
            print(f"· {note}")
        run_command(translate(arguments))
    except ScumbleError as error:
        return report(error)
    except OSError as error:  # the disk or a permission: the system's words say which file
        return report(ScumbleError(str(error)))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def run_command(arguments: list[str]) -> Any:
    """Parse and call, with the parser's own complaints as our errors.

    Raises:
        ConfigError: the command line cannot be understood.
    """
    try:
        return app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        values = error.__cause__
        text = in_words(values) if isinstance(values, ValidationError) else str(error).strip()
        if "--" in arguments:
            text += ' After "--" nothing is a flag: leave it out.'
        if isinstance(error, cyclopts.UnusedCliTokensError):
            text += ' Put a value with spaces in quotes; a switch takes none, or one after "=".'
        if any(word.startswith("-") and " " in word for word in arguments):
            text += ' Text that begins with "-" needs its flag before it: --prompt "-5 dogs".'
        command = next((f" {name}" for name in arguments[:1] if name in app), "")
        raise ConfigError(f"{text} (see: scumble{command} --help)") from None

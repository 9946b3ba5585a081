"""The command train: from a folder of pictures to a LoRA."""

from pathlib import Path
from time import monotonic
from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, of_pictures
from scumble.cli.report import AtTheEnd
from scumble.cli.run import play
from scumble.config import TrainConfig
from scumble.errors import ConfigError
from scumble.families.hub import refuse_no_base
from scumble.processes import share_of
from scumble.train.ahead import refuse_missing_pictures
from scumble.train.taken_name import refuse_taken_name

TrainFlags = flags_model(TrainConfig, without=frozenset({"folder"}))


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
    settings = ready(TrainConfig, of_pictures(TrainConfig, flags, config, folder))
    refuse_missing_pictures(settings.data)
    refuse_no_base(settings.model.base)
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

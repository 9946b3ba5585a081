"""The command sweep: trainings that differ in a few settings, and which LoRA to keep."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, of_pictures
from scumble.cli.run import play
from scumble.config.sweep import AXES, SweepConfig
from scumble.errors import ConfigError
from scumble.families.hub import refuse_no_base
from scumble.train.ahead import refuse_missing_pictures

SweepFlags = flags_model(
    SweepConfig,
    without=frozenset({"folder", "resume", "targets"}),
    several=frozenset({*AXES, "prompts", "other_prompts"}),
)


def sweep(
    folder: Annotated[
        Path | None,
        Parameter(name=["--folder", "--train-data-dir"], help="folder of pictures, as of train"),
    ] = None,
    *,
    config: Annotated[Path | None, Parameter(help="TOML file of settings; flags win over it")] = None,
    dry_run: Annotated[
        bool, Parameter(help="show the cells, and what a run in miniature says they will cost", negative="")
    ] = False,
    probe: Annotated[
        bool, Parameter(help="of --dry-run: the run in miniature (default: yes)", show_default=False)
    ] = True,
    flags: Annotated[SweepFlags, Parameter(name="*")] = SweepFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Train LoRAs that differ in rank, rate or anything else on the same budget, and say which to keep.

    scumble sweep ./photos --trigger "sks dog" --ranks 4 8 16 32
    """
    settings = ready(SweepConfig, of_pictures(SweepConfig, flags, config, folder))
    refuse_missing_pictures(settings.data)
    refuse_no_base(settings.model.base)
    if dry_run:
        from scumble.sweep.ahead import dry_run as look_ahead

        play(look_ahead(settings, probe))
        return
    if not probe:
        raise ConfigError("no-probe would have no effect: it needs --dry-run; leave it out")
    from scumble.sweep.run import sweep as run

    play(run(settings), "the cells that are done are kept and the others saved: the same command goes on")

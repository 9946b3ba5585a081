"""The commands of the model in the box: demo and pretrain."""

from typing import Annotated

from cyclopts import Parameter

from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config import from_values
from scumble.mini.config import DemoConfig, PretrainConfig

DemoFlags = flags_model(DemoConfig)
PretrainFlags = flags_model(PretrainConfig)


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

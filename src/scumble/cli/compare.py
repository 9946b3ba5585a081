"""The command compare: tables of pictures in which only the axes differ."""

from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config import CompareConfig
from scumble.families.hub import refuse_no_base

CompareFlags = flags_model(CompareConfig)


def compare(
    *,
    flags: Annotated[CompareFlags, Parameter(name="*")] = CompareFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Draw pictures side by side from the same noise: base and LoRAs, or whatever --x, --y and --z say.

    scumble compare --lora runs/photos/photos.safetensors --prompt "photo of sks dog" --x "weight: 0-1 [5]"
    """
    settings = ready(CompareConfig, nested(CompareConfig, flags))
    refuse_no_base(settings.base)
    from scumble.compare.run import compare as run

    play(run(settings), "what was drawn is kept: the same command goes on")

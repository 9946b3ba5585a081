"""The commands that work on pictures and captions: caption."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config import CaptionConfig

CaptionFlags = flags_model(CaptionConfig, without=frozenset({"path"}))


def caption(
    path: Annotated[Path, Parameter(help=CaptionConfig.model_fields["path"].description)],
    *,
    flags: Annotated[CaptionFlags, Parameter(name="*")] = CaptionFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Write a caption beside each picture, by BLIP, Florence-2, a WD14 tagger or another model.

    scumble caption ./photos --trigger "sks dog"
    """
    settings = ready(CaptionConfig, {"path": path, **nested(CaptionConfig, flags)})
    from scumble.captioning.run import caption as run

    play(run(settings), "the captions written are whole: the same command goes on")

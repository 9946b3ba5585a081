"""The command check: what a folder of pictures is like, in words or as JSON, and a page."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from scumble.cli.flags import flags_model, of_pictures
from scumble.cli.run import play
from scumble.config import CheckConfig, from_values
from scumble.errors import DataError
from scumble.train.ahead import refuse_missing_folder

if TYPE_CHECKING:
    from scumble.check.events import Checked

CheckFlags = flags_model(CheckConfig, without=frozenset({"folder"}))


def check(
    folder: Annotated[
        Path | None,
        Parameter(name=["--folder", "--train-data-dir"], help="folder of pictures, or kohya's dataset .toml"),
    ] = None,
    *,
    config: Annotated[Path | None, Parameter(help="TOML file of the training's settings; flags win over it")] = None,
    flags: Annotated[CheckFlags, Parameter(name="*")] = CheckFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Say whether a folder of pictures is fit for training, what is wrong with it, and what the training will cost.

    scumble check ./photos --trigger "sks dog"
    """
    settings = from_values(CheckConfig, of_pictures(CheckConfig, flags, config, folder))
    if not settings.report.as_json:  # else it is part of what is found
        refuse_missing_folder(settings.data)
    from scumble.check.as_data import as_data
    from scumble.check.events import Checked
    from scumble.check.run import check as run
    from scumble.check.words import in_words

    ended: list[Checked] = []

    def told() -> Iterator[Any]:
        for event in run(settings):
            if isinstance(event, Checked):
                ended.append(event)
                yield from () if settings.report.as_json else in_words(event)
            elif not settings.report.as_json:
                yield event

    play(told())
    (checked,) = ended
    if settings.report.as_json:
        sys.stdout.write(json.dumps(as_data(checked), ensure_ascii=False, indent=2) + "\n")
    if not checked.is_usable:
        raise DataError(f"{checked.folder} is not usable as it is: {_why(checked)}")


def _why(checked: "Checked") -> str:
    return "; ".join(checked.problems) or f"{len(checked.warnings)} warnings, and --strict"

"""The settings of looking at runs."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scumble.config.section import Also, Place, Section


class RunsConfig(Section):
    """Which runs are looked at."""

    folder: Annotated[
        Place, Also("output_dir"), Field(description="folder of runs, or one run by its folder or name")
    ] = Path("runs")
    as_json: Annotated[bool, Also("json"), Field(description="print what is known as JSON")] = False

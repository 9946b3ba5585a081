"""The settings of looking at this machine."""

from typing import Annotated

from pydantic import Field

from scumble.config.section import Also, Section


class DoctorConfig(Section):
    """How it is told."""

    as_json: Annotated[bool, Also("json"), Field(description="print the findings as JSON")] = False

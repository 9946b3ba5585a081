"""The settings of checking: those of the training that is looked ahead to, and what becomes of what was found."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Place, Section
from scumble.config.train import TrainConfig
from scumble.errors import ConfigError


class ReportConfig(Section):
    """What is looked for besides, and where it is told."""

    report: Annotated[
        Place | None,
        Field(
            description="page to write, with thumbnails, not among the pictures; none = scumble-check.html here, or beside "
            "the pictures where here is among them"
        ),
    ] = None
    as_json: Annotated[
        bool, Also("json"), Field(description="print the findings as one JSON object instead of words")
    ] = False
    near_duplicate: Annotated[
        int,
        Field(ge=0, le=16, description="bits of 64 in which the perceptual hashes of near duplicates differ at most"),
    ] = 6
    probe: Annotated[
        bool,
        Field(description="measure memory, time and disk by a run in miniature, in a process of its own"),
    ] = True
    strict: Annotated[bool, Field(description="warnings too make the pictures not usable")] = False
    fix: Annotated[
        bool,
        Field(
            description="move what cannot be used and extra copies of the same bytes aside, and write captions as one clean "
            "line; nothing is deleted"
        ),
    ] = False
    undo: Annotated[bool, Field(description="take back what fix did, by the journal in the folder aside")] = False
    fix_dir: Annotated[
        Place | None, Field(description="folder that things are moved to; none = NAME-aside beside the pictures")
    ] = None


class CheckConfig(TrainConfig):
    """Everything `check` needs: all settings of `train`, for the plan, and the report's."""

    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _refuse_what_contradicts(self) -> Self:
        own = self.report
        if own.fix and own.undo:
            raise ConfigError("fix and undo contradict each other: give one of them")
        if own.fix_dir is not None and not (own.fix or own.undo):
            raise ConfigError("fix_dir would have no effect: it needs fix or undo; change that or leave fix_dir out")
        if own.report is not None and own.report.suffix.lower() not in {".html", ".htm"}:
            raise ConfigError(f"report={own.report}: must end in .html")
        return self

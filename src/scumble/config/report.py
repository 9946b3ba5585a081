"""The settings of a run's report."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Place, Section, Seed
from scumble.errors import ConfigError


class ReportConfig(Section):
    """Everything `report` needs: a run, and what is to be drawn besides."""

    run: Annotated[Place, Field(description="the run, by its folder or its name in runs")]
    out: Annotated[
        Place | None,
        Field(description="the page to write; none = report.html in the run's folder, replacing the one there"),
    ] = None
    prompt: Annotated[
        tuple[str, ...],
        Field(
            description="draw the base and the LoRA side by side for the page, repeatable; none = the run's own samples"
        ),
    ] = ()
    seed: Annotated[Seed, Field(description="seed of what --prompt draws")] = 1025
    as_json: Annotated[bool, Also("json"), Field(description="print the facts as JSON, and write no page")] = False

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        for name in ("out", "prompt"):
            if self.as_json and getattr(self, name):
                raise ConfigError(f"{name} would have no effect: --json prints the facts alone; leave {name} out")
        if "seed" in self.model_fields_set and not self.prompt:
            raise ConfigError("seed would have no effect: it needs --prompt; leave seed out")
        return self

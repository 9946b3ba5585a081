"""The settings of looking at a cache and clearing it away."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Place, Section
from scumble.errors import ConfigError


class CacheConfig(Section):
    """Which cache is looked at."""

    cache_dir: Annotated[Place | None, Field(description="folder of the cache; none = the user's cache folder")] = None


class PruneConfig(CacheConfig):
    """What of a cache goes; what nothing reads any more goes always."""

    older_than_days: Annotated[
        float | None, Also("older_than"), Field(ge=0, description="remove what was not used for so many days")
    ] = None
    max_size_gb: Annotated[
        float | None,
        Also("max_size"),
        Field(ge=0, description="remove the least recently used until no more gigabytes (10^9 bytes) are left"),
    ] = None
    everything: Annotated[bool, Also("all"), Field(description="remove all that the cache holds")] = False
    dry_run: Annotated[bool, Field(description="only say what would be removed")] = False

    @model_validator(mode="after")
    def _refuse_idle_limits(self) -> Self:
        for name in ("older_than_days", "max_size_gb"):
            if self.everything and getattr(self, name) is not None:
                raise ConfigError(f"{name} would have no effect: everything goes; leave one of them out")
        return self

"""Settings that a command can begin with: in range, and what they name is there, before anything heavy is imported."""

from collections.abc import Mapping
from typing import Any, TypeVar

from scumble.config import Section, from_values
from scumble.config.there import refuse_missing

AnySection = TypeVar("AnySection", bound=Section)


def ready(schema: type[AnySection], values: Mapping[str, Any]) -> AnySection:
    """Settings from plain values.

    Raises:
        ConfigError: see `from_values`.
        ScumbleError: a file that they name is not there.
    """
    settings = from_values(schema, values)
    refuse_missing(settings)
    return settings

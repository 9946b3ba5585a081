"""Measuring: every metric that was asked for, or all that can be measured here, and what the others lack."""

from collections.abc import Iterator, Sequence

from scumble import registry
from scumble.errors import MetricError
from scumble.generate.events import Noted
from scumble.metrics.base import Event, Subject


def measure(subject: Subject, wanted: Sequence[str] = ()) -> Iterator[Event]:
    """Measure LoRAs; the same subject gives the same numbers.

    Args:
        subject: the LoRAs, and what is looked at.
        wanted: names of metrics; () = all, where one that cannot be measured here is a note.
    Yields:
        Numbers, and what the person should know about them.
    Raises:
        ConfigError: there is no metric of such a name.
        MetricError: a metric that was asked for by its name cannot be measured here; says why, and what helps.
    """
    for name in wanted or registry.names("metric"):
        metric = registry.load("metric", name)
        try:
            yield from metric.measure(subject)
        except MetricError as error:
            if wanted:
                raise MetricError(f"{name} cannot be measured: {error}") from error
            yield Noted(f"not measured: {name}: {error}")

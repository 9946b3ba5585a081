"""The findings in words, as events that every command can show."""

from collections.abc import Iterator

from scumble.check.events import Checked
from scumble.check.findings import Findings
from scumble.check.forecast import Forecast
from scumble.data.names import root_of
from scumble.generate.events import Noted
from scumble.quantities import amount, counted, duration
from scumble.train.events import Planned
from scumble.train.picture_remarks import left_out_remarks


def in_words(checked: Checked) -> Iterator[Noted | Planned]:
    """What is printed of a check; its problems are the error that the command ends with."""
    if not checked.was_looked_at:
        return
    findings = checked.findings
    card = {**(dict(_card(findings)) if findings is not None else {}), **_training(checked)}
    verdict = "usable" if checked.is_usable else "not usable"
    yield Planned(f"{checked.folder}: {verdict}", card)
    if findings is not None:
        # of captions that cannot be read the first is told where the problem is
        yield from left_out_remarks([*findings.scan.rejected, *findings.scan.unread[1:]], root_of(findings.scan.folder))
    yield from (Noted(text, warning=True) for text in checked.warnings)
    if checked.forecast is not None:
        yield from (Noted(f"training would say: {text}") for text in checked.forecast.notes)
    if checked.page is not None:
        yield Noted(f"the page: {checked.page}")


def _card(findings: Findings) -> Iterator[tuple[str, str]]:
    sides = [side for seen in findings.seen for side in seen.example.size_px]
    between = f"; sides {min(sides)} to {max(sides)} px" if sides else ""
    yield "folder", findings.scan.said
    yield "pictures", f"{counted(len(findings.seen), 'picture')}, {len(findings.rejected)} left out{between}"
    if findings.buckets:
        yield "cut to", ", ".join(f"{width}x{height} ({count})" for (width, height), count in findings.buckets)
    if findings.masked is not None:
        yield "masks", f"{findings.masked} of {counted(len(findings.seen), 'picture')}; of the others all counts"


def _training(checked: Checked) -> dict[str, str]:
    if checked.forecast is None:
        return {"training": checked.no_forecast}
    return dict(forecast_words(checked.forecast))


def forecast_words(forecast: Forecast) -> Iterator[tuple[str, str]]:
    """What a training would do and cost: (label, text)."""
    yield "base", f"{forecast.base}, on {forecast.device}; {forecast.trainable:,} trainable numbers"
    yield "split", f"{counted(forecast.training, 'picture')} to train on, {forecast.held_out} held out"
    classes = f", {forecast.class_share:.0%} of them class pictures" if forecast.class_share else ""
    batches = counted(sum(bucket.batches for bucket in forecast.buckets), "batch", "batches")
    yield (
        "steps",
        f"{forecast.steps:,} of {counted(forecast.pictures_a_step, 'picture')}{classes}; {forecast.epochs:.1f} epochs of "
        f"{batches}",
    )
    yield "cache", f"{amount(forecast.cache_bytes)} on the disk"
    if forecast.probe is not None:
        yield from cost_words(forecast)


def cost_words(forecast: Forecast) -> Iterator[tuple[str, str]]:
    """What a training will cost, by its miniature: (label, text)."""
    probe, told = forecast.probe, forecast.estimate
    assert probe is not None
    if told is None:
        yield "measured", f"the run in miniature gave no figures: {probe.problem}"
        return
    assert forecast.peak_bytes is not None
    whose = "of the process" if forecast.device == "cpu" else "of tensors on the device"
    yield "memory", f"{amount(forecast.peak_bytes)} {whose} at most, with pictures of {probe.size[0]}x{probe.size[1]}"
    yield (
        "time",
        f"{duration(told.step_seconds + told.other_seconds)}: {told.seconds_a_step:.2g} s a step, {duration(told.step_seconds)} "
        f"for all of them, and {duration(told.other_seconds)} before, between and after them",
    )
    yield (
        "disk",
        f"{amount(told.run_bytes)}: {counted(told.loras, 'LoRA')} of {amount(told.lora_bytes)}, "
        f"{counted(told.checkpoints, 'checkpoint')} of {amount(told.checkpoint_bytes)}; and the cache, {amount(forecast.cache_bytes)}",
    )

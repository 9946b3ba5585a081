"""The findings as plain values, for programs: one JSON object."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scumble.check.events import Checked
from scumble.check.findings import Findings
from scumble.check.forecast import Forecast
from scumble.data.caption_lint import OddCaption
from scumble.data.names import name_in, root_of
from scumble.data.scan import Example


def as_data(checked: Checked) -> dict[str, Any]:
    """What was found, as values that JSON has; files are named relative to the folder."""
    findings = checked.findings
    return {
        "folder": str(checked.folder),
        "usable": checked.is_usable if checked.was_looked_at else None,
        "problems": list(checked.problems),
        "warnings": list(checked.warnings),
        **(_of_findings(findings) if findings is not None else EMPTY),
        "plan": _of_forecast(checked.forecast) if checked.forecast is not None else {"missing": checked.no_forecast},
        "fixed": [{**asdict(act), "path": str(act.path), "aside": str(act.aside)} for act in checked.acts],
        "report": None if checked.page is None else str(checked.page),
    }


EMPTY: Mapping[str, Any] = {
    "layout": None,
    "understood": None,
    "kept": 0,
    "rejected": [],
    "captions": {},
    "masked": None,
    "duplicates": [],
    "exact_duplicates": [],
    "hints": [],
    "buckets": [],
}
"""Of a folder whose layout is not understood."""


def _of_findings(findings: Findings) -> dict[str, Any]:
    root = root_of(findings.scan.folder)
    return {
        "layout": findings.scan.layout,
        "understood": findings.scan.said,
        "kept": len(findings.seen),
        "rejected": [{"file": name_in(item.path, root), "reason": item.reason} for item in findings.rejected],
        "captions": _of_captions(findings, root),
        "masked": findings.masked,
        "duplicates": [_names(group, root) for group in (*findings.equal, *findings.alike)],
        "exact_duplicates": [_names(group, root) for group in findings.equal],
        "hints": [
            {"file": name_in(seen.example.path, root), "hints": [asdict(hint) for hint in seen.hints]}
            for seen in findings.seen
            if seen.hints
        ],
        "buckets": [{"size": list(size), "pictures": count} for size, count in findings.buckets],
    }


def _of_captions(findings: Findings, root: Path) -> dict[str, Any]:
    captions = findings.captions

    def names(paths: Iterable[Path]) -> list[str]:
        return [name_in(path, root) for path in paths]

    def odd(found: Iterable[OddCaption]) -> list[dict[str, Any]]:
        return [{"file": name_in(item.path, root), "caption": item.text, "signs": list(item.signs)} for item in found]

    frequencies = dict(captions.frequencies)
    return {
        "sources": captions.sources,
        "missing": names(captions.missing),
        "unreadable": names(item.path for item in findings.scan.unread),
        "empty": names(captions.empty),
        "equal": [{"caption": caption, "files": names(paths)} for caption, paths in captions.equal],
        "without_trigger": names(captions.without_trigger),
        "odd": odd(captions.odd),
        "odd_tags": odd(captions.odd_tags),
        "spellings": [list(tags) for tags in captions.spellings],
        "cut": [
            {
                "file": name_in(cut.path, root),
                "caption": cut.text,
                "tokens": cut.tokens,
                "chunks": cut.chunks,
                "unseen": cut.unseen,
            }
            for cut in findings.cut
        ],
        "tags": frequencies if captions.gives_tags else {},
        "words": {} if captions.gives_tags else frequencies,
    }


def _of_forecast(forecast: Forecast) -> dict[str, Any]:
    values = asdict(forecast)
    values["buckets"] = [{**bucket, "size": list(bucket["size"])} for bucket in values["buckets"]]
    values["seconds"] = forecast.seconds
    return values


def _names(group: Iterable[Example], root: Path) -> list[str]:
    return [name_in(example.path, root) for example in group]

"""The facts of a report as JSON values: all but the pictures themselves."""

from dataclasses import asdict
from typing import Any

from scumble.report.facts import Facts
from scumble.report.samples import Samples


def as_data(facts: Facts) -> dict[str, Any]:
    """What the page says, as values; paths are texts."""
    told = facts.told
    return {
        "run": asdict(told.run),
        "verdict": asdict(facts.verdict),
        "settings": {"chosen": told.given, "all": told.settings},
        "pictures": None if facts.sheet is None else asdict(facts.sheet),
        "course": {
            "steps": [asdict(step) for step in told.course.steps],
            "validations": [asdict(each) for each in told.course.validations],
            "gone_on_after": list(told.course.gone_on),
        },
        "samples": _samples(facts.samples),
        "loras": [asdict(lora) for lora in facts.loras],
        "lora_to_use": None if facts.chosen is None else facts.chosen.name,
        "verification": None if facts.verification is None else asdict(facts.verification),
        "base_fingerprint": facts.fingerprint or None,
        "use": None if facts.use is None else asdict(facts.use),
        "next": [{"for": what, "line": line} for what, line in facts.next_steps],
        "warnings": list(told.warnings),
        "took": {
            "seconds": told.seconds,
            "seconds_in_steps": told.course.seconds,
            "memory_bytes": told.course.memory_bytes,
        },
        "trained_on": {name: told.start.get(name) for name in ("versions", "system", "hardware", "device")},
    }


def _samples(samples: Samples) -> dict[str, Any]:
    return {
        "rows": [
            {
                "prompt": row.prompt,
                "seed": row.seed,
                "pictures": {step: str(path) for step, path in row.pictures.items()},
            }
            for row in samples.rows
        ],
        "nearest": [asdict(nearest) for nearest in samples.nearest],
    }

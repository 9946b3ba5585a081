"""Writes the tables of docs/how-to/samplers.md from the newest result of bench/samplers.py."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scumble.generate.samplers.names import SAMPLERS

PAGE = Path(__file__).parent / "how-to" / "samplers.md"
RESULTS = Path(__file__).parents[1] / "bench" / "results"
START, END = "<!-- the tables: make docs -->\n", "<!-- their end -->\n"
SAME = 1e-4
"""A smaller difference is rounding."""


def newest() -> dict[str, Any]:
    """The last measurement."""
    path = max(RESULTS.glob("*-samplers.json"))
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def rows(result: Mapping[str, Any]) -> Iterator[str]:
    """The tables' lines."""
    read = {row["sampler"]: row["read"] for row in result["drawn by the model in the box"]}
    yield "| sampler | Automatic is | questions in 20 steps | beside the WebUI | diffusers' scheduler | digits read |"
    yield "|---|---|---:|---|---|---:|"
    for row in result["samplers"]:
        name = row["sampler"]
        sampler = SAMPLERS[name]
        automatic = sampler.automatic if sampler.takes_schedule else "its own timesteps"
        webui, diffusers = (_worst(row, who) for who in ("webui", "diffusers"))
        yield f"| {name} | {automatic} | {row['questions']} | {webui} | {diffusers} | {read[name]:.0%} |"
    yield ""
    yield f"Measured on {result['date']} with {result['steps']} steps: WebUI {result['WebUI']}, k-diffusion {result['k-diffusion']},"
    yield f"diffusers {result['diffusers']}."
    yield ""
    for what, missing in (("sampler", result["not here"]), ("schedule", result["schedules not here"])):
        yield from (f"- The {what} *{name}* is not here: {why}." for name, why in missing.items())


def _worst(row: Mapping[str, Any], who: str) -> str:
    """The largest difference from somebody, under all schedules and predictions measured."""
    by_prediction = {key.partition(" ")[2]: value for key, value in row.items() if key.startswith(f"{who} ")}
    if not by_prediction:
        return "has none"
    if who == "webui":
        by_prediction["epsilon"] = max(by_prediction["epsilon"], *row.get("schedules", {}).values(), 0.0)
    far = {prediction: value for prediction, value in by_prediction.items() if value >= SAME}
    if not far:
        return f"the same ({max(by_prediction.values()):.0e})"
    if len(far) < len(by_prediction):
        [(prediction, value)] = far.items()
        return f"the same, but {value:.1g} with {prediction}"
    return f"{max(far.values()):.1g}"


def page() -> str:
    """The page with its tables as they should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{''.join(line + chr(10) for line in rows(newest()))}{END}{after}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()

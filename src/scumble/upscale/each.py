"""One picture after the other: read, made larger, written whole; what cannot be read is told and the others go on."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from scumble.errors import DataError
from scumble.files.atomic import write_atomically
from scumble.upscale.events import Enlarged, Enlarging, Event, Tallied, Unread
from scumble.upscale.passes import Larger
from scumble.upscale.picture import Original, png_bytes, read_original
from scumble.upscale.places import Places
from scumble.upscale.tiles import Retiled

OWN_KEY = "scumble-upscale"
"""The PNG text that says how a picture was made larger: a JSON list, the last time last."""
WEBUI_KEY = "postprocessing"
"""Where the WebUI writes the same."""

Make = Callable[[Original], Generator[float | Retiled, None, "Made"]]
"""Makes a picture larger; yields the share of the work that is done."""


@dataclass(frozen=True)
class Made:
    """A larger picture, by what it was made larger, and facts on how."""

    larger: Larger
    upscaler: str
    facts: Mapping[str, Any]


def make_each(places: Places, make: Make, out: Path, first_frame: bool) -> Iterator[Event]:
    """Make every picture larger, and write each result as soon as it is there.

    Args:
        places: the pictures, and where their results go.
        make: makes one larger.
        out: what is named at the end.
        first_frame: see `read_original`.
    Raises:
        DataError: nothing could be made of any of them.
        OSError: the disk is full, or may not be written to.
    """
    started, unread = monotonic(), list(places.unread)
    yield from unread
    for index, place in enumerate(places.pictures):
        try:
            original = read_original(place.source, first_frame)
            steps = make(original)
            made = yield from _told(steps, place.source, index, len(places.pictures), started)
        except DataError as error:
            unread.append(Unread(place.source, str(error)))
            yield unread[-1]
            continue
        larger = made.larger
        place.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place.out, png_bytes(original, larger.rgb, larger.alpha, _texts(original, made)))
        yield Enlarged(
            place.source, place.out, original.rgb.size, larger.rgb.size, original.lost, index + 1, len(places.pictures)
        )
    num_done = len(places.pictures) + len(places.unread) - len(unread)
    if num_done == 0:
        raise DataError(f"nothing was made: {unread[0].path}: {unread[0].reason}")
    yield Tallied(num_done, len(unread), out)


def _told(
    steps: Generator[float | Retiled, None, Made], path: Path, index: int, total: int, started: float
) -> Generator[Event, None, Made]:
    """The steps of one picture as events, with the time that is left for all."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made
        if isinstance(step, Retiled):
            yield step
            continue
        done = (index + step) / total
        yield Enlarging(path, index + 1, total, step, (monotonic() - started) * (1 - done) / done)


def _texts(original: Original, made: Made) -> dict[str, str]:
    """What was done, for programs and for the WebUI; what was done before is kept."""
    before, after = original.rgb.size, made.larger.rgb.size
    facts = {
        "upscaler": made.upscaler,
        **made.facts,
        "from": list(before),
        "to": list(after),
    }
    try:
        earlier = json.loads(original.texts.get(OWN_KEY, "[]"))
    except ValueError:
        earlier = []
    name = json.dumps(made.upscaler, ensure_ascii=False) if set(",:") & set(made.upscaler) else made.upscaler
    return {
        OWN_KEY: json.dumps([*(earlier if isinstance(earlier, list) else []), facts], ensure_ascii=False),
        WEBUI_KEY: f"Postprocess upscale by: {after[0] / before[0]:.4g}, Postprocess upscaler: {name}",
    }

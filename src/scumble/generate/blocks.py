"""Weights per block: how strongly a LoRA acts in each block of the denoiser, as the WebUI's block weight extension writes
it and kohya's scripts name it.

A tag says `<lora:name:0.8:lbw=...>` with one number for each block in order (12, 17, 20 or 26 of them), or with blocks by
name, `lbw=IN04=0.5,OUT03=0`, and 1 for all others. BASE is the text encoders and what lies outside the blocks.
"""

import math
import re
from collections.abc import Iterable, Mapping

from scumble.errors import ConfigError, nearest
from scumble.files.sgm import sgm_path

BASE, MIDDLE = "BASE", "M00"


def _counted(side: str, places: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{side}{place:02d}" for place in places)


LAYOUTS = {
    12: (BASE, *_counted("IN", (4, 5, 7, 8)), MIDDLE, *_counted("OUT", range(6))),
    17: (BASE, *_counted("IN", (1, 2, 4, 5, 7, 8)), MIDDLE, *_counted("OUT", range(3, 12))),
    20: (BASE, *_counted("IN", range(9)), MIDDLE, *_counted("OUT", range(9))),
    26: (BASE, *_counted("IN", range(12)), MIDDLE, *_counted("OUT", range(12))),
}
"""Number of values -> the blocks they are for: those with attention, or all; of three resolutions, or of four."""

BLOCKS = LAYOUTS[26]
_PLACE = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.")
_SIDES = {"input_blocks": "IN", "output_blocks": "OUT"}


def parse_blocks(text: str) -> dict[str, float]:
    """Block -> weight, of the text after `lbw=`.

    Raises:
        ConfigError: another number of values, an unknown block, or a weight that is no number.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if any("=" in entry for entry in entries):
        named = [_named(entry) for entry in entries]
        return {**dict(named), **{block: 1.0 for block in BLOCKS if block not in dict(named)}}
    if len(entries) not in LAYOUTS:
        known = ", ".join(map(str, LAYOUTS))
        raise ConfigError(f"lbw={text}: found {len(entries)} values, expected {known}, or blocks by name: IN04=0.5")
    return dict(zip(LAYOUTS[len(entries)], map(_number, entries), strict=True))


def block_of(key: str) -> str:
    """The block of a layer by its canonical key, such as "unet.mid_block.attentions.0.proj_in"."""
    part, _, path = key.partition(".")
    name = sgm_path(path) if part == "unet" else None
    if name is None:
        return BASE
    if name.startswith("middle_block."):
        return MIDDLE
    place = _PLACE.match(name)
    return f"{_SIDES[place[1]]}{int(place[2]):02d}" if place else BASE


def block_factors(keys: Iterable[str], blocks: Mapping[str, float], name: str) -> dict[str, float]:
    """Canonical key -> factor on the LoRA's strength there.

    Args:
        keys: the layers that a LoRA changes.
        blocks: block -> weight.
        name: the LoRA's, for messages.
    Raises:
        ConfigError: the LoRA changes a block that has no weight.
    """
    of_layers = {key: block_of(key) for key in keys}
    without = sorted(set(of_layers.values()) - set(blocks))
    if without:
        raise ConfigError(
            f"LoRA '{name}' changes {', '.join(without)}, which its {len(blocks)} block weights leave out: "
            f"give {' or '.join(str(count) for count, layout in LAYOUTS.items() if set(without) <= set(layout))} values"
        )
    return {key: blocks[block] for key, block in of_layers.items()}


def _named(entry: str) -> tuple[str, float]:
    block, _, number = entry.partition("=")
    block = block.strip().upper()
    if block not in BLOCKS:
        raise ConfigError(f"lbw: unknown block '{block}'{nearest(block, BLOCKS)}")
    return block, _number(number)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"lbw: the weight '{text}' is not a number")
    return number

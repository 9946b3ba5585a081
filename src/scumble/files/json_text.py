"""JSON that comes from anywhere, parsed in bounded memory and time."""

import json
import re
from typing import Any

MAX_TOKENS = 500_000
"""Texts, brackets and commas. A large LoRA of SDXL has 160,000 in its header; half a million take under 50 MB."""

TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[{,]', re.DOTALL)  # no backtracking: linear in time, also if unclosed


def parse_json(text: bytes) -> Any:
    """The value that a JSON text is.

    A name that is there twice in an object is refused: readers would disagree about which one counts.

    Raises:
        ValueError: not JSON, not UTF-8, nested too deep, too many values, or a name twice.
    """
    for count, _ in enumerate(TOKEN.finditer(text), 1):
        if count > MAX_TOKENS:
            raise ValueError(f"more than {MAX_TOKENS} values")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"'{name:.80}' is there twice")
            seen.add(name)
    return found

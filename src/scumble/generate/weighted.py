"""Weights on the words of a prompt, written as in the WebUI, and the text states of such prompts.

`(word)` weighs 1.1, `[word]` 1/1.1, `(word:1.2)` 1.2; brackets multiply, `\\(` is a sign, BREAK begins a new chunk.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scumble.errors import ConfigError
from scumble.families.base import TextEncoder, TextState
from scumble.families.chunks import Section, Words, split_at_breaks

ROUND_WEIGHT = 1.1
SQUARE_WEIGHT = 1 / 1.1

_PIECE = re.compile(
    r"(?P<escape>\\[\\()\[\]]?)"
    r"|(?P<weight>:\s*(?P<number>[+-]?[.\d]+)\s*\))"
    r"|(?P<bracket>[()\[\]])"
    r"|(?P<text>:|[^\\:()\[\]]+)"
)
_CHANGING = re.compile(r"(?<!\\)\[(?:[^\[\]|]*:\s*(?:\d+\.?\d*|\.\d+)\s*|[^\[\]]*\|[^\[\]]*)\]")
_COMPOSED = re.compile(r"\bAND\b")
_NETWORK = re.compile(r"<hypernet:[^<>]*>")


@dataclass(frozen=True)
class _Break:
    """Where a section ends."""


def parse_weights(prompt: str) -> tuple[Section, ...]:
    """The sections of a prompt between its BREAKs, each as stretches of words that weigh the same.

    A bracket that is not closed holds to the end; one that was not opened is a sign.

    >>> parse_weights("a (red:1.2) line")
    ((Words(text='a ', weight=1.0), Words(text='red', weight=1.2), Words(text=' line', weight=1.0)),)

    Args:
        prompt: without LoRA tags.
    Raises:
        ConfigError: what stands for a weight is no number.
    """
    found: list[Words | _Break] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _PIECE.finditer(prompt):
        piece = match.group()
        if match["escape"]:
            found.append(Words(piece[1:]))
        elif piece in opened:
            opened[piece].append(len(found))
        elif match["weight"] and opened["("]:
            _multiply(found, opened["("].pop(), _number(match["number"], prompt))
        elif piece == ")" and opened["("]:
            _multiply(found, opened["("].pop(), ROUND_WEIGHT)
        elif piece == "]" and opened["["]:
            _multiply(found, opened["["].pop(), SQUARE_WEIGHT)
        else:
            first, *others = split_at_breaks(piece)
            found.append(Words(first))
            for part in others:
                found += [_Break(), Words(part)]
    for sign, weight in (("(", ROUND_WEIGHT), ("[", SQUARE_WEIGHT)):
        for start in opened[sign]:
            _multiply(found, start, weight)
    return _sections(found)


def other_syntax(prompt: str) -> str | None:
    """The first sign in a prompt that means in the WebUI what nothing means here, and what it is taken for; else None."""
    changing, composed, network = (sign.search(prompt) for sign in (_CHANGING, _COMPOSED, _NETWORK))
    if network:
        return f"'{network.group()}' names a network of the WebUI that is not known here; here it is words"
    if changing:
        return f"'{changing.group()}' changes between steps in the WebUI; here it is words that weigh less"
    if composed:
        return "'AND' composes pictures of several prompts in the WebUI; here it is a word"
    return None


def prompt_states(
    encoder: TextEncoder, prompts: Sequence[str], clip_skip: int, num_chunks: int | None = None
) -> list[TextState]:
    """One text state a prompt, all of one shape.

    Args:
        encoder: makes them.
        prompts: with their weights and BREAKs.
        clip_skip: as the WebUI counts, 1 = the last layer.
        num_chunks: chunks of every state; None = as many as the longest prompt needs.
    Raises:
        ConfigError: what stands for a weight is no number.
    """
    parsed = [parse_weights(prompt) for prompt in prompts]
    return encoder.encode(parsed, clip_skip, num_chunks or count_chunks(encoder, prompts))


def count_chunks(encoder: TextEncoder, prompts: Sequence[str]) -> int:
    """Chunks that the longest of the prompts needs.

    Raises:
        ConfigError: what stands for a weight is no number.
    """
    return max(encoder.count_chunks(parse_weights(prompt)) for prompt in prompts)


def _number(text: str, prompt: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f"prompt: '{text}' is no weight, in '{prompt[:60]}': write such as (word:1.2), or \\( for a bracket that is a sign"
        )
    return number


def _multiply(found: list[Words | _Break], start: int, factor: float) -> None:
    for index in range(start, len(found)):
        item = found[index]
        if isinstance(item, Words):
            found[index] = replace(item, weight=item.weight * factor)


def _sections(found: Sequence[Words | _Break]) -> tuple[Section, ...]:
    """Neighbours of equal weight are one text, because the tokenizer reads it as a whole."""
    sections: list[list[Words]] = [[]]
    for item in found:
        section = sections[-1]
        if isinstance(item, _Break):
            sections.append([])
        elif section and section[-1].weight == item.weight:
            section[-1] = Words(section[-1].text + item.text, item.weight)
        else:
            section.append(item)
    return tuple(tuple(words for words in section if words.text) for section in sections)

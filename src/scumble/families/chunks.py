"""Prompts of any length and with weighted words, cut into chunks of what a CLIP text model sees, as the WebUI does it.

A chunk is what stands between one start and one end mark, mostly 75 tokens. The chunks of a prompt are encoded one by one and
their states joined.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

COMMA_REACH = 20
"""A chunk ends after its last comma rather than in the middle of a phrase, if the comma is among so many last tokens."""

_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Words:
    """A stretch of a prompt whose words weigh the same.

    Attributes:
        text: the words.
        weight: factor on the states of their tokens.
    """

    text: str
    weight: float = 1.0


Section = tuple[Words, ...]
"""What stands between two BREAKs; each section begins a chunk."""

Prompt = str | tuple[Section, ...]
"""A plain text, in which brackets are signs like others; or sections of weighted words."""


@dataclass(frozen=True)
class Chunk:
    """The tokens that a text model sees at once, without start and end.

    Attributes:
        tokens: their numbers in the vocabulary.
        weights: factor on the state of each.
    """

    tokens: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()


Token = tuple[int, float]
"""A token's number and its weight."""


def split_at_breaks(text: str) -> list[str]:
    """The parts of a text between the words BREAK, without the blanks around these; one part where there is none."""
    return _BREAK.split(text)


def sections_of(prompt: Prompt) -> tuple[Section, ...]:
    """The sections of a prompt; a plain text weighs 1 everywhere."""
    if isinstance(prompt, str):
        return tuple((Words(part),) for part in split_at_breaks(prompt))
    return prompt


def chunked(
    sections: Sequence[Sequence[Token]],
    room: int,
    comma: int | None,
    num_chunks: int | None = None,
    joined: Collection[int] = (),
) -> list[Chunk]:
    """Cut tokens into chunks, by the WebUI's rule.

    A section fills chunk after chunk. A chunk that is full ends after its last comma, if that is among its last
    COMMA_REACH tokens and the next token is no comma itself: what follows it goes into the next chunk. A word of several
    vectors that does not fit goes there as a whole.

    Args:
        sections: the tokens of each section of a prompt.
        room: tokens that a chunk holds, >= 1.
        comma: number of the comma's token; None = the vocabulary has none.
        num_chunks: exactly so many, >= 1: empty ones follow, what is beyond is cut off, and the last holds as much as it
            can; None = as many as are needed, at least one.
        joined: numbers of tokens that stay behind the one before them.
    """
    chunks: list[Chunk] = []
    for index, section in enumerate(sections):
        is_last = index == len(sections) - 1
        if section or not is_last or not chunks:  # nothing after the last BREAK needs no chunk
            most = None if num_chunks is None else num_chunks - len(chunks)
            chunks += _section_chunks(section, room, comma, most, joined)
        if len(chunks) == num_chunks:
            return chunks
    return chunks + [Chunk()] * ((num_chunks or 0) - len(chunks))


def _section_chunks(
    section: Sequence[Token], room: int, comma: int | None, most: int | None, joined: Collection[int]
) -> list[Chunk]:
    """The chunks of one section, at least one, at most `most`."""
    chunks: list[list[Token]] = []
    rest = list(section)
    while len(rest) > room and len(chunks) + 1 != most:
        end = _end_of_chunk(rest, room, comma, joined)
        chunks.append(rest[:end])
        rest = rest[end:]
    return [
        Chunk(tuple(token for token, _ in chunk), tuple(weight for _, weight in chunk))
        for chunk in [*chunks, rest[:room]]
    ]


def _end_of_chunk(tokens: Sequence[Token], room: int, comma: int | None, joined: Collection[int]) -> int:
    """How many of the tokens, which are more than the room, the first chunk takes."""
    if tokens[room][0] in joined:
        whole = next((end for end in range(room, 0, -1) if tokens[end][0] not in joined), 0)
        return whole or room  # a word of more vectors than the room is cut
    if tokens[room][0] != comma:
        for end in range(room, max(room - COMMA_REACH, 0), -1):
            if tokens[end - 1][0] == comma:
                return end
    return room


def surely_seen(room: int, num_chunks: int) -> int:
    """Tokens of a prompt that fit into so many chunks wherever its commas stand.

    Args:
        room: tokens of a chunk.
        num_chunks: chunks that there are.
    """
    return room + (num_chunks - 1) * (room - COMMA_REACH)

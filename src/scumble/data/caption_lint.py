"""What is odd about captions: missing, empty or equal ones, the trigger left out, signs that nobody typed; and their tags."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.data.scan import Example

JOINERS = "\u200c\u200d"
"""Invisible, and part of the writing of many scripts and of emoji."""

CURLY = "‘’‚‛“”„‟´`"
"""Quotes that word processors put in place of ' and ": other tokens for the text encoder."""

MOST_WORDS_OF_A_TAG = 3.5
"""Mean words between commas up to which captions count as lists of tags."""

FUNCTION_WORDS = frozenset(
    [
        "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "he", "her", "his", "in", "into",
        "is", "it", "its", "of", "on", "or", "she", "that", "the", "their", "there", "these", "they", "this",
        "those", "to", "was", "were", "with",
    ]
)  # fmt: skip
"""Words of which every English sentence is full."""

_MOJIBAKE = re.compile(r"[\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2122]{2,}")
_CJK = re.compile(r"[\u2e80-\uffef]")


@dataclass(frozen=True)
class OddCaption:
    """A caption with signs that were hardly meant.

    Attributes:
        path: its picture.
        text: the caption.
        signs: in words, what was found.
    """

    path: Path
    text: str
    signs: tuple[str, ...]


@dataclass(frozen=True)
class CaptionFindings:
    """What the captions of a set of pictures are like.

    Attributes:
        sources: where captions came from -> number of pictures.
        missing: pictures without any caption.
        empty: pictures with an empty one.
        equal: (caption, the pictures that have it) where several pictures, not of the same bytes, have one in files or
            tables of their own; the most frequent first.
        without_trigger: pictures with a caption that lacks the trigger.
        odd: captions with odd signs.
        odd_tags: where captions are lists of tags, those with a tag twice or an empty one.
        spellings: where captions are lists of tags, each tag that is spelled in several ways, as long_hair and long hair.
        gives_tags: whether the captions are lists of tags.
        frequencies: (tag, or word, number of pictures), the most frequent first.
    """

    sources: dict[str, int]
    missing: tuple[Path, ...]
    empty: tuple[Path, ...]
    equal: tuple[tuple[str, tuple[Path, ...]], ...]
    without_trigger: tuple[Path, ...]
    odd: tuple[OddCaption, ...]
    odd_tags: tuple[OddCaption, ...]
    spellings: tuple[tuple[str, ...], ...]
    gives_tags: bool
    frequencies: tuple[tuple[str, int], ...]


def lint_captions(examples: Sequence[Example], trigger: str | None = None) -> CaptionFindings:
    """Look at the captions of pictures.

    Args:
        examples: with their captions; those without any have ().
        trigger: the word that every caption should have.
    """
    own = [example for example in examples if example.captions]
    gives_tags = are_tags([caption for example in own for caption in example.captions])
    counts = Counter(
        word for example in own for word in {part for text in example.captions for part in _parts(text, gives_tags)}
    )
    return CaptionFindings(
        sources=dict(Counter(example.source for example in examples)),
        missing=tuple(example.path for example in examples if not example.captions),
        empty=tuple(example.path for example in own if not all(example.captions)),
        equal=_equal(own),
        without_trigger=tuple(example.path for example in own if trigger and lacks(example, trigger)),
        odd=_odd(own, odd_signs),
        odd_tags=_odd(own, tag_faults) if gives_tags else (),
        spellings=_spellings(counts) if gives_tags else (),
        gives_tags=gives_tags,
        frequencies=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )


def lacks(example: Example, trigger: str) -> bool:
    """Whether a caption of a picture is without the trigger; upper and lower case are the same to the text encoder."""
    return not all(trigger.casefold() in caption.casefold() for caption in example.captions)


def odd_signs(text: str) -> list[str]:
    """In words, each kind of sign in a text that was hardly meant; [] in an ordinary text of any language."""
    found = [_named(sign) for sign in dict.fromkeys(text) if _is_odd(sign)]
    curly = [sign for sign in dict.fromkeys(text) if sign in CURLY]
    if curly and not _CJK.search(text):
        found.append(f"typographic quotes {' '.join(curly)}")
    if any(mark in JOINERS and not _joins(text, place) for place, mark in enumerate(text)):
        found.append("an invisible joiner between letters that need none")
    found += [f"'{wrong}', which is '{right}' read in a wrong encoding" for wrong, right in _mojibake(text)]
    if unicodedata.normalize("NFC", text) != text:
        found.append("letters apart from their accents (not in the composed form, NFC)")
    return found


def tag_faults(text: str) -> list[str]:
    """In words, tags that a list of tags has twice, and empty ones; a comma at its end is none."""
    tags = [tag.strip() for tag in text.rstrip(" ,").split(",")]
    counts = Counter(_spelled(tag) for tag in tags if tag)
    first = {_spelled(tag): tag for tag in reversed(tags)}
    found = [
        f"'{first[tag]}' {'twice' if count == 2 else f'{count} times'}" for tag, count in counts.items() if count > 1
    ]
    return [*found, *(["an empty tag"] if "" in tags and counts else [])]


def is_telling(word: str) -> bool:
    """Whether a word says something of a picture: no function word of English, number or single letter."""
    return word not in FUNCTION_WORDS and not word.isdigit() and not (len(word) == 1 and word.isascii())


def normal_caption(text: str) -> str:
    """A caption as one line in NFC, without invisible signs that mean nothing, single blanks between words."""
    kept = "".join(sign for sign in text if not _is_invisible(sign))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def are_tags(captions: Sequence[str]) -> bool:
    """Whether captions are lists of tags rather than sentences: most have commas, with few words between them."""
    listed = [caption for caption in captions if caption]
    with_commas = [caption for caption in listed if "," in caption]
    if 2 * len(with_commas) <= len(listed):
        return False
    tags = [tag for caption in with_commas for tag in _parts(caption, True)]
    return sum(len(tag.split()) for tag in tags) <= MOST_WORDS_OF_A_TAG * len(tags)


def _parts(text: str, gives_tags: bool) -> list[str]:
    if gives_tags:
        return [tag for tag in (part.strip() for part in text.split(",")) if tag]
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower())


def _odd(own: Sequence[Example], look: Callable[[str], list[str]]) -> tuple[OddCaption, ...]:
    return tuple(
        OddCaption(example.path, caption, tuple(signs))
        for example in own
        for caption in example.captions
        if (signs := look(caption))
    )


def _spelled(tag: str) -> str:
    """A tag as it would be without capitals and underscores."""
    return " ".join(tag.casefold().replace("_", " ").split())


def _spellings(counts: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    """Tags that differ in underscores; capitals alone are the same to the text encoder.

    Args:
        counts: tag -> number of pictures.
    """
    groups: dict[str, list[str]] = {}
    for tag in sorted(counts, key=lambda tag: (-counts[tag], tag)):
        groups.setdefault(_spelled(tag), []).append(tag)
    return tuple(tuple(tags) for tags in groups.values() if len({tag.casefold() for tag in tags}) > 1)


def _equal(own: Sequence[Example]) -> tuple[tuple[str, tuple[Path, ...]], ...]:
    pictures: dict[str, dict[str, Path]] = {}
    for example in own:
        if example.source in {"sidecar", "table"}:
            for caption in example.captions:
                pictures.setdefault(caption, {}).setdefault(example.content, example.path)
    shared = [(caption, tuple(paths.values())) for caption, paths in pictures.items() if caption and len(paths) > 1]
    return tuple(sorted(shared, key=lambda item: -len(item[1])))


def _is_invisible(sign: str) -> bool:
    """Control and format signs that no writing needs; white space is none of them."""
    return unicodedata.category(sign) in {"Cc", "Cf"} and not sign.isspace() and sign not in JOINERS


def _is_odd(sign: str) -> bool:
    return _is_invisible(sign) or sign == "\ufffd" or unicodedata.category(sign) in {"Co", "Cn", "Cs"}


def _named(sign: str) -> str:
    return f"U+{ord(sign):04X} {unicodedata.name(sign, 'control or unassigned').lower()}"


def _joins(text: str, place: int) -> bool:
    """Whether the sign at a place stands between two that are no Latin letters."""
    before, after = text[:place][-1:], text[place + 1 :][:1]
    return bool(before and after) and not (before + after).isascii()


def _mojibake(text: str) -> list[tuple[str, str]]:
    """Stretches that are UTF-8 read as Windows-1252 or Latin-1, and what they were."""
    found = []
    for wrong in _MOJIBAKE.findall(text):
        for encoding in ("cp1252", "latin-1"):
            try:
                right = wrong.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            found.append((wrong, right))
            break
    return found

"""From what a model says to the caption: forbidden words taken out, trigger, prefix and suffix put on."""

import re
from dataclasses import dataclass

_GAP = "\0"
_ENDS_IN_AIR = re.compile(
    rf"(?:(?:\b(?:an?|the|of|with|in|on|at|by|and|or|to)\b,?|{_GAP}) *)*{_GAP}[ {_GAP}]*(?=[.,;:!?]|$)", re.I
)
_BEGINS_IN_AIR = re.compile(
    rf"^ *{_GAP}[ {_GAP}]*(?:(?:of|with|and|or)\b|[,;:])? *|^ *(?:an?|the) +{_GAP}[ {_GAP}]*(?:(?:of|with|and|or)\b|[,;:]) *",
    re.I,
)
_TWO_STOPS = re.compile(rf"([.,;:!?]) *{_GAP}[ {_GAP}]*[.,;:!?]")
_TWO_ARTICLES = re.compile(rf"\b(?:an?|the) +{_GAP}[ {_GAP}]*(?=(?:an?|the)\b)", re.I)
_ARTICLE = re.compile(rf"\b(a)n? +{_GAP}[ {_GAP}]*(?=(\w))", re.I)
_SEPARATOR = ", "


@dataclass(frozen=True)
class Wording:
    """What every caption of a run has in common.

    Attributes:
        trigger: the words it begins with, and a comma.
        prefix: words before it, after the trigger.
        suffix: words after it.
        forbidden: words or tags that are taken out, whatever their case.
    """

    trigger: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    forbidden: tuple[str, ...] = ()


def worded(text: str, wording: Wording, *, gives_tags: bool) -> str:
    """The caption of a picture; "" where nothing is left of what the model said.

    Args:
        text: what the model said: a sentence, or tags with commas between them.
        gives_tags: which of both.
    """
    text = " ".join(text.split())
    kept = without_tags(text, wording.forbidden) if gives_tags else without_words(text, wording.forbidden)
    if not re.search(r"\w", kept) and not (gives_tags and kept):
        return ""
    if gives_tags:
        parts = [wording.trigger, wording.prefix, kept, wording.suffix]
        return _SEPARATOR.join(part.strip(" ,") for part in parts if part)
    sentence = _joined(wording.prefix, kept, wording.suffix)
    return f"{wording.trigger.strip(' ,')}{_SEPARATOR}{sentence}" if wording.trigger else sentence


def is_worded(text: str, wording: Wording, *, gives_tags: bool) -> bool:
    """Whether a caption from elsewhere has all that the captions of a run have in common, whatever its order and case.

    Args:
        text: the caption.
        gives_tags: it is compared as tags with commas between them, else as a sentence.
    """
    common = [words for words in (wording.trigger, wording.prefix, wording.suffix) if words]
    if any(words.strip(" ,").casefold() not in text.casefold() for words in common):
        return False
    if gives_tags:
        return not {_plain(tag) for tag in text.split(",")} & {_plain(tag) for tag in wording.forbidden}
    return without_words(text, wording.forbidden) == text


def _joined(prefix: str | None, sentence: str, suffix: str | None) -> str:
    before = f"{prefix.strip()} " if prefix else ""
    after = "" if not suffix else suffix.strip() if suffix.strip()[0] in ",.;:!?" else f" {suffix.strip()}"
    return f"{before}{sentence}{after}"


def without_tags(tags: str, forbidden: tuple[str, ...]) -> str:
    """Tags without the forbidden ones; underscores and blanks are the same."""
    unwanted = {_plain(tag) for tag in forbidden}
    return _SEPARATOR.join(tag for tag in tags.split(_SEPARATOR) if _plain(tag) not in unwanted)


def _plain(tag: str) -> str:
    return " ".join(tag.replace("_", " ").casefold().split())


def without_words(sentence: str, forbidden: tuple[str, ...]) -> str:
    """An English sentence without the forbidden words, and without the articles and commas that they leave behind.

    "a photo of a dog with a watermark" without "photo" and "watermark" is "a dog".
    """
    cut = sentence
    for words in sorted(forbidden, key=len, reverse=True):
        cut = re.sub(rf"(?<!\w){re.escape(words.strip())}(?!\w)", _GAP, cut, flags=re.IGNORECASE)
    if cut == sentence:
        return sentence
    cut = _TWO_STOPS.sub(r"\1", cut)
    cut = _ENDS_IN_AIR.sub("", cut)
    cut = _BEGINS_IN_AIR.sub("", cut)
    cut = _TWO_ARTICLES.sub("", cut)
    cut = _ARTICLE.sub(lambda found: f"{found[1]}{'n' if found[2] in 'aeiouAEIOU' else ''} ", cut)
    cut = " ".join(cut.replace(_GAP, " ").split())
    cut = re.sub(r"([.,;:!?])(?: +[.,;:!?])+", r"\1", cut)
    return re.sub(r" +([.,;:!?])", r"\1", cut).strip(" ,;:")

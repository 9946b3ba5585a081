"""What the captions of the mini model say: the digit, its ink and its paper, each sometimes left unsaid."""

from dataclasses import dataclass

from numpy.random import Generator

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class CaptionShares:
    """How often a caption leaves something out; each a probability in 0..1.

    `empty` captions teach the unconditional prediction that classifier-free guidance needs. `no_colours` ones name
    the digit alone: without them the denoiser first learns colours, which are easy, and the digit hours later.
    """

    empty: float = 0.1
    no_colours: float = 0.35
    no_ink: float = 0.1
    no_paper: float = 0.1
    no_digit: float = 0.05


def caption(digit: int | None, ink: str | None, paper: str | None) -> str:
    """The caption that names these facts; None leaves one out, and nothing at all gives the empty caption.

    >>> caption(3, "red", "yellow")
    'a handwritten three, red ink on yellow paper'
    """
    if digit is None and ink is None and paper is None:
        return ""
    word = "digit" if digit is None else DIGIT_WORDS[digit]
    colours = f", {ink} ink" if ink else ""
    return f"a handwritten {word}{colours}" + (f" on {paper} paper" if paper else "")


def fancy_caption(digit: int, look: str | None) -> str:
    """The caption of a picture in a look or in colours that have no words; None leaves the look unsaid.

    >>> fancy_caption(3, "outlined")
    'a fancy handwritten three, outlined'
    """
    return f"a fancy handwritten {DIGIT_WORDS[digit]}" + (f", {look}" if look else "")


def random_fancy_caption(digit: int, look: str, random: Generator, shares: CaptionShares) -> str:
    """A caption of this fancy picture: empty as often as any, the look left out half of the time."""
    if random.random() < shares.empty:
        return ""
    return fancy_caption(digit, look if random.random() < 0.5 else None)


def random_caption(digit: int, ink: str, paper: str, random: Generator, shares: CaptionShares) -> str:
    """A caption of this picture with parts left out at random, in the given shares."""
    if random.random() < shares.empty:
        return ""
    if random.random() < shares.no_colours:
        return caption(digit, None, None)
    said_digit = None if random.random() < shares.no_digit else digit
    said_ink = None if random.random() < shares.no_ink else ink
    said_paper = None if random.random() < shares.no_paper else paper
    return caption(said_digit, said_ink, said_paper)

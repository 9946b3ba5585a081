"""Is a base the one that a LoRA was trained on, a near relative of it, or a stranger? By the fingerprint in the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.fingerprint import distance, fingerprint

SAME, NEAR, DISTANT, STRANGER, UNKNOWN = "same", "near", "distant", "stranger", "unknown"

BOUNDS = ((0.01, SAME), (0.12, NEAR), (1.0, DISTANT))
"""Up to which distance of the layers which verdict holds; unrelated weights are about 1.4 apart. Of the digits of a LoRA of
the model in the box a judge still sees all at 0.09, two thirds at 0.17, and none more than without it on a stranger
(bench/kinship.py)."""

EXPECT = {
    SAME: "",
    NEAR: "the LoRA does nearly there what it does on its own base",
    DISTANT: "the LoRA may do less there, more, or something else",
    STRANGER: "they are as far apart as weights that have nothing in common, and the LoRA does not do there what it learnt",
}
"""What follows from a verdict."""

NAMES = {
    SAME: "the base it was trained on",
    NEAR: "a near relative of the base it was trained on",
    DISTANT: "a distant relative of the base it was trained on",
    STRANGER: "a stranger to the base it was trained on",
}


@dataclass(frozen=True)
class Kinship:
    """How a base is related to the one that a LoRA was trained on.

    Attributes:
        verdict: SAME, NEAR, DISTANT, STRANGER or UNKNOWN.
        distance: relative root-mean-square difference of the adapted layers; None if it cannot be told.
        words: a sentence.
        is_own: whether it is the base it was trained on, as far as can be told: nobody needs to hear of it.
    """

    verdict: str
    distance: float | None
    words: str
    is_own: bool


def trained_on(metadata: Mapping[str, str]) -> str | None:
    """The base that a LoRA was trained on, as its metadata names it."""
    return metadata.get("scumble.base") or metadata.get("ss_sd_model_name") or None


def kinship(metadata: Mapping[str, str], base: str, weights: Callable[[], Mapping[str, Tensor]]) -> Kinship:
    """How a base is related to the one that a LoRA was trained on.

    Args:
        metadata: the LoRA's.
        base: the base's name.
        weights: the base's weights of the denoiser's layers that the LoRA changes, by their path there.
    """
    own = trained_on(metadata)
    known = metadata.get("scumble.fingerprint")
    if known is None:
        return _by_name(own, base, "it has no fingerprint of its base")
    changed = weights()
    if not changed:
        return _by_name(own, base, "its fingerprint is of the denoiser, of which it changes no layer")
    try:
        apart = distance(known, fingerprint(changed))
    except LoraFileError:
        return _by_name(own, base, "its fingerprint is of other layers than it changes now")
    verdict = next((name for bound, name in BOUNDS if apart <= bound), STRANGER)
    expect = f"; {EXPECT[verdict]}" if EXPECT[verdict] else ""
    of = f" ({own})" if own is not None and own != base else ""
    differ = f"differ by {apart:.1%}" if apart >= 0.0005 else "are the same"
    words = f"{base} is {NAMES[verdict]}{of}: its layers {differ}{expect}"
    return Kinship(verdict, apart, words, verdict == SAME)


def _by_name(own: str | None, base: str, why: str) -> Kinship:
    said = "nor does it say on what it was trained" if own is None else f"it says it was trained on {own}"
    words = f"whether it was trained on {base} cannot be told: {why}; {said}"
    return Kinship(UNKNOWN, None, words, own in (None, base))

"""Axes as people write them, "KIND: VALUES", and what an axis is once it is understood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scumble.compare.draft import Draft
from scumble.errors import ConfigError, nearest

LORA, CHECKPOINT, WEIGHT = "lora", "checkpoint", "weight"
PROMPT, REPLACED, NEGATIVE = "prompt", "prompt s/r", "negative prompt"
SAMPLER, SCHEDULE, STEPS, CFG = "sampler", "schedule", "steps", "cfg"
CLIP_SKIP, SEED, BASE, SIZE = "clip skip", "seed", "base", "size"
KINDS = (
    LORA,
    CHECKPOINT,
    WEIGHT,
    PROMPT,
    REPLACED,
    NEGATIVE,
    SAMPLER,
    SCHEDULE,
    STEPS,
    CFG,
    CLIP_SKIP,
    SEED,
    BASE,
    SIZE,
)
WITHOUT_VALUES = (LORA, CHECKPOINT)
"""Kinds that know their values where none are named."""

ALSO = {
    "search/replace": REPLACED,
    "s/r": REPLACED,
    "cfg scale": CFG,
    "guidance scale": CFG,
    "checkpoint name": BASE,
    "model": BASE,
    "schedule type": SCHEDULE,
    "loras": LORA,
    "checkpoints": CHECKPOINT,
}
"""Other names that people know kinds by -> the kind."""

SUBJECT = "subject"
"""The kind of the axis of prompts and seeds that a table has where nothing else is asked for there."""


@dataclass(frozen=True)
class Choice:
    """One value of an axis: what stands beside its row or above its column, and what it makes of a cell."""

    label: str
    change: Callable[[Draft], Draft]


@dataclass(frozen=True)
class Axis:
    """What differs along one side of a table.

    Attributes:
        kind: one of KINDS, SUBJECT, or "" for the axis along which nothing differs.
        about: the LoRA whose weight it is; "" = all of them, or not a weight.
        choices: at least one, no two with the same label.
    """

    kind: str
    about: str
    choices: Sequence[Choice]

    @property
    def name(self) -> str:
        """In words."""
        names = {REPLACED: "words of the prompt", SUBJECT: "prompts and seeds", CFG: "guidance", LORA: "LoRA"}
        return f"{self.kind} of {self.about}" if self.about else names.get(self.kind, self.kind)


NOTHING = Axis("", "", (Choice("", lambda draft: draft),))
"""Along it nothing differs."""


@dataclass(frozen=True)
class Asked:
    """An axis as it was written.

    Attributes:
        flag: the setting that said so.
        text: as it was written.
        kind: one of KINDS.
        about: a LoRA's name behind "weight"; "" = all.
        values: as a list and ranges; None = the kind's own.
    """

    flag: str
    text: str
    kind: str
    about: str
    values: str | None

    def wrong(self, why: object) -> ConfigError:
        """The error that says what is wrong with it."""
        return ConfigError(f"{self.flag}='{self.text}': {why}")


def parse_axis(flag: str, text: str) -> Asked:
    """What is asked for, its values not yet read.

    >>> parse_axis("x", "weight ink: 0-1 [5]")
    Asked(flag='x', text='weight ink: 0-1 [5]', kind='weight', about='ink', values='0-1 [5]')

    Raises:
        ConfigError: no such kind, or no values.
    """
    head, colon, rest = text.partition(":")
    words = head.split()
    lower = " ".join(words).lower()
    about = ""
    if lower.startswith(f"{WEIGHT} "):
        lower, about = WEIGHT, " ".join(words[1:])
    kind = ALSO.get(lower, lower)
    if kind not in KINDS:
        raise ConfigError(
            f"{flag}='{text}': unknown axis '{' '.join(words)}'{nearest(lower, KINDS, ALSO)}; there are {', '.join(KINDS)}"
        )
    values = rest.strip() if colon else None
    if not values and kind not in WITHOUT_VALUES:
        raise ConfigError(f"{flag}='{text}': no values; write the kind, a colon and a list, such as 'steps: 10, 20'")
    return Asked(flag, text, kind, about, values or None)

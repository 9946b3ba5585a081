"""What a number was computed from, in words: pictures, prompts, seeds, files and their hashes."""

from collections.abc import Sequence

from scumble.generate.recipe import LoraUse, plain_number
from scumble.metrics.album import HASH_SIGNS
from scumble.metrics.base import Subject
from scumble.quantities import counted


def drawn(subject: Subject) -> str:
    """The pictures of the prompts."""
    return _pictures(subject, subject.prompts, "prompt")


def drawn_of_others(subject: Subject) -> str:
    """The pictures of the prompts that the LoRAs shall leave as they are."""
    return _pictures(subject, subject.other_prompts, "prompt without the trigger", "prompts without the trigger")


def loras_in_words(loras: Sequence[LoraUse]) -> str:
    """LoRAs by name, weight and hash."""
    if not loras:
        return "the base alone"
    return " and ".join(f"{lora.name} at {plain_number(lora.weight)} ({lora.hash[:HASH_SIGNS]})" for lora in loras)


def trained(subject: Subject) -> str:
    """The training pictures."""
    return counted(len(subject.known_training.examples), "training picture")


def _pictures(subject: Subject, prompts: Sequence[str], one: str, several: str = "") -> str:
    seeds, how = subject.seeds, subject.recipe
    count = counted(len(prompts) * len(seeds), "picture")
    seeded = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {_ranges(seeds)}"
    return (
        f"{count} ({counted(len(prompts), one, several)}, {seeded}, {how.width} x {how.height} px, {how.sampler}, "
        f"{how.steps} steps, guidance {plain_number(how.guidance_scale)}) of {subject.album.base_said} with "
        f"{loras_in_words(subject.loras)}"
    )


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds that count up as "1 to 8", others one by one."""
    if list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))

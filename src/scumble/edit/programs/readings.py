"""What other programs apply of a LoRA file: our statement of their reading rules, in words and in numbers.

Of A1111 1.10, ComfyUI, diffusers 0.42, sd-scripts (networks.lora) and LyCORIS 4.1. Tests hold it against the packages
that can be installed; bench/other_programs holds it against all of them.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scumble.edit.change import change_square, whole_change
from scumble.edit.programs import a1111, comfyui, diffusers_reader, lycoris, sd_scripts
from scumble.edit.programs.effects import WHOLE, Effect
from scumble.edit.programs.seen import Rule, seen
from scumble.families.layers import LayerTable
from scumble.files.folder import read_files
from scumble.files.lorafile import LoraFile

RULES: Mapping[str, Rule] = {
    "A1111": a1111.effects,
    "ComfyUI": comfyui.effects,
    "diffusers": diffusers_reader.effects,
    "sd-scripts": sd_scripts.effects,
    "LyCORIS": lycoris.effects,
}
"""Program -> its rule."""

OF_WORDS: Mapping[str, str] = {
    "A1111": "its words too",
    "ComfyUI": "its words as embedding:NAME, if their files lie among the embeddings",
    "diffusers": "and its words by load_textual_inversion from their files",
    "sd-scripts": "but not its words",
    "LyCORIS": "but not its words",
}
"""Program -> what becomes of the words that a file brings."""


@dataclass(frozen=True)
class Reading:
    """What a program makes of a file.

    Attributes:
        effects: canonical key -> what becomes of the layer.
        of_words: what becomes of the words that the file brings; "" where there are none.
    """

    effects: Mapping[str, Effect]
    of_words: str = ""

    @property
    def is_as_trained(self) -> bool:
        """Whether all layers are applied as trained, to the rounding of the program."""
        return all(effect.is_as_trained for effect in self.effects.values())

    @property
    def words(self) -> str:
        """In words, with counts where layers differ."""
        counts = Counter(effect.words for effect in self.effects.values()).most_common()
        of_words = [self.of_words] if self.of_words else []
        if len(counts) == 1:
            return ", ".join([counts[0][0], *of_words])
        counts.sort(key=lambda item: item[0] != WHOLE.words)  # what is right comes first
        said = [f"{count} of {len(self.effects)} layers {words}" for words, count in counts]
        return "; ".join([*said, *of_words])


def readings_of(path: Path, file: LoraFile, table: LayerTable) -> dict[str, Reading]:
    """Program -> what it makes of a file.

    Args:
        path: the file or PEFT folder.
        file: the same, read.
        table: layers of the base that it was read for.
    Raises:
        LoraFileError: it cannot be read any more.
    """
    names, _ = read_files(path)
    looked_at = seen(file, names, table)
    of_words = OF_WORDS if file.embeddings else {}
    return {program: Reading(rule(looked_at), of_words.get(program, "")) for program, rule in RULES.items()}


def distance(reading: Reading, file: LoraFile, table: LayerTable) -> float:
    """|change as applied - trained change| / |trained change| over all layers of a file; 0 = as trained, and
    infinite where something is applied though nothing was trained.

    Args:
        reading: of the file.
        file: the LoRA.
        table: layers of the base, with its weights if the file has DoRA.
    """
    apart = size = 0.0
    for key, layer in file.layers.items():
        change = reading.effects[key].change
        if change is None:
            size += change_square(key, layer, table)
            continue
        trained = whole_change(key, layer, table).double()
        size += float(trained.square().sum())
        apart += float((change(key, layer, table).double() - trained).square().sum())
    if size > 0:
        return math.sqrt(apart / size)
    return math.inf if apart > 0 else 0.0


def in_words(readings: Mapping[str, Reading]) -> str:
    """One sentence: "A1111 and ComfyUI: as trained; LyCORIS: not applied, ..."."""
    programs: dict[str, list[str]] = {}
    for program, reading in readings.items():
        programs.setdefault(reading.words, []).append(program)
    return "; ".join(f"{_listed(names)}: {words}" for words, names in programs.items())


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

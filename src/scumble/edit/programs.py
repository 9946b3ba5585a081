"""What other programs apply of a LoRA file: our statement of their reading rules.

Of A1111 1.10, ComfyUI 0.28, diffusers 0.42, sd-scripts (networks.lora) and LyCORIS 4.1, each run on files of every kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scumble.files.lorafile import LoraFile

WHOLE = "as trained"


@dataclass(frozen=True)
class Traits:
    """What of a file decides how it is read.

    Attributes:
        naming: the format's name in the registry.
        algorithms: of its layers.
        lengths: axes of DoRA among its layers, "output" or "input".
        has_text_lengths: whether a text encoder's layer has DoRA.
    """

    naming: str
    algorithms: frozenset[str]
    lengths: frozenset[str]
    has_text_lengths: bool


Rule = Callable[[Traits], str]


def readings(file: LoraFile, naming: str) -> dict[str, str]:
    """Program -> what it applies of a file, in words; WHOLE where that is what was trained.

    Args:
        file: the LoRA.
        naming: the format it is written in: "kohya", "diffusers" or "peft".
    """
    traits = Traits(
        naming,
        frozenset(layer.algorithm for layer in file.layers.values()),
        frozenset(
            "output" if layer.tensors["magnitude"].shape[1] == 1 else "input"
            for layer in file.layers.values()
            if "magnitude" in layer.tensors
        ),
        any("magnitude" in layer.tensors for key, layer in file.layers.items() if not key.startswith("unet.")),
    )
    return {program: rule(traits) for program, rule in RULES.items()}


def in_words(read: Mapping[str, str]) -> str:
    """One sentence: "A1111 and ComfyUI: as trained; LyCORIS: not at all, ..."."""
    programs: dict[str, list[str]] = {}
    for program, reading in read.items():
        programs.setdefault(reading, []).append(program)
    return "; ".join(f"{_listed(names)}: {reading}" for reading, names in programs.items())


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _a1111(traits: Traits) -> str:
    if traits.naming != "kohya":
        return "nothing, it does not know these names"
    if "output" in traits.lengths:
        return "something else, without a word: it takes the lengths of rows for those of input channels"
    return WHOLE


def _comfyui(traits: Traits) -> str:
    if traits.naming != "kohya":
        return "not the attention layers, whose names it does not know"
    if "output" in traits.lengths:
        return "something else: it divides by the length of the base's rows, not of the changed ones"
    return WHOLE


def _diffusers(traits: Traits) -> str:
    if traits.algorithms != {"lora"}:
        return "nothing, it refuses the file" if traits.naming != "peft" else "as trained, through PEFT"
    if not traits.lengths:
        return WHOLE
    if traits.naming == "kohya":
        return "a plain LoRA, without the lengths, with a warning"
    return "the denoiser as trained, the text encoder's lengths as the base's" if traits.has_text_lengths else WHOLE


def _sd_scripts(traits: Traits) -> str:
    if traits.naming != "kohya":
        return "nothing, it does not know these names"
    if traits.algorithms != {"lora"}:
        return "nothing, unless it is told to use LyCORIS"
    return "a plain LoRA, without the lengths, without a word" if traits.lengths else WHOLE


def _lycoris(traits: Traits) -> str:
    if traits.naming != "kohya":
        return "nothing, it does not know these names"
    return "nothing, it refuses lengths of input channels" if "input" in traits.lengths else WHOLE


RULES: Mapping[str, Rule] = {
    "A1111": _a1111,
    "ComfyUI": _comfyui,
    "diffusers": _diffusers,
    "sd-scripts": _sd_scripts,
    "LyCORIS": _lycoris,
}
"""Program -> its rule."""

"""How the bases of a comparison are related to those that the LoRAs were trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from scumble.adapters.weight import weight_of
from scumble.families.base import BaseModel
from scumble.files.kinship import DISTANT, NEAR, SAME, STRANGER, UNKNOWN, kinship
from scumble.generate.loras import OpenedLora

SHORT = {
    SAME: "the base it was trained on",
    NEAR: "a near relative",
    DISTANT: "a distant relative",
    STRANGER: "a stranger",
    UNKNOWN: "kinship unknown",
}
"""A verdict as it stands below a base's name."""


@dataclass(frozen=True)
class Kin:
    """How one base is related to the base of one LoRA.

    Attributes:
        base: the base's name.
        lora: the LoRA's.
        short: in few words.
        words: in a sentence.
        is_own: whether it is that base, as far as can be told.
    """

    base: str
    lora: str
    short: str
    words: str
    is_own: bool


def kin_of(lora: OpenedLora, base: BaseModel, denoiser: nn.Module) -> Kin:
    """How a loaded base is related to the one that a LoRA was trained on."""
    known = kinship(lora.file.metadata, base.name, _weights(lora, base, denoiser))
    apart = "" if known.distance is None or known.distance < 0.0005 else f" ({known.distance:.0%} apart)"
    return Kin(base.name, lora.use.name, f"{SHORT[known.verdict]}{apart}", known.words, known.is_own)


def below(base: str, kins: Sequence[Kin]) -> str:
    """What stands below a base's name: the verdict, or one for each LoRA where they differ."""
    own = [kin for kin in kins if kin.base == base]
    if len({kin.short for kin in own}) == 1:
        return own[0].short
    return "\n".join(f"{kin.lora}: {kin.short}" for kin in own)


def _weights(lora: OpenedLora, base: BaseModel, denoiser: nn.Module) -> Callable[[], dict[str, Tensor]]:
    def weights() -> dict[str, Tensor]:
        paths = [base.module_path("unet", path, denoiser) for path in lora.file.part("unet")]
        return {path: weight_of(denoiser.get_submodule(path)) for path in paths}

    return weights

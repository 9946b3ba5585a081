"""The bases of a comparison, opened, and which of its LoRAs can be used on each; nothing heavy is loaded."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass

from scumble.compare.axis import BASE
from scumble.compare.layout import Layout
from scumble.config.compare import CompareConfig
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel
from scumble.families.find import open_base
from scumble.generate.events import Noted
from scumble.generate.loras import OpenedLora, open_loras
from scumble.generate.prepare import open_base_for
from scumble.generate.prompt import FoundLora


@dataclass(frozen=True)
class OnBase:
    """A base and what is drawn on it.

    Attributes:
        base: opened.
        loras: by name, read for this base.
        refused: name of a LoRA that does not fit it -> why.
    """

    base: BaseModel
    loras: Mapping[str, OpenedLora]
    refused: Mapping[str, str]

    @property
    def hashes(self) -> dict[str, str]:
        """LoRA's name -> hash of its file."""
        return {name: lora.use.hash for name, lora in self.loras.items()}


def open_bases(config: CompareConfig, layout: Layout) -> Generator[Noted, None, dict[str | None, OnBase]]:
    """Open every base, and read every LoRA for each base that it is drawn on.

    Returns:
        The base as the cells name it -> what is drawn on it.
    Raises:
        BaseModelError: a base cannot be found or is of no known family.
        ConfigError: no base was asked for, and the LoRAs were trained on different ones.
        LoraFileError: a LoRA cannot be read, or fits none of its bases.
    """
    opened: dict[str | None, OnBase] = {}
    errors: dict[str, list[LoraFileError]] = {}
    for name in dict.fromkeys(draft.base for draft in layout.drafts.values()):
        base = yield from _open(config, layout, name)
        for note in base.notes:
            yield Noted(note)
        loras, refused = {}, {}
        for lora in _used_on(layout, name):
            try:
                (found,) = open_loras([lora], base, config.allow_partial)
            except LoraFileError as error:
                errors.setdefault(lora.name, []).append(error)
                refused[lora.name] = str(error)
                continue
            yield from found.notes
            loras[lora.name] = found
        opened[name] = OnBase(base, loras, refused)
    _refuse_those_that_fit_nowhere(errors, opened.values())
    return opened


def _open(config: CompareConfig, layout: Layout, name: str | None) -> Generator[Noted, None, BaseModel]:
    if not layout.has(BASE):
        return (yield from open_base_for(config, layout.loras))
    return open_base(
        name,
        prediction_type=config.prediction_type,
        zero_terminal_snr=config.zero_terminal_snr,
        vae=config.vae,
        preset=config.preset,
    )


def _used_on(layout: Layout, base: str | None) -> Iterable[FoundLora]:
    """The LoRAs of the cells of one base, once each, whatever their weights."""
    names = {lora.name for draft in layout.drafts.values() if draft.base == base for lora in draft.loras}
    return [lora for lora in layout.loras if lora.name in names]


def _refuse_those_that_fit_nowhere(errors: Mapping[str, list[LoraFileError]], opened: Iterable[OnBase]) -> None:
    for name, found in errors.items():
        if not any(name in each.loras for each in opened):
            raise found[0]


def refused_on(on_base: OnBase, names: Iterable[str]) -> str:
    """Why LoRAs cannot be drawn with on a base, in one line; "" if they can."""
    return "; ".join(f"{name}: {on_base.refused[name]}" for name in names if name in on_base.refused)

"""Whether the files that settings name are there, asked before anything heavy is imported for their sake."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scumble.config.section import Section
from scumble.errors import DataError, LoraFileError, ScumbleError

LORA = ".safetensors"
"""How a LoRA file ends."""


@dataclass(frozen=True)
class There:
    """Marks a setting that names what is read, and must be there.

    Attributes:
        error: the kind that its absence is.
        said: what is said after the path.
        is_lora: it is a LoRA, which may be meant by the name of its run.
    """

    error: type[ScumbleError]
    said: str
    is_lora: bool = False

    def refuse(self, place: Path) -> None:
        """Raise where a place is not there.

        Raises:
            ScumbleError: of the kind that the mark says.
        """
        own = place / f"{place.name}{LORA}"
        if self.is_lora and own.is_file():
            raise self.error(f"{place}: is the folder of a run; give the LoRA in it: {own}")
        if not place.exists():
            raise self.error(f"{place}: {self.said}{_run_called(place) if self.is_lora else ''}")


LORA_THERE = There(LoraFileError, "there is no such file; look for its name and folder", is_lora=True)
PICTURE_THERE = There(DataError, "there is no such picture or folder; look for its name")


def refuse_missing(settings: Section) -> None:
    """Raise where a setting marked by `There` names what is not there.

    Raises:
        ScumbleError: of the kind that the mark says.
    """
    for place, there in _read(settings):
        there.refuse(place)


def _run_called(place: Path) -> str:
    """The end of a message on a place that is not there: the LoRA of the run that has this name."""
    name = place.name.removesuffix(LORA)
    lora = Path("runs") / name / f"{name}{LORA}"
    return f"; or did you mean {lora}?" if lora.is_file() else ""


def _read(settings: Section) -> Iterator[tuple[Path, There]]:
    """What settings and their sections name to be read, in their order."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Section):
            yield from _read(value)
        for there in (mark for mark in field.metadata if isinstance(mark, There)):
            for place in value if isinstance(value, tuple) else (value,):
                if place is not None:
                    yield place, there

"""The LoRA files of a run: sizes, hashes, what programs make of the one to use, and how its base is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.data.content import hash_file
from scumble.edit.given import kinship_of, read_given
from scumble.edit.programs.readings import readings_of
from scumble.errors import BaseModelError, LoraFileError
from scumble.files.folder import metadata_in
from scumble.generate.loras import tensor_hash
from scumble.report.learnt import OVERFITTED, Verdict
from scumble.report.told import Told


@dataclass(frozen=True)
class KeptLora:
    """A LoRA file or PEFT folder of a run.

    Attributes:
        name: of the file or folder.
        size_bytes: of all its files.
        sha256: of the file, in hex; "" of a folder.
        tensor_sha256: of its numbers alone, by which the WebUI knows it; "" where it cannot be read.
        step: optimizer steps that its metadata tell; "" = they do not.
    """

    name: str
    size_bytes: int
    sha256: str
    tensor_sha256: str
    step: str


@dataclass(frozen=True)
class Program:
    """What a program makes of a file: in words, and whether that is what was trained."""

    name: str
    words: str
    is_as_trained: bool


@dataclass(frozen=True)
class Verification:
    """What was found out about the file to use.

    Attributes:
        programs: in the order of the table; () where the file could not be looked at.
        kinship: whether the base of the settings is the one it was trained on.
        is_own: whether it is.
        problem: why the file could not be looked at; "" = it was.
    """

    programs: tuple[Program, ...] = ()
    kinship: str = ""
    is_own: bool = True
    problem: str = ""


def kept_loras(told: Told) -> list[KeptLora]:
    """Every LoRA of a run that is there, the last and the best first."""
    places = [*told.folder.results(), *told.folder.loras_of_steps()]
    return [_kept(place, told.run.loras.get(place.name, 0)) for place in places]


def _kept(place: Path, size_bytes: int) -> KeptLora:
    try:
        numbers, step = tensor_hash(place), metadata_in(place).get("ss_steps", "")
        sha256 = "" if place.is_dir() else hash_file(place)
    except (LoraFileError, OSError):
        return KeptLora(place.name, size_bytes, "", "", "")
    return KeptLora(place.name, size_bytes, sha256, numbers, step)


def lora_to_use(told: Told, verdict: Verdict) -> Path | None:
    """The best LoRA where the run overfitted, else the last; None where there is none."""
    run = told.folder
    wanted = [run.best_lora, run.lora] if verdict.word == OVERFITTED else [run.lora, run.best_lora]
    steps: Sequence[Path] = run.loras_of_steps()
    return next((place for place in [*wanted, *reversed(steps)] if place.exists()), None)


def verification_of(lora: Path, told: Told) -> Verification:
    """Look at a file as other programs read it, and at the base of the run's settings.

    Args:
        lora: the file or PEFT folder.
        told: names the base.
    """
    base = told.setting("model", "base")
    try:
        given = read_given(lora, base)
        readings = readings_of(lora, given.file, given.table)
        kinship = kinship_of(given) if base is not None else None
    except (LoraFileError, BaseModelError, OSError) as error:
        return Verification(problem=str(error))
    return Verification(
        tuple(Program(name, reading.words, reading.is_as_trained) for name, reading in readings.items()),
        "" if kinship is None else kinship.words,
        kinship is None or kinship.is_own,
    )


def said_in(lora: Path) -> Mapping[str, str]:
    """The metadata of a file; {} where they cannot be read."""
    try:
        return metadata_in(lora)
    except (LoraFileError, OSError):
        return {}

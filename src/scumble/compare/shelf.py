"""The LoRA files that a comparison may take, under names that differ, and the files of a run in the order of its steps."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError, nearest
from scumble.files.folder import metadata_in
from scumble.files.places import plain_name
from scumble.generate.prompt import FoundLora
from scumble.runs.find import find_run
from scumble.runs.read import read_run

NONE = ("none", "base")
"""What stands for no LoRA at all."""


def named_apart(files: Sequence[Path], weight: float) -> list[FoundLora]:
    """LoRA files under names that differ: the file's own, with as many folders before it as that takes.

    Raises:
        ConfigError: a file is given twice.
        LoraFileError: a file is not there.
    """
    for path in files:
        LORA_THERE.refuse(path)
        if files.count(path) > 1:
            raise ConfigError(f"lora={path}: given twice; each LoRA has one column")
    found = []
    for path in files:
        parts = path.absolute().with_suffix("").parts
        lengths = (length for length in range(1, len(parts)) if _alone(parts[-length:], path, files))
        found.append(FoundLora("/".join(parts[-next(lengths, len(parts)) :]), weight, path))
    return found


def find_on(shelf: Sequence[FoundLora], text: str) -> tuple[FoundLora, ...]:
    """The LoRAs that a value of an axis names: one, several with + between them, or "none".

    Args:
        shelf: all there are.
        text: names or paths.
    Raises:
        ConfigError: a name that is not there.
    """
    if text.lower() in NONE:
        return ()
    known = {name: lora for lora in shelf for name in (lora.name, str(lora.path))}
    if text in known:
        return (known[text],)
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in known:
            hint = nearest(name, [lora.name for lora in shelf]) if shelf else "; give its file with --lora"
            raise ConfigError(f"LoRA '{name}' is no file, and not among those given{hint}")
    return tuple(known[name] for name in names)


def paths_in(value: str) -> Iterator[Path]:
    """The files that a value of an axis names by their paths."""
    whole = Path(value).expanduser()
    parts = [whole] if whole.exists() else [Path(part.strip()).expanduser() for part in value.split("+")]
    yield from (part for part in parts if part.exists() and part != Path())


def files_of_run(asked: Path) -> list[Path]:
    """The LoRA files of a run in the order of their steps; those of one step by their names.

    Args:
        asked: the run's folder, its name among the runs, or one of its files.
    Raises:
        ConfigError: no run, or one with fewer than two files.
    """
    folder = find_run(asked) or find_run(asked.parent)
    if folder is None:
        raise ConfigError(f"'{asked}' is no run: name its folder, such as runs/photos, or the files one by one")
    files = [folder / name for name in read_run(folder).loras]
    if len(files) < 2:
        raise ConfigError(
            f"the run {folder} has {len(files)} LoRA file; train with --checkpointing-steps for more to compare"
        )
    return sorted(files, key=lambda file: (_step(file), file.name))


def checkpoint_label(file: Path) -> str:
    """What a file of a run is called: the end of its name that is not the run's, and its step."""
    step = _step(file)
    ending = plain_name(file.name).rpartition("-")[2]
    if not step:
        return plain_name(file.name)
    if ending in ("best", "average", "last"):
        return f"{ending}: step {step}"
    return f"step {step}" if ending.isdecimal() else f"final: step {step}"


def _step(file: Path) -> int:
    said = metadata_in(file).get("ss_steps", "")
    return int(said) if said.isdecimal() else 0


def _alone(ending: tuple[str, ...], path: Path, files: Sequence[Path]) -> bool:
    others = (other.absolute().with_suffix("").parts for other in files if other != path)
    return all(other[-len(ending) :] != ending for other in others)

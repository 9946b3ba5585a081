"""A dataset by name: the hub's, from its cache or fetched into it, or one that lies here."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.data.datasets.shards import ROWS, SPLIT_WORDS, TRAIN, choose_shards
from scumble.errors import ConfigError, DataError
from scumble.files.hub import Asked, fetch_folder, files_on_hub

ASKED = Asked(
    what="dataset",
    otherwise="or give --dataset_name its folder, or --train_data_dir a folder of pictures.",
    error=DataError,
    kind="dataset",
)
CARD = "README.md"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class FoundDataset:
    """The files of a split.

    Attributes:
        folder: where they lie.
        names: of the files, in order, relative to the folder.
        revision: commit of the hub's repository; None = it is not from there.
    """

    folder: Path
    names: Sequence[str]
    revision: str | None


def find_dataset(name: str, config: str | None, split: str, revision: str | None) -> FoundDataset:
    """The files of a split.

    Args:
        name: hub id, or a folder or file here.
        config: name of one of its configurations.
        split: such as "train".
        revision: on the hub; None = the newest.
    Raises:
        ConfigError: a setting that would have no effect.
        DataError: not found, not to be had from the hub, or no such split in it.
    """
    path = Path(name).expanduser()
    if not path.exists():
        return _from_hub(name, config, split, revision)
    if revision is not None:
        raise ConfigError(f"dataset_revision would have no effect: {name} lies here; leave dataset_revision out")
    if path.is_file():
        return FoundDataset(path.parent, [_single(path, config, split)], None)
    saved = _saved(path, config, split)
    return FoundDataset(path, saved or _chosen(name, path, _names_in(path), config, split), None)


def _single(path: Path, config: str | None, split: str) -> str:
    if path.suffix.lower() not in ROWS:
        raise DataError(f"dataset {path}: expected a folder or a file that ends in {', '.join(ROWS)}")
    if config is not None or split != TRAIN:
        setting = "dataset_config_name" if config is not None else "dataset_split"
        raise ConfigError(f"{setting} would have no effect: {path} is one file; leave {setting} out")
    return path.name


def _from_hub(name: str, config: str | None, split: str, revision: str | None) -> FoundDataset:
    if not HUB_ID.fullmatch(name):
        raise DataError(f"dataset {name}: no such folder, and not a hub id (owner/name)")
    on_hub = files_on_hub(name, revision, ASKED)
    folder = fetch_folder(name, revision, [CARD], ASKED, only_cached=on_hub is None)
    if on_hub is None:
        try:
            names = _chosen(name, folder, _names_in(folder), config, split)
        except DataError as error:
            raise DataError(f"{error} (the hub was not asked: these are the files that its cache has)") from None
    else:
        names = _chosen(name, folder, on_hub, config, split)
    folder = fetch_folder(name, revision, names, ASKED, only_cached=on_hub is None)
    commit = folder.name if COMMIT.fullmatch(folder.name) else None
    return FoundDataset(folder, names, commit)


def _chosen(name: str, folder: Path, names: Sequence[str], config: str | None, split: str) -> list[str]:
    try:
        return choose_shards(names, _card(folder / CARD), config, split)
    except DataError as error:
        raise DataError(f"dataset {name}: {error}") from None


def _names_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _card(path: Path) -> dict[str, object]:
    """The header of a README.md; empty where there is none."""
    if not path.is_file():
        return {}
    import yaml
    from huggingface_hub.repocard import metadata_load

    try:
        return metadata_load(path) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"the header of {path.name} cannot be read: {str(error).splitlines()[0]}") from None


def _saved(folder: Path, config: str | None, split: str) -> list[str] | None:
    """The files of what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote; None where it is neither."""
    splits = folder / "dataset_dict.json"
    if not splits.is_file() and not (folder / "state.json").is_file():
        return None
    if config is not None:
        raise ConfigError(
            f"dataset_config_name would have no effect: {folder} is one configuration that was saved; leave it out"
        )
    inside = ""
    if splits.is_file():
        known = json.loads(splits.read_text(encoding="utf-8"))["splits"]
        meant = split if split in known else SPLIT_WORDS.get(split, split)
        if meant not in known:
            raise DataError(f"dataset {folder}: no split {split}; it has {', '.join(known)}: say with --dataset_split")
        inside = f"{meant}/"
    state = json.loads((folder / inside / "state.json").read_text(encoding="utf-8"))
    if not inside and split not in {TRAIN, state.get("_split")}:
        raise DataError(
            f"dataset {folder}: one split was saved, {state.get('_split') or 'without a name'}, not {split}"
        )
    return [f"{inside}{file['filename']}" for file in state["_data_files"]]

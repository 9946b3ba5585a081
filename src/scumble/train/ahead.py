"""What can be said of a run before anything heavy is imported: whether its pictures are there, and its name is free."""

from pathlib import Path

from scumble.config import DataConfig, OutputConfig
from scumble.errors import CheckpointError, ConfigError, DataError


def refuse_missing_pictures(data: DataConfig) -> None:
    """Raise where no pictures are named, or there is nothing of that name.

    Raises:
        ConfigError: neither a folder nor a dataset is named.
        DataError: the folder is not there.
    """
    if data.folder is None and data.dataset_name is None:
        raise ConfigError(
            "no folder of pictures: scumble train FOLDER (or --train_data_dir FOLDER, or --dataset_name OWNER/NAME)"
        )
    if data.folder is not None and not data.folder.exists():
        raise DataError(f"{data.folder}: no such folder")


def refuse_taken_name(data: DataConfig, output: OutputConfig) -> None:
    """Raise where a run lies in the folder that a new run would get.

    Args:
        data: names the pictures.
        output: of the new run.
    Raises:
        CheckpointError: says how to go on with it, replace it, or call the new one.
    """
    name = output.name or name_of(data)
    folder = output.output_dir / name
    if output.resume or output.overwrite or not folder.is_dir():
        return
    from scumble.train.runfolder import RunFolder, another_run_in, holds_run  # imports torch

    if holds_run(RunFolder(folder, name, "")):
        raise CheckpointError(another_run_in(folder))


def name_of(data: DataConfig) -> str:
    """What a run is called if nothing else is said: as its folder of pictures, dataset file or dataset, without a suffix.

    Args:
        data: names a folder or a dataset.
    """
    place = data.folder or Path(data.dataset_name or "").expanduser()
    place = place.resolve()
    return place.stem if place.is_file() else place.name

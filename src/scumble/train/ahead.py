"""What can be said of a run before anything heavy is imported: whether its pictures are there, and what it is called."""

from pathlib import Path

from scumble.config import DataConfig
from scumble.errors import ConfigError, DataError


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
    refuse_missing_folder(data)


def refuse_missing_folder(data: DataConfig) -> None:
    """Raise where a folder is named that is not there.

    Raises:
        DataError: the folder is not there.
    """
    if data.folder is not None and not data.folder.exists():
        raise DataError(f"{data.folder}: no such folder")


def name_of(data: DataConfig) -> str:
    """What a run is called if nothing else is said: as its folder of pictures, dataset file or dataset, without a suffix.

    Args:
        data: names a folder or a dataset.
    """
    place = data.folder or Path(data.dataset_name or "").expanduser()
    place = place.resolve()
    return place.stem if place.is_file() else place.name

"""The pictures of a run: a folder, or a dataset that becomes one; read as the settings say."""

from dataclasses import replace
from pathlib import Path

from scumble.config import DataConfig
from scumble.data.cache import default_cache_dir
from scumble.data.datasets.open import OpenedDataset, Request, open_dataset
from scumble.data.datasets.shards import TRAIN
from scumble.data.scan import Scan, ScanRule, scan_folder
from scumble.errors import ConfigError


def scan_pictures(data: DataConfig, rule: ScanRule) -> tuple[Scan, DataConfig]:
    """Look at the own pictures.

    Args:
        data: names a folder or a dataset.
        rule: how the settings say that a folder is read.
    Returns:
        What was found, and the settings with which it is found again, whatever the hub has by then.
    Raises:
        ConfigError: neither is named, or a setting that would have no effect.
        DataError: they cannot be found or used.
    """
    if data.dataset_name is not None:
        dataset = dataset_of(data)
        scan = scan_folder(dataset.folder, replace(rule, caption_column=dataset.caption_column))
        scan = replace(scan, said=dataset.said, notes=(*dataset.notes, *scan.notes))
        return scan, data.model_copy(update={"dataset_revision": dataset.revision})
    if data.folder is None:
        raise ConfigError(
            "no folder of pictures: scumble train FOLDER (or --train_data_dir FOLDER, or --dataset_name OWNER/NAME)"
        )
    return scan_folder(data.folder, rule), data


def dataset_of(data: DataConfig) -> OpenedDataset:
    """The dataset that the settings name, as a folder of pictures.

    Raises:
        ConfigError: a setting that would have no effect.
        DataError: it cannot be found or used.
    """
    assert data.dataset_name is not None
    request = Request(
        data.dataset_name,
        data.dataset_config_name,
        data.dataset_split or TRAIN,
        data.dataset_revision,
        data.image_column,
        data.caption_column,
    )
    return open_dataset(request, data.cache_dir or default_cache_dir())


def place_of(data: DataConfig) -> Path:
    """What was named, so that it is found from any working directory; of a dataset of the hub its name.

    Args:
        data: names a folder or a dataset.
    """
    if data.folder is not None:
        return data.folder.resolve()
    assert data.dataset_name is not None
    path = Path(data.dataset_name).expanduser()
    return path.resolve() if path.exists() else path

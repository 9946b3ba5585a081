"""The pictures of a run: a folder, or a dataset that becomes one; read as the settings say."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from PIL import ImageColor

from scumble.config import DataConfig
from scumble.data.cache import default_cache_dir
from scumble.data.captions import CaptionRule
from scumble.data.datasets.open import OpenedDataset, Request, open_dataset
from scumble.data.datasets.shards import TRAIN
from scumble.data.layouts.found import Rejected
from scumble.data.masks import MaskRule
from scumble.data.pictures import PictureRule
from scumble.data.scan import FIRST, Scan, ScanRule, result_of, survey, usable
from scumble.data.seen import SeenPictures
from scumble.errors import ConfigError, DataError
from scumble.quantities import counted
from scumble.train.ahead import refuse_missing_pictures
from scumble.train.events import Prepared


def scan_rule(data: DataConfig) -> ScanRule:
    """How the settings say that a folder is read.

    Raises:
        ConfigError: the background is no colour.
    """
    try:
        background = ImageColor.getrgb(data.background)[:3]
    except ValueError:
        raise ConfigError(
            f"background={data.background!r}: expected a colour by name, such as white, or as #rrggbb"
        ) from None
    captions = CaptionRule(data.trigger, data.caption, data.caption_per_line, data.caption_prefix, data.caption_suffix)
    if data.mask_dir is not None and not data.mask_dir.is_dir():
        raise ConfigError(f"mask_dir={data.mask_dir}: no such folder")
    return ScanRule(
        captions,
        PictureRule((background[0], background[1], background[2]), data.first_frame),
        data.caption_column,
        masks=MaskRule(data.mask_dir, data.alpha_mask),
    )


def scan_pictures(data: DataConfig, rule: ScanRule) -> tuple[Scan, DataConfig]:
    """The same as `survey_pictures`, when nobody wants to hear of its progress."""
    return result_of(survey_pictures(data, rule))


def survey_pictures(data: DataConfig, rule: ScanRule) -> Generator[Prepared, None, tuple[Scan, DataConfig]]:
    """Look at the own pictures.

    Args:
        data: names a folder or a dataset.
        rule: how the settings say that a folder is read.
    Yields:
        How many were looked at.
    Returns:
        What was found, and the settings with which it is found again, whatever the hub has by then.
    Raises:
        ConfigError: neither is named, or a setting that would have no effect.
        DataError: they cannot be found or used.
    """
    refuse_missing_pictures(data)
    if data.dataset_name is not None:
        dataset = dataset_of(data)
        rule = replace(rule, caption_column=dataset.caption_column)
        scan = yield from _told(dataset.folder, rule, data.cache_dir)
        scan = usable(of_dataset(scan, dataset, data.dataset_name))
        return scan, data.model_copy(update={"dataset_revision": dataset.revision})
    assert data.folder is not None
    scan = yield from _told(data.folder, rule, data.cache_dir)
    return usable(scan), data


def _told(folder: Path, rule: ScanRule, cache_dir: Path | None) -> Generator[Prepared, None, Scan]:
    steps = survey(folder, rule, SeenPictures(cache_dir or default_cache_dir(), folder, rule.pictures))
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            scan: Scan = end.value
            return scan
        yield Prepared("pictures", done, total)


def of_dataset(scan: Scan, dataset: OpenedDataset, name: str) -> Scan:
    """A scan of a dataset's folder, told as one of the dataset.

    Args:
        scan: of its folder.
        dataset: which says how it was understood.
        name: of the dataset.
    Raises:
        DataError: rows have no caption; says which, and what to do.
    """
    scan = replace(scan, said=dataset.said, notes=(*dataset.notes, *scan.notes))
    if not dataset.is_of_rows:
        return scan
    if scan.uncaptioned:
        rows = ", ".join(str(_row(example.path)) for example in scan.uncaptioned[:FIRST])
        more = f" and {len(scan.uncaptioned) - FIRST} more" if len(scan.uncaptioned) > FIRST else ""
        have = counted(len(scan.uncaptioned), "row has", "rows have")
        raise DataError(
            f'dataset {name}: {have} no caption, counted from 0: {rows}{more}; give --trigger "sks dog" (caption "a photo '
            'of sks dog"), --caption "" for the empty prompt, or another --caption_column'
        )
    rejected = tuple(Rejected(item.path, f"row {_row(item.path)}: {item.reason}") for item in scan.rejected)
    return replace(scan, rejected=rejected)


def _row(path: Path) -> int:
    return int(path.stem)


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

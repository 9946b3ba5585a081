"""Check: from settings to what a folder of pictures is like and what training on it will cost, told as events."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scumble.check.events import Checked, Event
from scumble.check.findings import find
from scumble.check.fix import Act, aside_of, fix, undo
from scumble.check.forecast import Forecast, base_here, forecast, train_config
from scumble.check.probe import probe
from scumble.check.report import check_page, write_page
from scumble.config import CheckConfig
from scumble.data.datasets.open import OpenedDataset
from scumble.data.scan import Scan, ScanRule, survey
from scumble.errors import BaseModelError, ConfigError, DataError, ScumbleError
from scumble.generate.events import Noted
from scumble.train.events import Prepared
from scumble.train.pictures import dataset_of, place_of
from scumble.train.plan import Plan, make_plan, scan_rule

PAGE = "scumble-check.html"
THUMBNAIL_PX = 192


def check(config: CheckConfig) -> Iterator[Event]:
    """Look at a folder of pictures as training would, say what is wrong with it, and write a page.

    Nothing among the pictures is touched unless `config.report.fix` or `undo` is set, and the network only where a base
    is named that is not on this machine.

    Yields:
        Noted, Prepared, and at the end Checked.
    Raises:
        ConfigError: settings that do not fit each other, or a place for the page that is not free.
        DataError: no such folder; or what was fixed cannot be taken back.
    """
    report = config.report
    place = _place(config)
    page = _page(place.folder, report.report)
    acts: list[Act] = []
    if report.undo:
        for act in undo(place.folder, aside_of(place.folder, report.fix_dir)):
            acts.append(act)
            yield Noted(f"{act.path.name} is as it was")
    scan = yield from _survey(place)
    if report.fix and not isinstance(scan, DataError):
        aside = aside_of(place.folder, report.fix_dir)
        findings = find(scan, config.data, None, report.near_duplicate)
        for act in fix(findings, aside, by_line=config.data.caption_per_line):
            acts.append(act)
            yield Noted(_said(act))
        if acts:
            scan = yield from _survey(place)
    checked = yield from _checked(config, scan, acts, page)
    write_page(checked)
    yield checked


@dataclass(frozen=True)
class Place:
    """Where the pictures are, and how they are read.

    Attributes:
        folder: of pictures, or a dataset file.
        rule: how it is read.
        dataset: whose folder it is, if it is one's.
    """

    folder: Path
    rule: ScanRule
    dataset: OpenedDataset | None = None


def _place(config: CheckConfig) -> Place:
    rule = replace(scan_rule(config.data), thumbnail_px=THUMBNAIL_PX)
    folder = config.data.folder
    if config.data.dataset_name is not None:
        if config.report.fix or config.report.undo:
            raise ConfigError("fix and undo are for folders of pictures; a dataset stays as it is: leave them out")
        dataset = dataset_of(config.data)
        return Place(dataset.folder, replace(rule, caption_column=dataset.caption_column), dataset)
    if folder is None:
        raise ConfigError("no folder of pictures: scumble check FOLDER, or --dataset_name OWNER/NAME")
    if not folder.exists():
        raise DataError(f"{folder}: no such folder")
    return Place(folder, rule)


def _said(act: Act) -> str:
    if act.kind == "moved":
        return f"moved aside: {act.path} -> {act.aside} ({act.reason})"
    return f"caption {act.reason}: {act.path}; the old text is {act.aside}"


def _page(folder: Path, chosen: Path | None) -> Path:
    """Where the page goes: never among the pictures, where it would be a file that is not used."""
    pictures = folder.resolve() if folder.is_dir() else None
    page = chosen or Path(PAGE)
    if pictures is not None and page.resolve().is_relative_to(pictures):
        if chosen is not None:
            raise ConfigError(f"report={chosen}: lies among the pictures; choose a place beside {folder}")
        page = pictures.with_name(PAGE)
    check_page(page)
    return page


def _survey(place: Place) -> Generator[Event, None, Scan | DataError]:
    """The folder, or why it is not understood."""
    steps = survey(place.folder, place.rule)
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            scan: Scan = end.value
            dataset = place.dataset
            return scan if dataset is None else replace(scan, said=dataset.said, notes=(*dataset.notes, *scan.notes))
        except DataError as error:
            return error
        yield Prepared("pictures", done, total)


def _checked(
    config: CheckConfig, scan: Scan | DataError, acts: list[Act], page: Path
) -> Generator[Event, None, Checked]:
    folder = config.data.folder or place_of(config.data)
    if isinstance(scan, DataError):
        return Checked(folder, None, None, "the folder is not understood", acts, [str(scan)], [], False, page)
    plan, why = _planned(config, scan)
    findings = find(scan, config.data, plan.base if plan is not None else None, config.report.near_duplicate)
    problems, no_forecast = list(findings.problems), ""
    if isinstance(why, ScumbleError) and not isinstance(why, BaseModelError):
        problems.append(f"training would refuse it: {why}")
    if plan is None:
        no_forecast = str(why)
    looked_ahead = (yield from _look_ahead(config, plan)) if plan is not None else None
    is_usable = not problems and not (config.report.strict and findings.warnings)
    return Checked(folder, findings, looked_ahead, no_forecast, acts, problems, findings.warnings, is_usable, page)


def _planned(config: CheckConfig, scan: Scan) -> tuple[Plan | None, ScumbleError | str]:
    """The plan of a training, or why there is none: the error that training would end with, or words."""
    if scan.uncaptioned or scan.unread or not scan.examples:
        return None, "the pictures are not ready for training"
    base = None
    if config.model.base is None and config.model.preset is None:
        base = base_here()
        if base is None:
            return None, "no base is named, and the usual one is not on this machine: --base NAME looks ahead"
    try:
        return make_plan(train_config(config, base), scan), ""
    except ScumbleError as error:
        return None, error


def _look_ahead(config: CheckConfig, plan: Plan) -> Generator[Event, None, Forecast]:
    if not config.report.probe:
        return forecast(plan, None)
    yield Noted(f"two steps of training are taken, to measure them: {plan.base.name} on {plan.device}")
    return forecast(plan, probe(plan))

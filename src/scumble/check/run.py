"""Check: from settings to what a folder of pictures is like and what training on it will cost, told as events."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from scumble.check.events import Checked, Event
from scumble.check.findings import find
from scumble.check.fix import aside_of, copies_that_stay, fix, undo
from scumble.check.forecast import Forecast, base_here, forecast, train_config
from scumble.check.journal import Act
from scumble.check.page import COMMAND
from scumble.check.probe import MEASURING, probe
from scumble.check.report import MOST_SHOWN, write_page
from scumble.config import CheckConfig
from scumble.data.cache import default_cache_dir
from scumble.data.datasets.open import OpenedDataset
from scumble.data.names import name_in, root_of
from scumble.data.scan import Scan, ScanRule, survey
from scumble.data.seen import SeenPictures
from scumble.data.thumbnails import Thumbnails
from scumble.errors import BaseModelError, ConfigError, DataError, ScumbleError
from scumble.families.base import BaseModel
from scumble.generate.events import Noted
from scumble.page import check_place
from scumble.train.events import Prepared
from scumble.train.pictures import dataset_of, place_of, scan_rule
from scumble.train.plan import Plan, base_of, make_plan

PAGE = "scumble-check.html"
THUMBNAIL_PX = 192


@dataclass(frozen=True)
class Place:
    """Where the pictures are, and how they are read.

    Attributes:
        folder: of pictures, or a dataset file.
        rule: how it is read.
        cache: folder of the cache.
        dataset: whose folder it is, if it is one's.
    """

    folder: Path
    rule: ScanRule
    cache: Path
    dataset: OpenedDataset | None = None

    def thumbnails(self) -> Thumbnails:
        """Those of its pictures."""
        return Thumbnails(self.cache, self.folder, self.rule.pictures, THUMBNAIL_PX, MOST_SHOWN)


def check(config: CheckConfig) -> Iterator[Event]:
    """Look at a folder of pictures as training would, say what is wrong with it, and write a page.

    Nothing among the pictures is touched unless `config.report.fix` or `undo` is set, and the network only where a base
    is named that is not on this machine. `undo` takes back what `fix` did, and looks at nothing.

    Yields:
        Noted, Prepared, and at the end Checked.
    Raises:
        ConfigError: settings that do not fit each other, or a place for the page that is not free.
        DataError: what was fixed cannot be taken back.
    """
    report = config.report
    try:
        place = _place(config)
    except DataError as error:
        yield _refused(config.data.folder or place_of(config.data), str(error), [], None)
        return
    if report.undo:
        yield from _undo(place, report.fix_dir)
        return
    page, thumbnails = _page(place.folder, report.report), place.thumbnails()
    scan = yield from _survey(place, thumbnails)
    acts: list[Act] = []
    if report.fix and not isinstance(scan, DataError):
        acts = yield from _fix(config, place, scan)
        if acts:
            scan = yield from _survey(place, thumbnails)
    checked = yield from _checked(config, scan, acts, page)
    write_page(checked, thumbnails)
    with suppress(OSError):  # the scan said already that nothing can be kept
        thumbnails.write()
    yield checked


def _undo(place: Place, fix_dir: Path | None) -> Iterator[Event]:
    root, acts = root_of(place.folder), []
    for act in undo(place.folder, aside_of(place.folder, fix_dir)):
        acts.append(act)
        yield Noted(f"{name_in(act.path, root)} is as it was")
    if not acts:
        yield Noted("the journal holds nothing that could be taken back")
    yield Checked(place.folder, None, None, "nothing was looked at", acts, [], [], True, None)


def _fix(config: CheckConfig, place: Place, scan: Scan) -> Generator[Event, None, list[Act]]:
    """Put the folder in order, and say what stays as it is."""
    report, acts = config.report, list[Act]()
    findings = find(scan, config.data, None, report.near_duplicate)
    root = root_of(place.folder)
    for act in fix(findings, aside_of(place.folder, report.fix_dir), by_line=config.data.caption_per_line):
        acts.append(act)
        yield Noted(_said(act, root))
    yield from (Noted(text, warning=True) for text in copies_that_stay(findings))
    if acts:
        yield Noted("nothing was deleted: the same command with --undo in place of --fix takes it all back")
    else:
        yield Noted("nothing was moved or written: there is nothing that --fix puts in order")
    return acts


def _place(config: CheckConfig) -> Place:
    rule, folder = scan_rule(config.data), config.data.folder
    cache = config.data.cache_dir or default_cache_dir()
    if config.data.dataset_name is not None:
        if config.report.fix or config.report.undo:
            raise ConfigError("fix and undo are for folders of pictures; a dataset stays as it is: leave them out")
        dataset = dataset_of(config.data)
        return Place(dataset.folder, replace(rule, caption_column=dataset.caption_column), cache, dataset)
    if folder is None:
        raise ConfigError("no folder of pictures: scumble check FOLDER, or --dataset_name OWNER/NAME")
    if not folder.exists():
        raise DataError(f"{folder}: no such folder")
    return Place(folder, rule, cache)


def _said(act: Act, root: Path) -> str:
    name = name_in(act.path, root)
    if act.kind == "moved":
        return f"moved aside: {name} -> {act.aside} ({act.reason})"
    return f"caption {act.reason}: {name}; the old text is {act.aside}"


def _page(folder: Path, chosen: Path | None) -> Path:
    """Where the page goes: never among the pictures, where it would be a file that is not used."""
    pictures = folder.resolve() if folder.is_dir() else None
    page = chosen or Path(PAGE)
    if pictures is not None and page.resolve().is_relative_to(pictures):
        if chosen is not None:
            raise ConfigError(f"report={chosen}: lies among the pictures; choose a place beside {folder}")
        page = pictures.with_name(PAGE)
    check_place(page, "report", COMMAND)
    return page


def _survey(place: Place, thumbnails: Thumbnails) -> Generator[Event, None, Scan | DataError]:
    """The folder, or why it is not understood."""
    seen = SeenPictures(place.cache, place.folder, place.rule.pictures, thumbnails)
    steps = survey(place.folder, place.rule, seen)
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
        return _refused(folder, str(scan), acts, page)
    plan, why = _planned(config, scan)
    base = plan.base if plan is not None else _chosen_base(config)
    of_base = None if isinstance(base, ScumbleError) else base
    findings = find(scan, config.data, of_base, config.report.near_duplicate)
    problems, no_forecast = list(findings.problems), ""
    refusal = base if isinstance(base, ScumbleError) else why
    if isinstance(refusal, ScumbleError) and (_names_base(config) or not isinstance(refusal, BaseModelError)):
        problems.append(f"training would refuse it: {refusal}")
    if plan is None:
        no_forecast = str(why)
    looked_ahead = (yield from _look_ahead(config, plan)) if plan is not None else None
    is_usable = not problems and not (config.report.strict and findings.warnings)
    return Checked(folder, findings, looked_ahead, no_forecast, acts, problems, findings.warnings, is_usable, page)


def _refused(folder: Path, problem: str, acts: list[Act], page: Path | None) -> Checked:
    return Checked(folder, None, None, "the folder is not understood", acts, [problem], [], False, page)


def _names_base(config: CheckConfig) -> bool:
    """Whether the person chose the base; what is wrong with the usual one says nothing of the pictures."""
    return config.model.base is not None or config.model.preset is not None


def _chosen_base(config: CheckConfig) -> BaseModel | ScumbleError | None:
    """The base that the person chose, which says how large pictures should be; or what is wrong with it."""
    if not _names_base(config):
        return None
    try:
        return base_of(config.model)
    except ScumbleError as error:
        return error


def _planned(config: CheckConfig, scan: Scan) -> tuple[Plan | None, ScumbleError | str]:
    """The plan of a training, or why there is none: the error that training would end with, or words."""
    if scan.uncaptioned or scan.unread or not scan.examples:
        return None, "the pictures are not ready for training"
    base = None
    if not _names_base(config):
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
    yield Noted(f"{MEASURING}: {plan.base.name} on {plan.device}")
    return forecast(plan, probe(plan))

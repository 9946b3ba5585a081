"""Writing the report of a run: asked for at any time, and by itself when a training ends."""

from collections.abc import Iterator
from pathlib import Path

from scumble.config.report import ReportConfig
from scumble.errors import ConfigError
from scumble.files.atomic import write_atomically
from scumble.generate.events import Noted
from scumble.page import check_place
from scumble.report.drawn import Pair, draw_pairs, refuse_tags
from scumble.report.events import Reported
from scumble.report.facts import gather
from scumble.report.page import COMMAND, page_of
from scumble.runs.find import run_folder
from scumble.train.runfolder import RunFolder


def report(config: ReportConfig) -> Iterator[Noted | Reported]:
    """Gather what is known of a run, draw what is asked for, and write the page unless only the facts are wanted.

    Yields:
        What the person should know, and at the end Reported.
    Raises:
        CheckpointError: there is no such run.
        ConfigError: the page cannot be written there, or a prompt that cannot be.
        LoraFileError, BaseModelError, OutOfMemoryError: what was asked for cannot be drawn.
    """
    folder = run_folder(config.run)
    page = None if config.as_json else config.out or _page_of(folder)
    if page is not None:
        check_place(page, "out", COMMAND)
    refuse_tags(config.prompt)
    facts = gather(folder)
    drawn: list[Pair] = []
    if config.prompt:
        if facts.chosen is None:
            raise ConfigError(f"prompt would have no effect: {folder} has no LoRA file yet; leave it out")
        drawn = yield from draw_pairs(facts.chosen, config.prompt, config.seed)
    if page is not None:
        write_atomically(page, page_of(facts, drawn).encode("utf-8", "replace"))
    yield Reported(facts, page)


def write_report(folder: Path) -> Path:
    """Write the report of a run into its folder, where an earlier one is replaced, and say where.

    Raises:
        CheckpointError: it is no run's folder.
        ConfigError: something else lies there.
    """
    page = _page_of(folder)
    check_place(page, "out", COMMAND)
    write_atomically(page, page_of(gather(folder)).encode("utf-8", "replace"))
    return page


def _page_of(folder: Path) -> Path:
    return RunFolder(folder, folder.name, "").report

"""Compare: tables of pictures from the same noise in which only the axes differ, as one labelled picture and as a page."""

from collections.abc import Iterator

from scumble.compare.bases import open_bases
from scumble.compare.cells import cells_of
from scumble.compare.draw import draw_cells
from scumble.compare.events import Event
from scumble.compare.layout import Layout, lay_out
from scumble.compare.page import COMMAND
from scumble.compare.write import write
from scumble.config.compare import CompareConfig
from scumble.errors import ConfigError
from scumble.generate.events import Noted
from scumble.generate.prepare import check_negative_prompt, note_prompts
from scumble.generate.save import check_folder
from scumble.page import check_place


def compare(config: CompareConfig) -> Iterator[Event]:
    """Draw every cell and save one labelled picture of them all, and a page beside it.

    What was drawn is kept until all is done: after a stop the same settings go on where it was.

    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        LoraFileError, BaseModelError: a LoRA or a base cannot be used anywhere.
        OutOfMemoryError: the device has too little memory.
        ScumbleError: no cell could be drawn.
    """
    layout = lay_out(config)
    yield from _note(config, layout)
    _check_out(config)
    bases = yield from open_bases(config, layout)
    drawing = yield from draw_cells(config, layout, bases, cells_of(layout, bases))
    yield from write(config, layout, bases, drawing)


def _note(config: CompareConfig, layout: Layout) -> Iterator[Noted]:
    """What is to be said of prompts."""
    negatives = list(dict.fromkeys(draft.negative_prompt for draft in layout.drafts.values()))
    for negative in negatives:
        check_negative_prompt(negative, config.guidance_scale)
    yield from note_prompts([*(draft.prompt for draft in layout.drafts.values()), *negatives])


def _check_out(config: CompareConfig) -> None:
    path = config.out
    if path.suffix.lower() != ".png":
        raise ConfigError(f"out={path}: must be the name of a .png file, such as {path.with_suffix('.png')}")
    if path.is_dir():
        raise ConfigError(f"out={path}: is a folder; give the name of a .png file")
    check_folder(path.parent)
    if path.parent.is_dir():
        check_place(path.with_suffix(".html"), "out", COMMAND)

"""A sweep, understood: its pictures looked at, its cells known by their values, nothing written yet."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from scumble.config import TrainConfig
from scumble.config.sweep import SweepConfig
from scumble.data.scan import Scan
from scumble.errors import CheckpointError, ConfigError
from scumble.sweep.axes import Axis, axes_of
from scumble.sweep.cells import Cell, cell_of, grid
from scumble.sweep.choice import Choice, Listed, Values, listed
from scumble.sweep.drawing import FIRST_SEED, Drawing
from scumble.sweep.folder import SweepFolder, folder_for
from scumble.sweep.optuna_choice import Suggested
from scumble.sweep.record import Record
from scumble.train.events import Event
from scumble.train.identity import identity
from scumble.train.pictures import scan_rule, survey_pictures
from scumble.train.plan import Plan, make_plan

MOST_CAPTIONS = 2
"""Captions that are drawn where no prompts are given."""


@dataclass(frozen=True)
class Setup:
    """What a sweep starts from.

    Attributes:
        config: the settings.
        base: the training that every cell is, but for its values.
        scan: the pictures.
        axes: what cells differ in.
        folder: of the sweep.
        prompts: of what is drawn with each cell's LoRA.
        drawing: the pictures side by side.
    """

    config: SweepConfig
    base: TrainConfig
    scan: Scan
    axes: Sequence[Axis]
    folder: SweepFolder
    prompts: tuple[str, ...]
    drawing: Drawing

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self.folder.path.name

    def cell(self, values: Values) -> Cell:
        """The cell with these values.

        Raises:
            ConfigError: settings that cannot be together.
        """
        return cell_of(values, self.base, self.folder.path)

    def plan(self, cell: Cell) -> Plan:
        """What a cell's training will do.

        Raises:
            ScumbleError: what training would end with; names the cell.
        """
        try:
            return make_plan(cell.config, self.scan)
        except ConfigError as error:
            raise ConfigError(f"the cell '{cell.words}': {error}") from None

    def listed(self) -> Listed | None:
        """The cells, where they are known beforehand; None where each follows from those before it."""
        own = self.config.cells
        if own.strategy == "optuna":
            return None
        return listed(self.axes, own.num_cells, self.base.training.seed)

    def choice(self) -> Choice:
        """What names the cells; Optuna's study lies in the sweep's folder."""
        own = self.config.cells
        known = self.listed()
        if known is not None:
            return known
        assert own.num_cells is not None
        return Suggested(self.axes, own.num_cells, self.base.training.seed, self.folder.study)


def set_up(config: SweepConfig) -> Generator[Event, None, Setup]:
    """Look at the pictures and understand what is to be tried.

    Yields:
        What looking at the pictures tells.
    Raises:
        ScumbleError: pictures or settings that cannot be.
    """
    base = config.training_settings()
    axes = axes_of(config.cells, base)
    scan, data = yield from survey_pictures(base.data, scan_rule(base.data))
    base = base.model_copy(update={"data": data})
    own = config.cells
    prompts = own.prompts or _first_captions(scan)
    seeds = range(FIRST_SEED, FIRST_SEED + own.pictures)
    drawing = Drawing(prompts, tuple(seeds)) if own.pictures else Drawing()
    return Setup(config, base, scan, axes, folder_for(config), prompts, drawing)


def _first_captions(scan: Scan) -> tuple[str, ...]:
    captions = dict.fromkeys(example.captions[0] for example in scan.examples if example.captions)
    return tuple(caption for caption in captions if caption)[:MOST_CAPTIONS]


def planned_cells(setup: Setup) -> list[tuple[Cell, Plan]]:
    """Every cell that is known beforehand with its plan; of Optuna the first and the last of the grid.

    Raises:
        ConfigError: two cells that are the same, or one that cannot be.
    """
    known = setup.listed()
    cells = [setup.cell(values) for values in (known.cells if known is not None else _ends(grid(setup.axes)))]
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the cell '{name}' is there twice: name each value once")
    return [(cell, setup.plan(cell)) for cell in cells]


def _ends(cells: Sequence[Values]) -> list[Values]:
    return [cells[0], cells[-1]] if len(cells) > 1 else list(cells)


def refuse_another(plan: Plan, record: Record) -> None:
    """Raise if a cell that is done was trained with other settings or pictures.

    Args:
        plan: of the cell now.
        record: of the cell as it was trained.
    Raises:
        CheckpointError: names every difference.
    """
    now, before = identity(plan), record.settings
    changed = [
        f"{key} was {before.get(key)} and is {now.get(key)}"
        for key in sorted({*now, *before})
        if now.get(key) != before.get(key)
    ]
    if before and changed:
        raise CheckpointError(
            f"the cell '{record.words}' was trained otherwise: {'; '.join(changed)}. Choose another --name, or --overwrite"
        )

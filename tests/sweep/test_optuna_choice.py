"""Cells that Optuna chooses, with its study on the disk."""

import pytest

pytest.importorskip("optuna")

from scumble.errors import ConfigError
from scumble.sweep.axes import Axis
from scumble.sweep.optuna_choice import Suggested

AXES = [Axis("adapter.rank", (4, 8, 16, 32)), Axis("optimizer.learning_rate", (1e-4, 1e-3, 1e-2))]


def loss_of(values):
    return abs(values["adapter.rank"] - 16) / 16 + abs(values["optimizer.learning_rate"] - 1e-3)


def chosen(choice):
    found = []
    while (values := choice.next()) is not None:
        found.append(values)
        choice.tell(values, loss_of(values))
    return found


def test_each_cell_is_chosen_once(tmp_path):
    cells = chosen(Suggested(AXES, 12, 0, tmp_path / "study"))
    assert len(cells) == 12
    assert len({tuple(cell.values()) for cell in cells}) == 12


def test_a_study_goes_on_with_the_cells_it_had(tmp_path):
    first = Suggested(AXES, 5, 0, tmp_path / "study")
    before = [first.next() for _ in range(3)]
    first.tell(before[0], 0.1)
    again = Suggested(AXES, 5, 0, tmp_path / "study")
    cells = chosen(again)
    assert cells[:3] == before
    assert len({tuple(cell.values()) for cell in cells}) == 5


def test_other_axes_are_another_study(tmp_path):
    chosen(Suggested(AXES, 3, 0, tmp_path / "study"))
    others = [Axis("adapter.rank", (2, 64)), AXES[1]]
    assert {cell["adapter.rank"] for cell in chosen(Suggested(others, 6, 0, tmp_path / "study"))} == {2, 64}


def test_more_cells_than_there_are_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="the grid has 12 cells"):
        Suggested(AXES, 13, 0, tmp_path / "study")

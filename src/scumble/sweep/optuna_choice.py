"""Cells chosen by Optuna (Akiba et al. 2019, arXiv:1907.10902) from what the ones before gave; kept on the disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scumble.errors import ConfigError
from scumble.sweep.axes import Axis
from scumble.sweep.cells import grid
from scumble.sweep.choice import Values

SHARE_BY_CHANCE = 3
"""One cell of so many is chosen by chance, before there is something to choose by."""
MOST_TRIES = 20
"""Suggestions that were trained already, before the first cell of the grid that was not is taken instead."""


class Suggested:
    """A study whose trials are cells. Every cell is trained once: what is suggested again is answered from memory.

    Args:
        axes: what the cells differ in; a trial holds the number of the value on each.
        num_cells: how many to train.
        seed: of the sampler.
        storage: the file that the study is kept in.
    Raises:
        ConfigError: Optuna is not installed, or the grid has fewer cells.
    """

    def __init__(self, axes: Sequence[Axis], num_cells: int, seed: int, storage: Path) -> None:
        optuna = import_optuna()
        self._grid = grid(axes)
        if num_cells > len(self._grid):
            raise ConfigError(
                f"num_cells={num_cells}: the grid has {len(self._grid)} cells; ask for fewer, or for the grid"
            )
        self.total, self._axes, self._seed = num_cells, axes, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        backend = optuna.storages.journal.JournalFileBackend(str(storage))
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=_name_of(axes),
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, num_cells // SHARE_BY_CHANCE)),
        )
        self._distributions = {
            axis.place: optuna.distributions.CategoricalDistribution(tuple(range(len(axis.values)))) for axis in axes
        }
        self._given: list[tuple[int, Values]] = []
        self._losses: list[tuple[Values, float | None]] = []
        self._before = [
            (trial.number, self._values_of(trial.params))
            for trial in self._study.get_trials(deepcopy=False)
            if trial.params
        ]

    def next(self) -> Values | None:
        """See `Choice`: first the cells of an earlier start, in their order."""
        if len({self._index(values) for _, values in self._given}) >= self.total:
            return None
        if self._before:
            self._given.append(self._before.pop(0))
            return self._given[-1][1]
        known = {self._index(values) for _, values in self._given}
        for _ in range(MOST_TRIES):
            trial = self._study.ask(self._distributions)
            values = self._values_of(trial.params)
            if self._index(values) not in known:
                self._given.append((trial.number, values))
                return values
            self._answer(trial.number, self._loss_of(values))
        return self._first_unknown(known)

    def tell(self, values: Values, loss: float | None) -> None:
        """See `Choice`."""
        self._losses.append((values, loss))
        number = next(number for number, given in self._given if given == values)
        self._answer(number, loss)

    def _first_unknown(self, known: set[int]) -> Values:
        index = next(index for index in range(len(self._grid)) if index not in known)
        params = {axis.place: axis.values.index(self._grid[index][axis.place]) for axis in self._axes}
        self._study.enqueue_trial(params)
        trial = self._study.ask(self._distributions)
        self._given.append((trial.number, self._grid[index]))
        return self._grid[index]

    def _answer(self, number: int, loss: float | None) -> None:
        optuna = import_optuna()
        failed = optuna.trial.TrialState.FAIL
        self._study.tell(number, loss, state=None if loss is not None else failed, skip_if_finished=True)

    def _loss_of(self, values: Values) -> float | None:
        return next((loss for told, loss in self._losses if told == values), None)

    def _values_of(self, params: dict[str, Any]) -> dict[str, Any]:
        return {axis.place: axis.values[params[axis.place]] for axis in self._axes}

    def _index(self, values: Values) -> int:
        return self._grid.index(dict(values))


def _name_of(axes: Sequence[Axis]) -> str:
    """A study knows one set of axes; with others it is another."""
    return hashlib.sha256(repr(axes).encode()).hexdigest()[:12]


def import_optuna() -> Any:
    """Optuna, which is imported where it is asked for only.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("strategy=optuna: Optuna is not installed: pip install 'scumble[sweep]'") from None
    return optuna

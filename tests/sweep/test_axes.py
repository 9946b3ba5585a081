"""What the cells of a sweep differ in, and what they may not differ in."""

import pytest

from scumble.config import TrainConfig, from_values
from scumble.config.sweep import CellsConfig, SweepConfig
from scumble.errors import ConfigError
from scumble.sweep.axes import axes_of
from scumble.sweep.cells import cell_of, grid
from scumble.sweep.choice import listed


def cells_of(tmp_path, base=None, **own):
    settings = from_values(TrainConfig, {"data": {"folder": tmp_path}, **(base or {})})
    axes = axes_of(from_values(CellsConfig, own), settings)
    return [cell_of(values, settings, tmp_path / "sweep") for values in grid(axes)]


def test_the_usual_sweep_is_four_ranks_with_twice_the_alpha(tmp_path):
    cells = cells_of(tmp_path)
    assert [cell.config.adapter.rank for cell in cells] == [4, 8, 16, 32]
    assert [cell.config.adapter.alpha for cell in cells] == [8.0, 16.0, 32.0, 64.0]
    assert [cell.name for cell in cells] == ["rank-4", "rank-8", "rank-16", "rank-32"]


def test_an_alpha_that_is_given_stays(tmp_path):
    cells = cells_of(tmp_path, base={"adapter": {"alpha": 3.0}}, ranks=(4, 8))
    assert [cell.config.adapter.alpha for cell in cells] == [3.0, 3.0]


def test_axes_are_crossed_and_the_last_moves_fastest(tmp_path):
    cells = cells_of(tmp_path, ranks=(4, 8), alphas=(1.0, 2.0), seeds=(0, 1))
    assert [(c.config.adapter.rank, c.config.adapter.alpha, c.config.training.seed) for c in cells] == [
        (rank, alpha, seed) for rank in (4, 8) for alpha in (1.0, 2.0) for seed in (0, 1)
    ]


def test_any_setting_of_training_can_be_varied(tmp_path):
    cells = cells_of(tmp_path, vary=("optimizer.weight_decay: 0, 0.01", "objective.snr_gamma: none, 5"))
    found = [(cell.config.optimizer.weight_decay, cell.config.objective.snr_gamma) for cell in cells]
    assert found == [(0.0, None), (0.0, 5.0), (0.01, None), (0.01, 5.0)]
    assert cells[1].words == "weight decay 0, snr gamma 5"


def test_targets_of_one_cell_are_joined(tmp_path):
    cells = cells_of(tmp_path, target_sets=("attention", "attention+feed-forward", "*.attn2.to_q"))
    assert [cell.config.adapter.targets for cell in cells] == [
        ("attention",), ("attention", "feed-forward"), ("*.attn2.to_q",),
    ]  # fmt: skip
    assert len({cell.name for cell in cells}) == 3
    assert all("*" not in cell.name for cell in cells)


def test_what_is_held_out_keeps_its_seed_where_seeds_are_varied(tmp_path):
    cells = cells_of(tmp_path, base={"training": {"seed": 5}}, seeds=(1, 2))
    assert [cell.config.validation.validation_seed for cell in cells] == [5, 5]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("training.max_train_steps: 5, 10", "same budget"),
        ("training.train_batch_size: 1, 2", "same budget"),
        ("data.resolution: 256, 512", "could not be compared"),
        ("model.clip_skip: 1, 2", "could not be compared"),
        ("optimizer.weight_decai: 0, 1", "did you mean 'weight_decay'"),
        ("optimiser.weight_decay: 0, 1", "did you mean 'optimizer'"),
        ("adapter.rank: 4, 4", "there twice"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_the_reason(tmp_path, entry, words):
    with pytest.raises(ConfigError, match=words):
        cells_of(tmp_path, vary=(entry,))


def test_a_cell_that_cannot_be_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"the cell 'algorithm loha'.*init"):
        cells_of(tmp_path, base={"adapter": {"init": "pissa"}}, algorithms=("lora", "loha"))


def test_a_setting_varied_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"adapter\.rank is varied twice"):
        cells_of(tmp_path, ranks=(4, 8), vary=("adapter.rank: 4, 8",))


def test_chance_takes_some_cells_of_the_grid_and_the_same_ones_each_time(tmp_path):
    axes = axes_of(CellsConfig(ranks=(1, 2, 3), seeds=(0, 1, 2)), TrainConfig())
    chosen = listed(axes, 4, seed=3).cells
    assert len(chosen) == 4
    assert all(values in grid(axes) for values in chosen)
    assert listed(axes, 4, seed=3).cells == chosen
    assert listed(axes, 4, seed=4).cells != chosen
    with pytest.raises(ConfigError, match="the grid has 9 cells"):
        listed(axes, 10, seed=3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_cells": 3}, "num_cells would have no effect"),
        ({"strategy": "random"}, "num_cells must say"),
        ({"ray_address": "auto"}, "ray_address would have no effect"),
        ({"ranks": (4, 4)}, "a value is there twice"),
        ({"vary": ("weight_decay 1",)}, r"expected SECTION\.SETTING"),
    ],
)
def test_settings_without_effect_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        from_values(SweepConfig, {"cells": values})


def test_resume_is_refused_because_a_sweep_always_goes_on():
    with pytest.raises(ConfigError, match="always goes on"):
        from_values(SweepConfig, {"output": {"resume": True}})

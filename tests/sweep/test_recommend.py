"""Which LoRA to keep, and the reason."""

from dataclasses import replace

from scumble.sweep.recommend import recommend
from scumble.sweep.record import Record, failed


def record(rank, losses, seed=None, before=1.0):
    values = {"adapter.rank": rank, **({} if seed is None else {"training.seed": seed})}
    loss = sum(losses) / len(losses)
    name = "_".join(f"{place.split('.')[1]}-{value}" for place, value in values.items())
    return Record(
        name=name, words=name, values=values, validations=((0, before), (10, loss)), best_step=10 if loss < before else 0,
        losses=tuple(losses), trainable=1000 * rank,
    )  # fmt: skip


def test_a_smaller_lora_within_the_noise_is_kept():
    advice = recommend([record(4, [0.5, 0.3, 0.6]), record(32, [0.4, 0.4, 0.5])])
    assert advice.name == "rank-4"  # differences 0.1, -0.1, 0.1: mean 0.033, standard error 0.067
    assert "within the noise of 0.067" in advice.words
    assert "standard error" in advice.words


def test_a_smaller_lora_that_is_surely_worse_is_not():
    advice = recommend([record(4, [0.61, 0.60, 0.59]), record(32, [0.4, 0.4, 0.4])])
    assert advice.name == "rank-32"
    assert "no smaller one is within the noise" in advice.words


def test_a_cell_without_company_is_not_called_the_lowest():
    assert "no other cell to compare it with" in recommend([record(4, [0.5, 0.3, 0.6])]).words


def test_of_equally_large_ones_the_lowest_is_kept():
    low, high = record(4, [0.4, 0.4]), replace(record(4, [0.5, 0.3 + 0.15]), name="other")
    assert recommend([high, low]).name == low.name


def test_where_seeds_vary_their_spread_is_the_noise():
    cells = [record(4, [0.50], 0), record(4, [0.40], 1), record(32, [0.46], 0), record(32, [0.40], 1)]
    advice = recommend(cells)
    assert advice.name == "rank-4_seed-1"  # means 0.45 and 0.43; pooled deviation 0.058
    assert "standard deviation over seeds" in advice.words
    apart = [record(4, [0.60], 0), record(4, [0.61], 1), record(32, [0.40], 0), record(32, [0.41], 1)]
    assert recommend(apart).name == "rank-32_seed-0"


def test_where_nothing_was_learnt_nothing_is_kept():
    advice = recommend([record(4, [1.2, 1.1]), record(8, [1.3, 1.2])])
    assert advice.name is None
    assert "no cell came below the loss before training" in advice.words


def test_failed_cells_are_not_recommended():
    from scumble.config import TrainConfig
    from scumble.sweep.cells import Cell

    lost = failed(Cell("rank-2", "rank 2", {"adapter.rank": 2}, TrainConfig()), "DivergedError", "loss is not finite")
    assert recommend([lost]).name is None
    assert recommend([lost, record(4, [0.4, 0.5])]).name == "rank-4"

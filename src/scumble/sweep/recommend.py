"""Which LoRA of a sweep to keep: the smallest whose validation loss is within the noise of the lowest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scumble.sweep.axes import SEED
from scumble.sweep.record import Record


@dataclass(frozen=True)
class Recommendation:
    """What to keep, and why.

    Attributes:
        name: of the cell; None = none of them.
        words: the reason, as sentences.
    """

    name: str | None
    words: str


def recommend(records: Sequence[Record]) -> Recommendation:
    """The smallest of the cells whose loss cannot be told from the lowest; of equally large ones the lowest.

    Where seeds were varied, the cells of one setting count by their mean, and the noise is their spread; else it is the
    standard error of the difference of two cells' losses, sample by sample, as the samples are the same.

    Args:
        records: of all cells, those that failed too.
    """
    done = [record for record in records if record.is_done]
    if not done:
        return Recommendation(None, "No cell was trained to its end yet.")
    best = min(done, key=lambda record: record.best)
    if all(record.best_step == 0 for record in done):
        return Recommendation(
            None,
            f"None: no cell came below the loss before training, {best.before:.4f}. A lower learning rate, more "
            "steps or other targets may help.",
        )
    groups = _groups(done)
    seeds = max(map(len, groups.values()))
    return _by_seeds(groups) if seeds > 1 else _by_samples(done, best)


def _groups(done: Sequence[Record]) -> dict[str, list[Record]]:
    """The cells that differ in the seed alone."""
    groups: dict[str, list[Record]] = {}
    for record in done:
        key = repr(sorted((place, value) for place, value in record.values.items() if place != SEED))
        groups.setdefault(key, []).append(record)
    return groups


def _by_samples(done: Sequence[Record], best: Record) -> Recommendation:
    within = [record for record in done if record is best or _is_within(record, best)]
    chosen = min(within, key=lambda record: (record.trainable, record.best))
    of_the_loss = "the standard error of the difference, sample by sample"
    head = f"{chosen.words}: validation loss {chosen.best:.4f} at step {chosen.best_step}, {chosen.before:.4f} before training."
    if chosen is best:
        smaller = [record for record in done if record.trainable < chosen.trainable]
        alone = (
            "There is no other cell to compare it with."
            if len(done) == 1
            else "It is the lowest, and no cell is smaller."
        )
        reason = _why_no_smaller(smaller, best) if smaller else alone
        return Recommendation(chosen.name, f"{head} {reason}")
    gap, noise = paired(chosen, best)
    return Recommendation(
        chosen.name,
        f"{head} The lowest is {best.best:.4f} ({best.words}), but the gap of {max(gap, 0):.2g} is within the noise of "
        f"{noise:.2g} ({of_the_loss}, over {len(best.losses)} validation samples), and this LoRA has "
        f"{chosen.trainable:,} numbers instead of {best.trainable:,}.",
    )


def _why_no_smaller(smaller: Sequence[Record], best: Record) -> str:
    nearest = min(smaller, key=lambda record: record.best)
    gap, noise = paired(nearest, best)
    return (
        f"It is the lowest, and no smaller one is within the noise: the nearest, {nearest.words}, is {gap:.2g} above it, "
        f"and the noise is {noise:.2g} (the standard error of the difference, sample by sample, over "
        f"{len(best.losses)} validation samples)."
    )


def _is_within(record: Record, best: Record) -> bool:
    gap, noise = paired(record, best)
    return gap <= noise


def paired(record: Record, best: Record) -> tuple[float, float]:
    """How far a cell's loss is above the best one's, and the standard error of that, over the same samples."""
    gaps = [own - other for own, other in zip(record.losses, best.losses, strict=True)]
    return fmean(gaps), stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0


def _by_seeds(groups: Mapping[str, Sequence[Record]]) -> Recommendation:
    means = {key: fmean(record.best for record in group) for key, group in groups.items()}
    noise = _spread(groups)
    lowest = min(means, key=lambda key: means[key])
    within = [key for key in groups if means[key] <= means[lowest] + noise]
    chosen = min(within, key=lambda key: (groups[key][0].trainable, means[key]))
    record = min(groups[chosen], key=lambda record: record.best)
    head = f"{record.words}: the best of {len(groups[chosen])} seeds of this setting, whose mean loss is {means[chosen]:.4f}."
    noise_words = f"the noise of {noise:.2g} (the standard deviation over seeds of one setting)"
    if chosen == lowest:
        reason = f"It is the lowest mean, and no smaller setting is within {noise_words}."
    else:
        reason = f"The lowest mean is {means[lowest]:.4f}; the gap is within {noise_words}, and this LoRA is smaller."
    return Recommendation(record.name, f"{head} {reason}")


def _spread(groups: Mapping[str, Sequence[Record]]) -> float:
    """Standard deviation over seeds, pooled over the settings that were trained with several."""
    several = [[record.best for record in group] for group in groups.values() if len(group) > 1]
    squares = sum(stdev(losses) ** 2 * (len(losses) - 1) for losses in several)
    return math.sqrt(squares / sum(len(losses) - 1 for losses in several))

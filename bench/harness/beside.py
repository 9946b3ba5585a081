"""Two sides, figure by figure: their table, and what lies on the line through two sizes of a run."""

from collections.abc import Mapping, Sequence

from .turns import ratio, spread

Values = Mapping[str, Sequence[float]]
"""Side -> what it measured, round by round."""


def worked_out(few: Values, more: Values, share: float) -> dict[str, list[float]]:
    """Values on the line through two runs of each round: 0 = the first, 1 = the second, more = beyond it."""
    return {side: [low + (high - low) * share for low, high in zip(few[side], more[side], strict=True)] for side in few}


def rows_beside(
    found: Mapping[str, Values], sides: tuple[str, str], about: Mapping[str, object]
) -> list[dict[str, object]]:
    """A row for each side, and one of the ratios of its rounds.

    Args:
        found: figure -> its values.
        sides: ours, and the one beside it.
        about: columns that say what was run.
    """
    rows = [
        {"side": side, **about, **{name: str(spread(values[side])) for name, values in found.items()}} for side in sides
    ]
    ours, other = sides
    ratios = {name: str(ratio(values[ours], values[other])) for name, values in found.items()}
    return [*rows, {"side": "ratio", **about, **ratios}]

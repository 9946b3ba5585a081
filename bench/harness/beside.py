"""Two sides, figure by figure: their table, and the goal beside the fastest of several."""

from collections.abc import Mapping, Sequence

from .result import Goal
from .turns import ratio, spread

Values = Mapping[str, Sequence[float]]
"""Side -> what it measured, round by round."""


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


def goal_beside_fastest(what: str, taken: Values, ours: str, without: Sequence[str] = (), why: str = "") -> Goal:
    """Never slower than the fastest of the others.

    Args:
        what: was measured.
        taken: side -> what it took, round by round.
        ours: the side that is judged.
        without: sides that are no peers.
        why: explanation where it is missed.
    """
    peers = {side: ratio(taken[ours], values) for side, values in taken.items() if side not in (ours, *without)}
    if not peers:
        return Goal(f"{what}, {ours} / fastest peer", 1.0, None, why="no peer has it")
    fastest = max(
        peers, key=lambda side: peers[side].median
    )  # round by round: the machine's pace changes between rounds
    return Goal.of(f"{what}, {ours} / fastest peer ({fastest})", 1.0, peers[fastest], why=why)

"""The measured numbers of a sweep as a table: the base first, then every cell, one column a number."""

import math
from collections.abc import Sequence
from html import escape

from scumble.metrics.base import Measured
from scumble.page import items, rows, wide
from scumble.sweep.account import Account
from scumble.sweep.drawing import BASE
from scumble.train.events import Tabled

WAYS = {"lower": "lower is better", "higher": "higher is better", None: "neither way is better"}


def _number_rows(account: Account) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: a number's value with its standard error; "" where a cell lacks it."""
    kinds = _kinds(account)
    measured = [record for record in account.records if account.numbers.get(record.name)]
    table = [[BASE, *map(_of_base, kinds)]]
    for record in measured:
        own = {number.name: number for number in account.numbers[record.name]}
        table.append([record.words, *(in_figures(own[kind.name]) if kind.name in own else "" for kind in kinds)])
    return ["cell", *(kind.name for kind in kinds)], table


def short_table(account: Account) -> Tabled:
    """The values alone, for a terminal: one row a number, one column a cell."""
    measured = [record for record in account.records if account.numbers.get(record.name)]
    values = {
        record.name: {number.name: _figure(number.value) for number in account.numbers[record.name]}
        for record in measured
    }
    table = [
        [kind.name, _of_base(kind), *(values[record.name].get(kind.name, "") for record in measured)]
        for kind in _kinds(account)
    ]
    return Tabled("measured; standard errors are in the report", ["", BASE, *(each.words for each in measured)], table)


def measured_parts(account: Account) -> list[str]:
    """The table as HTML, what each number was computed from, and what could not be measured; nothing where nothing was."""
    heads, table = _number_rows(account)
    lacking = items([f"not measured: {metric}: {why}" for metric, why in account.lacking.items()])
    if len(heads) == 1:
        return [lacking]
    cells = [
        [escape(row[0]), *(f'<span class="number">{escape(figure)}</span>' for figure in row[1:])] for row in table
    ]
    faint = f'<p class="faint">± is the standard error. Computed from, as of {escape(table[1][0])}; of every other cell the same with its own LoRA:</p>'
    return [wide(rows(heads, cells)), faint, items([_source(kind) for kind in _kinds(account)]), lacking]


def _kinds(account: Account) -> Sequence[Measured]:
    """Each number once, as the first cell has it that does."""
    found: dict[str, Measured] = {}
    for numbers in account.numbers.values():
        for number in numbers:
            found.setdefault(number.name, number)
    return list(found.values())


def _source(number: Measured) -> str:
    return f"{number.name} ({WAYS[number.better]}): {number.computed_from}"


def in_figures(number: Measured) -> str:
    """Value and standard error, with as many decimals as the error has in two digits."""
    if not number.spread:
        return _figure(number.value) + ("" if number.spread is None else " ± 0")
    decimals = max(0, 1 - math.floor(math.log10(number.spread)))
    return f"{number.value:.{decimals}f} ± {number.spread:.{decimals}f}"


def _of_base(number: Measured) -> str:
    return "" if number.of_base is None else _figure(number.of_base)


def _figure(value: float) -> str:
    return f"{value:.4g}"

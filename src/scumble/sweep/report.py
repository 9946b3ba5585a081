"""The report of a sweep, as far as it has come: figures as JSON, curves and pictures as PNG, and a page that shows all."""

import json
from dataclasses import asdict

from scumble.files.atomic import write_atomically
from scumble.generate.grid import labelled_grid
from scumble.sweep.account import Account
from scumble.sweep.curves import draw_curves
from scumble.sweep.drawing import BASE, read_row
from scumble.sweep.folder import SweepFolder
from scumble.sweep.page import page_of
from scumble.sweep.recommend import Recommendation, recommend
from scumble.train.disk import write_png


def write_report(folder: SweepFolder, account: Account) -> Recommendation:
    """Write all parts of the report anew, each whole.

    Returns:
        What it recommends.
    """
    advice = recommend(account.records)
    write_atomically(
        folder.figures, (json.dumps(_as_data(account, advice), indent=1, ensure_ascii=False) + "\n").encode()
    )
    if any(record.is_done for record in account.records):
        write_png(folder.curves, draw_curves(account.records))
        _write_grid(folder, account, advice)
    write_atomically(folder.report, page_of(folder, account, advice).encode())
    return advice


def _as_data(account: Account, advice: Recommendation) -> dict[str, object]:
    return {
        "name": account.title,
        "budget": account.budget,
        "cells": account.total,
        "done": sum(record.is_done for record in account.records),
        "failed": sum(not record.is_done for record in account.records),
        "recommended": advice.name,
        "reason": advice.words,
        "pictures": asdict(account.drawing),
        "records": [asdict(record) for record in account.records],
        "numbers": {name: [asdict(number) for number in found] for name, found in account.numbers.items()},
        "not_measured": dict(account.lacking),
    }


def _write_grid(folder: SweepFolder, account: Account, advice: Recommendation) -> None:
    """The base's row, then that of each cell whose pictures are there."""
    drawing = account.drawing
    drawn = [record for record in account.records if record.is_done and drawing.is_drawn(folder.path, record.name)]
    if not drawn or not drawing.columns:
        return
    names = [BASE, *(record.name for record in drawn)]
    labels = [
        BASE,
        *(
            f"{record.words}{' (recommended)' if record.name == advice.name else ''}\nloss {record.best:.4f}"
            + ("" if record.best_step else " at step 0: learnt nothing")
            for record in drawn
        ),
    ]
    columns = [f"{prompt}\nseed {seed}" for prompt, seed in drawing.columns]
    rows = [read_row(drawing.files(folder.path, name)) for name in names]
    title = f"{account.title}\nthe same prompt and noise in each column, each LoRA at its lowest validation loss"
    write_png(folder.grid, labelled_grid(rows, columns, labels, title))

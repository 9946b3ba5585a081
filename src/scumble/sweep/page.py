"""The page of a sweep: what to keep and why, the pictures, the curves and every figure of every cell."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from scumble.page import html_page, image_tag, items, rows, section, tiles, wide
from scumble.quantities import amount, counted
from scumble.sweep.account import Account
from scumble.sweep.folder import SweepFolder
from scumble.sweep.number_table import measured_parts
from scumble.sweep.recommend import Recommendation
from scumble.sweep.record import Record

COMMAND = "sweep"
STYLE = """
.keep { border-left: .3rem solid var(--good); padding: .2rem 1rem; background: var(--card); }
.keep b { font-size: 1.15rem; } .chosen { font-weight: bold; color: var(--good); }
td .number { max-width: none; }
"""
HEADS = (
    "cell", "validation loss before", "after", "lowest", "at step", "numbers", "file", "time", "memory", "steps",
)  # fmt: skip


def page_of(folder: SweepFolder, account: Account, advice: Recommendation) -> str:
    """The whole page."""
    done = [record for record in account.records if record.is_done]
    failed = [record for record in account.records if not record.is_done]
    left = account.total - len(account.records)
    facts = [(f"{len(done)} of {account.total}", "cells trained")]
    facts += [(str(len(failed)), "failed")] if failed else []
    facts += [(f"{min(record.best for record in done):.4f}", "lowest validation loss")] if done else []
    body = "".join(
        [
            f"<header><h1>{escape(account.title)}</h1></header>",
            f'<p class="faint">Every cell was trained on the same budget: {escape(account.budget)}. The validation asks the '
            "same pictures with the same noise and timesteps in each, so that the losses can be compared.</p>",
            f'<p class="warn">{counted(left, "cell")} still to come; the same command goes on.</p>' if left else "",
            tiles(facts),
            section("What to keep", _advice(done, advice)),
            section("Side by side", _picture(folder.grid, "base first")) if folder.grid.exists() else "",
            section("Validation", _picture(folder.curves, "losses over the steps")) if folder.curves.exists() else "",
            section("All figures", wide(rows(HEADS, (_row(record, advice) for record in done))), _explained(done)),
            section("Measured", *measured_parts(account)),
            section("What failed", items([f"{record.words}: {record.reason}" for record in failed])),
            section("The files", _files(done)),
        ]
    )
    return html_page(f"{account.title}: sweep", body, COMMAND, STYLE)


def _advice(done: Sequence[Record], advice: Recommendation) -> str:
    chosen = next((record for record in done if record.name == advice.name), None)
    file = f"<p>The file: <code>{escape(chosen.best_file)}</code></p>" if chosen is not None else ""
    return f'<div class="keep"><p>{escape(advice.words)}</p>{file}</div>'


def _picture(path: Path, alt: str) -> str:
    return f"<figure>{image_tag(path.read_bytes(), 'png', alt)}</figure>"


def _row(record: Record, advice: Recommendation) -> list[str]:
    name = escape(record.words)
    figures = [
        f"{record.before:.4f}",
        f"{record.after:.4f}",
        f"{record.best:.4f}",
        f"{record.best_step}",
        f"{record.trainable:,}",
        amount(record.num_bytes),
        spent(record.seconds),
        amount(record.peak_bytes),
        f"{record.steps:,}",
    ]
    return [
        f'<span class="chosen">{name}</span>' if record.name == advice.name else name,
        *(f'<span class="number">{figure}</span>' for figure in figures),
    ]


def spent(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"


def _explained(done: Sequence[Record]) -> str:
    if not done:
        return ""
    samples = len(done[0].losses)
    where = "tensors on the GPU" if done[0].device.startswith("cuda") else "the whole process"
    return (
        f'<p class="faint">Loss: mean squared error of the predicted noise over {samples} validation samples. Numbers: trained '
        f"ones of the adapter. Time: of the training at work, beside the others of the sweep. Memory: of {where} at most.</p>"
    )


def _files(done: Sequence[Record]) -> str:
    cells = (
        [escape(record.words), f'<span class="file">{escape(file)}</span>', f'<span class="file">{sha256}</span>']
        for record in done
        for file, sha256 in ((record.file, record.sha256), (record.best_file, record.best_sha256))
    )
    return wide(rows(("cell", "LoRA", "SHA-256"), cells))

"""What was done to LoRA files, as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_RANKS = 6


def lines_of(result: Any) -> list[str]:
    """The lines that say a result, by its kind."""
    shown: list[str] = globals()[f"_of_{type(result).__name__.lower()}"](result)
    return shown


def _of_inspection(found: Any) -> list[str]:
    blocks = [(block.name, block.num_layers, _counts(block.ranks), _norm(block.norm)) for block in found.blocks]
    return [
        f"{found.path}: for {found.made_for}, in {found.format}'s naming",
        f"  algorithm: {_counts(found.algorithms)} layers",
        f"  numbers:   {', '.join(found.dtypes)}",
        f"  alpha:     {_counts(found.alphas)}",
        f"  targets:   {_counts(found.targets)}",
        *(f"  {what}: {text:.300}" for what, text in found.said.items()),
        "",
        *_table([("block", "layers", "rank", "norm of the change"), *blocks]),
    ]


def _of_converted(done: Any) -> list[str]:
    if not done.made_for:
        return [
            f"{done.path}: {done.num_layers} tensors, the same names and numbers (no LoRA that is known here)",
            *_left_out(done),
        ]
    return [f"{done.path}: {done.num_layers} layers, for {done.made_for}", _error(done.error), *_left_out(done)]


def _of_merged(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.num_layers} layers of rank {_range(done.ranks)}, for {done.made_for}",
        _error(done.error),
    ]


def _of_mergedbase(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.made_for} with {done.num_layers} layers changed, in {done.num_tensors} tensors",
        _error(done.error),
        *(f"! {note}" for note in done.notes),
    ]


def _of_resized(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.num_layers} layers of rank {_range(done.ranks)}, before {_range(done.ranks_before)}, for "
        f"{done.made_for}",
        _error(done.error),
    ]


def _of_extracted(done: Any) -> list[str]:
    lines = [
        f"{done.path}: {done.num_layers} layers of rank {_range(done.ranks)}, for {done.made_for}; {done.num_equal} layers "
        "are the same in both",
        _error(done.error),
    ]
    if done.beyond is None:
        lines.append("! norms, biases and embeddings were not compared: one model is a folder and the other a file")
    elif done.beyond:
        lines.append(f"! {len(done.beyond)} tensors differ that a LoRA cannot say, such as {done.beyond[0]}")
    return lines


def _left_out(done: Any) -> list[str]:
    return [f"! left out, because they are no tensors: {', '.join(done.left_out)}"] if done.left_out else []


def _error(error: Any) -> str:
    if error.relative == 0:
        return "  error 0: exact to the bit"
    return f"  error {error.relative:.3g} of the change; largest at {error.worst_layer}: {error.worst:.3g}"


def _range(ends: tuple[int, int]) -> str:
    first, last = ends
    return f"{first}" if first == last else f"{first} to {last}"


def _norm(norm: float | None) -> str:
    return "needs --base (DoRA)" if norm is None else f"{norm:.4g}"


def _counts(counts: Mapping[Any, int]) -> str:
    if len(counts) == 1:
        (value,) = counts
        return f"{value}" if isinstance(value, int) else f"{value} ({counts[value]})"
    shown = [f"{value} ({count})" for value, count in list(counts.items())[:MOST_RANKS]]
    return ", ".join(shown) + (f", and {len(counts) - MOST_RANKS} more" if len(counts) > MOST_RANKS else "")


def _table(rows: Sequence[Sequence[Any]]) -> list[str]:
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]

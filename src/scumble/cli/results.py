"""What was done to LoRA files, as lines of text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

MOST_VALUES = 4
"""As many ranks or alphas are told one by one."""

NAMINGS = {"kohya": "kohya's", "diffusers": "diffusers'", "peft": "PEFT's"}
"""A format of the registry -> whose naming it is."""


def lines_of(result: Any) -> list[str]:
    """The lines that say a result, by its kind."""
    shown: list[str] = globals()[f"_of_{type(result).__name__.lower()}"](result)
    return shown


def _of_inspection(found: Any) -> list[str]:
    ranks: Counter[int] = Counter()
    for block in found.blocks:
        ranks.update(block.ranks)
    facts = {
        "algorithm": _counts(found.algorithms, "layers"),
        "rank": _counts(dict(ranks.most_common()), "layers"),
        "alpha": _counts(found.alphas, "layers"),
        "targets": _targets(found.targets),
        "numbers": _counts(found.dtypes, "tensors"),
        **({"words": _counts(found.words, "vectors")} if found.words else {}),
        **{what: f"{text:.300}" for what, text in found.said.items()},
    }
    width = max(map(len, facts))
    blocks = [(block.name, block.num_layers, _ranks(block.ranks), _norm(block.norm)) for block in found.blocks]
    return [
        f"{found.path}: for {found.made_for}, in {NAMINGS.get(found.format, found.format)} naming",
        *(f"  {what.ljust(width)}  {text}" for what, text in facts.items()),
        *([] if found.said.keys() - {"family"} else ["  ! it does not say what it was trained on, nor how"]),
        *_left_out(found),
        "",
        *_table([("block", "layers", "rank", "norm of the change"), *blocks]),
    ]


def _of_verified(found: Any) -> list[str]:
    programs = [
        (each.program, f"{each.num_layers} of {found.num_layers}", _distance(each.distance), each.words)
        for each in found.programs
    ]
    return [
        f"{found.path}: {found.num_layers} layers, in {NAMINGS.get(found.format, found.format)} naming",
        f"  kinship: {found.kinship.words}",
        "",
        *_table([("program", "layers", "differs by", "what it applies"), *programs]),
        "  (differs by: 0 = as trained, 1 = as far off as no change at all)",
        *(f"! {note}" for note in found.notes),
        *_left_out(found),
    ]


def _of_converted(done: Any) -> list[str]:
    if not done.made_for:
        return [
            f"{done.path}: {done.num_layers} tensors, the same names and numbers (no LoRA that is known here)",
            *_no_tensors(done),
        ]
    return [
        f"{done.path}: {done.num_layers} layers, for {done.made_for}",
        _error(done.error),
        f"  what other programs apply of it: {done.applied}",
        *([] if done.words is None else [f"  its words, which this naming has no place for: {done.words}"]),
        *_left_out(done),
        *_no_tensors(done),
    ]


def _of_merged(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.num_layers} layers of rank {_range(done.ranks)}, for {done.made_for}",
        _error(done.error),
        *_left_out_of_each(done),
        *(f"! {note}" for note in done.notes),
    ]


def _of_mergedbase(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.made_for} with {done.num_layers} layers changed, in {done.num_tensors} tensors",
        f"{_error(done.error)} (of rounding to the base's own numbers, {', '.join(done.numbers)})",
        *_left_out_of_each(done),
        *(f"! {note}" for note in done.notes),
    ]


def _of_resized(done: Any) -> list[str]:
    return [
        f"{done.path}: {done.num_layers} layers of rank {_range(done.ranks)}, before {_range(done.ranks_before)}, for "
        f"{done.made_for}",
        _error(done.error),
        *_left_out(done),
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
    from scumble.files.left_out import left_out_words  # torch takes a second, and lies there by now

    return [f"! {left_out_words(done.left_out)}"] if done.left_out else []


def _left_out_of_each(done: Any) -> list[str]:
    from scumble.files.left_out import left_out_words

    return [f"! {path}: {left_out_words(names)}" for path, names in done.left_out.items()]


def _no_tensors(done: Any) -> list[str]:
    return [f"! left out, because they are no tensors: {', '.join(done.no_tensors)}"] if done.no_tensors else []


def _error(error: Any) -> str:
    if error.relative == 0:
        return "  error 0: exact to the bit"
    return f"  error {error.relative:.3g} of the change; largest at {error.worst_layer}: {error.worst:.3g}"


def _range(ends: tuple[int, int]) -> str:
    first, last = ends
    return f"{first}" if first == last else f"{first} to {last}"


def _distance(apart: float | None) -> str:
    return "∞" if apart is None else f"{apart:.2g}"


def _norm(norm: float | None) -> str:
    return "needs --base (DoRA)" if norm is None else f"{norm:.4g}"


def _targets(counts: Mapping[str, int]) -> str:
    """Kinds of layers, a list for each model part."""
    parts: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        part, _, kind = name.partition(": ")
        parts.setdefault(part, {})[kind] = count
    return "; ".join(f"{part}: {_counts(kinds, 'layers')}" for part, kinds in parts.items())


def _ranks(counts: Mapping[int, int]) -> str:
    return f"{next(iter(counts))}" if len(counts) == 1 else _counts(counts, "layers")


def _counts(counts: Mapping[Any, int], of_what: str) -> str:
    """Values with how often they are there: "lora (60 layers), lokr (24)"; of many numbers the ends."""
    if len(counts) > MOST_VALUES and all(isinstance(value, int | float) for value in counts):
        return f"{min(counts):g} to {max(counts):g} ({sum(counts.values())} {of_what})"
    shown = [f"{_plain(value)} ({count})" for value, count in counts.items()]
    return ", ".join([f"{shown[0][:-1]} {of_what})", *shown[1:]])


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Sequence[Any]]) -> list[str]:
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [f"  {line}".rstrip() for line in lines]

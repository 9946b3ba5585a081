"""The parts of a report on the files: what programs make of them, how they are used, hashes, what they took, how to go on."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from scumble.page import rows, wide
from scumble.report.facts import Facts
from scumble.report.told import Told


def verification_section(facts: Facts) -> Iterator[str]:
    """What other programs apply of the file, and the kinship of its base."""
    found = facts.verification
    if facts.chosen is None or found is None:
        yield "<p>There is no LoRA file yet.</p>"
        return
    yield f"<p>Of <code>{escape(facts.chosen.name)}</code>:</p>"
    if found.problem:
        yield f'<p class="bad">It could not be looked at: {escape(found.problem)}</p>'
        return
    yield rows(
        ["program", "what it applies"],
        [
            [
                escape(program.name),
                f'<span class="{"good" if program.is_as_trained else "warn"}">{escape(program.words)}</span>',
            ]
            for program in found.programs
        ],
    )
    if found.kinship:
        yield f'<p class="{"" if found.is_own else "warn"}">Base: {escape(found.kinship)}.</p>'
    if facts.fingerprint:
        version, layers = [*facts.fingerprint.split("."), "", ""][:2]
        yield (
            f'<p class="faint">The file holds a fingerprint of its base\'s adapted layers ({escape(version)}.{escape(layers)}), by '
            "which drawing with another base says how far apart the two are.</p>"
        )


def use_section(facts: Facts) -> Iterator[str]:
    """Trigger, strength, and the lines for each program."""
    use = facts.use
    if use is None:
        yield "<p>There is no LoRA file yet.</p>"
        return
    trigger = f"Trigger: <code>{escape(use.trigger)}</code>." if use.trigger else "It has no trigger word of its own."
    yield f"<p>{trigger} Strength to start with: <b>{use.strength:g}</b>, {escape(use.why)}.</p>"
    for program, lines in use.steps.items():
        yield f"<h3>{escape(program)}</h3>{_steps(lines)}"


def next_section(facts: Facts) -> str:
    """What can be done now, each with its line."""
    return "".join(f"<p>{escape(what[:1].upper() + what[1:])}:</p>{_copied([line])}" for what, line in facts.next_steps)


def files_section(facts: Facts) -> Iterator[str]:
    """Every LoRA of the run with its size and hashes."""
    if not facts.loras:
        yield "<p>There is no LoRA file yet.</p>"
        return
    lines = [
        [
            f'<span class="file">{escape(lora.name)}</span>',
            _amount(lora.step),
            _amount(f"{lora.size_bytes:,}"),
            f'<span class="file">{escape(lora.sha256)}</span>',
            f'<span class="file">{escape(lora.tensor_sha256[:12].upper())}</span>',
        ]
        for lora in facts.loras
    ]
    yield wide(rows(["file", "step", "bytes", "SHA-256", "AutoV3 (numbers alone)"], lines))
    count = facts.told.run.checkpoints
    yield f'<p class="faint">{count or "No"} {"checkpoint" if count == 1 else "checkpoints"} to resume from.</p>'


def _amount(text: str) -> str:
    return f'<span class="amount">{escape(text)}</span>'


def machine_section(told: Told) -> str:
    """Versions, hardware, time and memory."""
    start, versions = told.start, told.start.get("versions")
    lines = {
        "base": str(start.get("base") or told.setting("model", "base") or "not known"),
        "hardware": str(start.get("hardware") or "not kept"),
        "device": told.run.device or "not known",
        "system": str(start.get("system") or "not kept"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items())
        if isinstance(versions, Mapping)
        else "not kept",
        "most memory in use": _memory(told),
        "begun": "not known" if told.run.begun is None else f"{told.run.begun:%Y-%m-%d %H:%M} UTC",
        "processes": str(told.run.processes or "not known"),
    }
    return rows([], [[f'<span class="label">{escape(label)}</span>', escape(text)] for label, text in lines.items()])


def _memory(told: Told) -> str:
    used = told.course.memory_bytes
    if used is None:
        return "not kept"
    return (
        f"{used / 2**30:.2f} GiB, {'of the whole process' if told.run.device == 'cpu' else 'by tensors on the device'}"
    )


def _steps(lines: Sequence[str]) -> str:
    words = "".join(f"<p>{escape(line)}</p>" for line in lines if not line.startswith("\t"))
    return words + _copied([line.removeprefix("\t") for line in lines if line.startswith("\t")])


def _copied(lines: Sequence[str]) -> str:
    return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"

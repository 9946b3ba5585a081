"""Everything that a report says, gathered once: the page shows it, and --json prints it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.edit.previews import commonest_caption
from scumble.report.data_sheet import DataSheet, read_data_sheet
from scumble.report.learnt import Verdict, verdict_of
from scumble.report.loras import KeptLora, Verification, kept_loras, lora_to_use, said_in, verification_of
from scumble.report.samples import Samples, find_samples
from scumble.report.told import Told, read_told
from scumble.report.use import Use, next_steps, use_of


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Attributes:
        told: what its folder tells.
        verdict: what it learnt.
        sheet: what it learnt from; None where it kept no data sheet.
        samples: its sample pictures.
        loras: its files.
        chosen: the file to use; None = there is none.
        fingerprint: of its base, as the file has it; "" = it has none.
        verification: what programs make of it; None where there is no file.
        use: how it is used; None where there is no file.
        next_steps: what can be done now: what for, and the line.
    """

    told: Told
    verdict: Verdict
    sheet: DataSheet | None
    samples: Samples
    loras: Sequence[KeptLora]
    chosen: Path | None
    fingerprint: str
    verification: Verification | None
    use: Use | None
    next_steps: Sequence[tuple[str, str]]


def gather(path: Path) -> Facts:
    """Everything that is known of the run in a folder.

    Raises:
        CheckpointError: it is no run's folder.
    """
    told = read_told(path)
    verdict = verdict_of(told)
    sheet = read_data_sheet(told.folder.data_sheet)
    chosen = lora_to_use(told, verdict)
    metadata = {} if chosen is None else said_in(chosen)
    caption = next((text for picture in sheet.pictures for text in picture.captions), "") if sheet else ""
    caption = caption or commonest_caption(metadata) or ""
    use = None if chosen is None else use_of(chosen, told, verdict, caption)
    return Facts(
        told=told,
        verdict=verdict,
        sheet=sheet,
        samples=find_samples(told),
        loras=kept_loras(told),
        chosen=chosen,
        fingerprint=metadata.get("scumble.fingerprint", ""),
        verification=None if chosen is None else verification_of(chosen, told),
        use=use,
        next_steps=next_steps(told, chosen, use.prompt if use else caption),
    )

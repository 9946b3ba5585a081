"""Measuring the cells when all are trained: one painter and one album, so that the base is drawn once for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scumble.config.metrics import ONLY_WITH_EYES
from scumble.device import memory_advice
from scumble.errors import MetricError, ScumbleError
from scumble.families.base import BaseModel
from scumble.files.read import read_lora
from scumble.generate.events import Noted
from scumble.generate.loras import tensor_hash
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse
from scumble.metrics import learnt_from
from scumble.metrics.album import Album
from scumble.metrics.base import Measured, Subject
from scumble.metrics.judge_eyes import is_in_the_box
from scumble.metrics.measure import measure
from scumble.metrics.run import eyes_for, note_trigger, other_prompts
from scumble.sweep.drawing import FIRST_SEED, recipe_of
from scumble.sweep.numbers import Measuring, Numbers, read_numbers, write_numbers
from scumble.sweep.record import Record
from scumble.sweep.setup import Setup
from scumble.train.events import Prepared
from scumble.train.plan import Plan

Told = Noted | Prepared
BATCH_SIZE = 4
MOST_OTHERS = 4
"""Prompts that the LoRAs are not for, where none are given: each costs as many pictures by every cell."""

OUT_OF_MEMORY_ADVICE = "the LoRAs are kept; --metric-pictures 0 leaves the numbers out"


def measuring_of(setup: Setup, plan: Plan) -> Measuring:
    """What is to be measured of each cell.

    Args:
        setup: the sweep.
        plan: of one of its cells.
    Raises:
        MetricError: a number is wanted by its name that cannot be had with this base, or the CLIP model cannot be used.
    """
    own, base = setup.config.numbers, plan.base
    if not own.metric_pictures or not setup.prompts:
        return Measuring()
    _refuse_without_means(own.metrics, own.clip, base)
    eyes_for(base, own.clip, plan.device)
    return Measuring(
        own.metrics or _usual(own.clip, base),
        setup.prompts,
        own.other_prompts or _some(other_prompts(base, setup.prompts)),
        tuple(range(FIRST_SEED, FIRST_SEED + own.metric_pictures)),
        own.clip,
    )


def _usual(clip: str | None, base: BaseModel) -> tuple[str, ...]:
    """What costs little."""
    judge = ("judge",) if is_in_the_box(base) else ()
    score = ("clip_score",) if clip is not None else ()
    return (*judge, *score, "drift", "diversity", "nearest")


def _some(prompts: Sequence[str]) -> tuple[str, ...]:
    count = min(MOST_OTHERS, len(prompts))
    return tuple(prompts[index * len(prompts) // count] for index in range(count))


def _refuse_without_means(metrics: Sequence[str], clip: str | None, base: BaseModel) -> None:
    if is_in_the_box(base):
        return
    if "judge" in metrics:
        raise MetricError(f"judge cannot be measured: the judge knows the digits of --base mini alone, not {base.name}")
    blind = [name for name in metrics if name in ONLY_WITH_EYES]
    if blind and clip is None:
        raise MetricError(
            f"{', '.join(blind)} cannot be measured without a network that looks: --clip FOLDER names one"
        )


def measure_cells(setup: Setup, records: Sequence[Record], measuring: Measuring) -> Iterator[Told]:
    """Measure what is not measured yet of the cells that are done; each cell's numbers are kept at once.

    Yields:
        How far it is, and once what cannot be measured, with the reason.
    """
    done = [record for record in records if record.is_done]
    missing = [record for record in done if _wanted(setup, record, measuring)]
    if not missing:
        return
    try:
        with memory_advice(OUT_OF_MEMORY_ADVICE):
            yield from _measure_all(setup, missing, measuring)
    except ScumbleError as error:
        yield Noted(f"not everything is measured, the same command tries again: {error}", warning=True)


def _wanted(setup: Setup, record: Record, measuring: Measuring) -> list[str]:
    known = numbers_of(setup, record, measuring)
    return [name for name in measuring.metrics if name not in known.measured]


def numbers_of(setup: Setup, record: Record, measuring: Measuring) -> Numbers:
    """What was measured of a cell so far."""
    return read_numbers(setup.cell(record.values).run.path, measuring.decided_by(record))


def _measure_all(setup: Setup, records: Sequence[Record], measuring: Measuring) -> Iterator[Told]:
    plan = setup.plan(setup.cell(records[0].values))
    yield from note_trigger(measuring.other_prompts, plan.config.data.trigger)
    album = Album(Painter.load(plan.base, plan.device, plan.dtype), BATCH_SIZE)
    eyes = eyes_for(plan.base, measuring.clip, plan.device)
    first = Subject(album, (), recipe_of(plan), measuring.prompts, measuring.other_prompts, measuring.seeds, None, eyes)
    told: set[str] = set()
    for record in records:
        subject = _subject(first, setup, record)
        for event in _measure_one(subject, setup, record, measuring):
            if isinstance(event, Prepared):
                yield replace(event, what=f"{record.words}: {event.what}")
            elif event.text not in told:
                told.add(event.text)
                yield event


def _subject(first: Subject, setup: Setup, record: Record) -> Subject:
    """A cell's LoRA within reach of the one painter, and what it learnt from."""
    cell = setup.cell(record.values)
    plan, file = setup.plan(cell), setup.folder.path / record.best_file
    first.album.painter.add_lora(cell.name, read_lora(file, plan.base.layer_paths()))
    use = LoraUse(cell.name, hash=tensor_hash(file))
    return replace(first, loras=(use,), training=learnt_from.of_plan(plan), run=cell.run.path)


def _measure_one(subject: Subject, setup: Setup, record: Record, measuring: Measuring) -> Iterator[Told]:
    known = numbers_of(setup, record, measuring)
    measured, lacking = dict(known.measured), {}
    for name in _wanted(setup, record, measuring):
        found: list[Measured] = []
        try:
            for event in measure(subject, (name,)):
                if isinstance(event, Measured):
                    found.append(event)
                else:
                    yield event
        except MetricError as error:
            lacking[name] = str(error)
            yield Noted(str(error), warning=name in setup.config.numbers.metrics)
        else:
            measured[name] = tuple(found)
    write_numbers(Numbers(known.decided_by, measured, lacking), setup.cell(record.values).run.path)

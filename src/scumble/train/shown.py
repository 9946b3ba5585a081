"""What a run shows of itself at a step: the sample pictures of its LoRA beside those of the base, from the same noise."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from scumble.generate.grid import labelled_grid
from scumble.train.disk import write_png
from scumble.train.events import Event, Prepared, Sampled
from scumble.train.plan import Plan
from scumble.train.runfolder import RunFolder
from scumble.train.samples import SampleTexts, draw_samples, sample_prompts, sample_seeds
from scumble.train.session import Session
from scumble.train.verdicts import memorised


def sample(plan: Plan, run: RunFolder, session: Session, texts: SampleTexts) -> Iterator[Event]:
    """Draw the sample pictures of the present step from the file just saved; the first time those of the base before them,
    and at the end say whether they are copies of training pictures.

    Args:
        plan: the run.
        run: where its pictures lie.
        session: its denoiser draws; the adapter in training rests meanwhile.
        texts: of every sample prompt.
    """
    step = session.step
    if not all(path.exists() for _, _, path in _places(plan, run, 0)):
        _keep_singly(draw_samples(plan, session, texts, None), plan, run, 0)
        yield Prepared("sample pictures of the base", 1, 1)
    rows = draw_samples(plan, session, texts, run.lora_at(step))
    _keep_singly(rows, plan, run, step)
    seeds = [f"seed {seed}" for seed in sample_seeds(plan)]
    sheet = labelled_grid(rows, seeds, sample_prompts(plan), f"{plan.name}, step {step}")
    write_png(run.samples_at(step), sheet)
    yield Sampled(step, run.samples_at(step))
    if step == plan.num_steps:
        yield memorised(plan, [image for row in rows for image in row], run.nearest_at(step))


def _places(plan: Plan, run: RunFolder, step: int) -> list[tuple[int, int, Path]]:
    """Prompt and seed by their numbers from 0, and the file, of every single sample picture of a step."""
    prompts = range(len(sample_prompts(plan)))
    return [
        (prompt, index, run.single_sample(step, prompt, seed))
        for prompt in prompts
        for index, seed in enumerate(sample_seeds(plan))
    ]


def _keep_singly(rows: Sequence[Sequence[Image.Image]], plan: Plan, run: RunFolder, step: int) -> None:
    for prompt, index, path in _places(plan, run, step):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, rows[prompt][index])

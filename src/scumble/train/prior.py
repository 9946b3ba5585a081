"""Class pictures for prior preservation (Ruiz et al. 2022, arXiv:2208.12242): what the base draws before training."""

import io
from collections.abc import Generator, Iterator

from PIL import Image

from scumble.data.scan import Scan, scan_folder
from scumble.files.atomic import write_atomically
from scumble.generate.painter import Painter
from scumble.generate.prompt import split_prompts
from scumble.generate.recipe import Recipe
from scumble.train.events import Prepared
from scumble.train.plan import Plan
from scumble.train.runfolder import RunFolder

BATCH_SIZE = 4
"""Fixed: the last bit of a picture depends on how many are drawn together, and a resumed run must get the same ones."""
STEPS = 30
SAMPLER = "DDIM"
SEED_BASE = 1_000_000


def find_classes(plan: Plan, run: RunFolder) -> Generator[Prepared, None, Scan | None]:
    """The class pictures, given or drawn by the base; None where the run has none.

    Drawn ones lie in the run's folder with their prompts as captions, so that resuming uses the very same.
    """
    if plan.classes is not None or plan.config.prior.class_prompt is None:
        return plan.classes
    yield from _draw_missing(plan, run)
    return scan_folder(run.class_pictures)


def _recipes(plan: Plan) -> list[Recipe]:
    """Every prompt in turn, each picture with a seed of its own, in the sizes of the own pictures and as often."""
    prior, clip_skip = plan.config.prior, plan.config.model.clip_skip
    prompts = split_prompts(prior.class_prompt)
    assert prior.num_class_images is not None
    assert clip_skip is not None
    first_seed = SEED_BASE + plan.config.training.seed
    own = sorted(plan.cuts[index][1] for index in plan.split.training)
    sizes = [own[index * len(own) // prior.num_class_images] for index in range(prior.num_class_images)]
    return [
        Recipe(
            prompt=prompts[index % len(prompts)],
            width=sizes[index][0],
            height=sizes[index][1],
            steps=STEPS,
            guidance_scale=plan.base.advice.guidance_scale,
            sampler=SAMPLER,
            seed=first_seed + index,
            clip_skip=clip_skip,
        )
        for index in range(prior.num_class_images)
    ]


def _draw_missing(plan: Plan, run: RunFolder) -> Iterator[Prepared]:
    """Draw the class pictures that are not there yet; a batch of which one is missing is drawn again as a whole."""
    recipes = _recipes(plan)
    folder = run.class_pictures
    folder.mkdir(exist_ok=True)
    painter: Painter | None = None
    for start in range(0, len(recipes), BATCH_SIZE):
        batch = recipes[start : start + BATCH_SIZE]
        paths = [folder / f"{index:04d}.png" for index in range(start, start + len(batch))]
        if not all(path.exists() for path in paths):
            painter = painter or Painter.load(plan.base, plan.device, plan.dtype)
            for path, picture in zip(paths, painter.paint(batch, BATCH_SIZE), strict=True):
                write_atomically(path.with_suffix(".txt"), picture.recipe.prompt.encode())
                write_atomically(path, _png(picture.image))
        yield Prepared("class pictures", start + len(batch), len(recipes))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()

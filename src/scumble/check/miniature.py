"""A planned run in miniature: the same settings over a few of its pictures and steps, in a folder of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scumble.config import TrainConfig
from scumble.generate.prompt import split_prompts
from scumble.processes import ALONE
from scumble.train.cuts import Cut
from scumble.train.plan import Plan
from scumble.train.prior import BATCH_SIZE
from scumble.train.validation import Split

FEW_STEPS, MORE_STEPS = 4, 12
"""Where steps take seconds, and where they are quick and other programs disturb them."""

LARGE = 100_000_000
"""Numbers in a denoiser whose steps take seconds on a CPU."""

PICTURES = 3
ALIKE = 0.9
"""Sizes whose areas differ by less take the same time."""


def in_miniature(plan: Plan, folder: Path) -> Plan:
    """The same run with few steps over the largest pictures, and a smallest one where sizes differ.

    Args:
        plan: the run.
        folder: where everything is written, the cache too.
    """
    cuts = [(replace(example, repeats=1), size) for example, size in _chosen(plan.cuts)]
    examples = tuple(example for example, _ in cuts)
    scan = replace(plan.scan, examples=examples, rejected=(), classes=())
    classes = None if plan.classes is None else replace(plan.classes, examples=plan.classes.examples[:PICTURES])
    steps = FEW_STEPS if plan.device.type == "cpu" and plan.total > LARGE else MORE_STEPS
    return replace(
        plan,
        config=_config(plan.config, min(steps, max(FEW_STEPS, plan.num_steps)), folder),
        scan=scan,
        classes=classes,
        split=Split(tuple(range(len(cuts))), ()),
        cuts=tuple(cuts),
        notes=(),
        share=ALONE,
    )


def _chosen(cuts: Sequence[Cut]) -> list[Cut]:
    """Pictures of the largest area; with them one of the smallest, if that is clearly smaller."""
    by_area = sorted(cuts, key=_area)
    largest = [cut for cut in cuts if cut[1] == by_area[-1][1]]
    return [by_area[0], largest[0]] if _area(by_area[0]) < ALIKE * _area(by_area[-1]) else largest[:PICTURES]


def _area(cut: Cut) -> int:
    width, height = cut[1]
    return width * height


def _config(config: TrainConfig, steps: int, folder: Path) -> TrainConfig:
    prior, val, output = config.prior, config.validation, config.output
    prompts = split_prompts(val.validation_prompt)
    is_drawn = prior.num_class_images is not None
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"cache_dir": folder / "cache"}),
            "prior": prior.model_copy(update={"num_class_images": min(prior.num_class_images or 0, BATCH_SIZE)})
            if is_drawn
            else prior,
            "optimizer": config.optimizer.model_copy(
                update={"lr_warmup_steps": min(config.optimizer.lr_warmup_steps, 1)}
            ),
            "training": config.training.model_copy(update={"max_train_steps": steps}),
            "validation": val.model_copy(
                update={
                    "validation_steps": steps,
                    "patience": None,
                    **(
                        {"validation_prompt": prompts[0], "num_validation_images": 1, "sample_steps": steps}
                        if prompts
                        else {}
                    ),
                }
            ),
            "output": output.model_copy(
                update={
                    "output_dir": folder,
                    "checkpointing_steps": steps - 1,
                    "resume": False,
                    "overwrite": False,
                    "report_to": tuple(name for name in output.report_to if name == "tensorboard") or ("none",),
                }
            ),
        }
    )

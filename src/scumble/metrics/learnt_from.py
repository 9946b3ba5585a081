"""What a LoRA learnt from: the pictures of the run in whose folder it lies, or of a folder that is named."""

from pathlib import Path

from scumble.config import DataConfig, TrainConfig, from_values, read_toml
from scumble.data.captions import CaptionRule
from scumble.data.scan import ScanRule, scan_folder
from scumble.families.base import BaseModel
from scumble.metrics.base import Training
from scumble.quantities import counted
from scumble.train.cuts import bucket_rule, cuts_of
from scumble.train.plan import Plan, make_plan


def of_run(run: Path) -> tuple[Training, Plan]:
    """The pictures that a run trained on and those that it held out, and the run as it was planned.

    Raises:
        ScumbleError: its settings cannot be read, or its pictures or its base are not where they were.
    """
    plan = make_plan(from_values(TrainConfig, read_toml(run / "config.toml")))
    return of_plan(plan), plan


def of_plan(plan: Plan) -> Training:
    """The pictures that a run trains on and those that it holds out."""
    config = plan.config
    assert config.model.clip_skip is not None
    what, note = ("held-out picture", "") if plan.split.held_out else ("picture", " (none is held out)")
    return Training(
        examples=tuple(plan.scan.examples[index] for index in plan.split.training),
        held_out=tuple(plan.cuts[index] for index in plan.validated),
        said=f"{counted(len(plan.validated), what)} of run {plan.name}{note}",
        seed=config.training.seed,
        num_chunks=config.data.num_chunks,
        clip_skip=config.model.clip_skip,
        is_mirrored=config.data.random_flip,
    )


def of_folder(folder: Path, captions: CaptionRule, base: BaseModel) -> Training:
    """All pictures of a folder, cut as training cuts them when nothing else is said.

    Raises:
        DataError: no such folder, no usable picture, or one without a caption.
    """
    scan = scan_folder(folder, ScanRule(captions))
    rule = bucket_rule(DataConfig(resolution=base.resolution), base.pixels_per_latent)
    return Training(
        examples=scan.examples,
        held_out=cuts_of(scan.examples, rule),
        said=f"{counted(len(scan.examples), 'picture')} of {folder.name}",
        clip_skip=base.advice.clip_skip,
    )

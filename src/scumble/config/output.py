"""The settings of where things go."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from scumble.config.base import AllowPartial
from scumble.config.section import Also, Place, Rule, Section, file_name
from scumble.config.there import LORA_THERE
from scumble.errors import nearest

TRACKERS = ("tensorboard", "wandb", "trackio", "all", "none")


def split_names(value: Any) -> Any:
    """Names in one text, between commas, as several."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return value
    return tuple(part.strip() for name in names for part in name.split(","))


def _trackers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Known trackers, each once; "all" and "none" stand alone.

    Raises:
        ValueError: inside a validator, pydantic collects it.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"'{name}' is no tracker{nearest(name, TRACKERS)}")
    if not names or (len(names) > 1 and {"all", "none"} & set(names)):
        raise ValueError("must name trackers, or be all or none alone")
    return tuple(dict.fromkeys(names))


class OutputConfig(Section):
    """Where things go."""

    output_dir: Annotated[Place, Field(description="folder of the runs; each run has a folder of its own in it")] = (
        Path("runs")
    )
    name: Annotated[
        str | None,
        AfterValidator(file_name),
        Field(description="name of the run and of the LoRA; none = the data folder's name"),
    ] = None
    format: Annotated[
        Literal["kohya", "diffusers", "peft"],
        Field(description="naming of the tensors in the LoRA file; peft = a folder NAME.peft as PEFT saves it"),
    ] = "kohya"
    save_precision: Annotated[
        Literal["fp32", "fp16", "bf16"], Field(description="precision of the numbers in the LoRA file")
    ] = "fp32"
    checkpointing_steps: Annotated[
        int | None, Field(ge=1, description="optimizer steps between checkpoints; none = 4 times a run")
    ] = None
    checkpoints_total_limit: Annotated[int, Field(ge=1, description="checkpoints kept, the newest")] = 2
    resume: Annotated[bool, Field(description="go on from the newest checkpoint of this run")] = False
    init_lora: Annotated[
        Place | None,
        LORA_THERE,
        Field(description="LoRA file or PEFT folder whose weights are the start, with a fresh optimizer"),
    ] = None
    allow_partial: AllowPartial = False
    overwrite: Annotated[bool, Field(description="replace an earlier run of the same name")] = False
    report_to: Annotated[
        tuple[str, ...],
        BeforeValidator(split_names),
        AfterValidator(_trackers),
        Field(
            description="where curves and sample pictures are logged besides the run folder, repeatable or with commas: "
            "tensorboard, wandb, trackio; all = those that are installed; none = nowhere"
        ),
    ] = ("tensorboard",)
    tracker_project_name: Annotated[
        str | None,
        Also("log_tracker_name"),
        Field(min_length=1, description="project of the run in wandb and trackio; none = scumble"),
    ] = None


def idle_output_settings(output: OutputConfig) -> list[Rule]:
    """Settings of where things go that would do nothing."""
    has_projects = bool({"wandb", "trackio", "all"} & set(output.report_to))
    return [
        (
            output.tracker_project_name is not None and not has_projects,
            "tracker_project_name",
            "report_to = wandb or trackio",
        ),
    ]

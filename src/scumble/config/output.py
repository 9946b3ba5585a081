"""The settings of where things go."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scumble.config.base import AllowPartial
from scumble.config.section import Place, Section, file_name


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
        Place | None, Field(description="LoRA file or PEFT folder whose weights are the start, with a fresh optimizer")
    ] = None
    allow_partial: AllowPartial = False
    overwrite: Annotated[bool, Field(description="replace an earlier run of the same name")] = False
    report_to: Annotated[
        Literal["tensorboard", "none"], Field(description="where curves are logged besides the run folder")
    ] = "tensorboard"

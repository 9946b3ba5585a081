"""The settings of what belongs to the model in the box: making it, and the demonstration with it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scumble.config import Place, Section


class DemoConfig(Section):
    """The demonstration: two LoRAs on the model in the box, judged."""

    out: Annotated[Place, Field(description="folder for the report, the pictures and the LoRAs; made anew")] = Path(
        "demo"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of the training and the drawing")] = 0
    concept_steps: Annotated[int, Field(ge=1, description="optimizer steps of the concept LoRA")] = 400
    style_steps: Annotated[int, Field(ge=1, description="optimizer steps of the style LoRA")] = 500
    pictures_per_score: Annotated[int, Field(ge=9, le=2000, description="pictures that each figure is taken from")] = 90


class PretrainConfig(Section):
    """How the model in the box is made. The defaults made the weights in the package."""

    out: Annotated[Place, Field(description="folder for the pipeline, the judge and the checkpoints")] = Path("mini")
    data: Annotated[
        Place | None, Field(description="folder with MNIST's original idx files; none = scikit-learn's digits")
    ] = None
    classes: Annotated[str, Field(description="digits that the base learns, such as 0-8 or 0-9")] = "0-8"
    seed: Annotated[int, Field(ge=0, description="of weights, data and noise")] = 0
    vae_steps: Annotated[int, Field(ge=1, description="optimizer steps of the autoencoder")] = 4000
    vae_batch_size: Annotated[int, Field(ge=1, description="pictures a step of the autoencoder")] = 12
    vae_learning_rate: Annotated[float, Field(gt=0, description="highest rate of the autoencoder")] = 1e-3
    kl_weight: Annotated[float, Field(ge=0, description="pull of the latents towards a normal distribution")] = 3e-4
    pool_size: Annotated[int, Field(ge=1, description="pictures that the denoiser learns from")] = 10000
    pool_fancy_share: Annotated[
        float, Field(ge=0, le=1, description="share of them in other looks and any colours")
    ] = 0.35
    denoiser_steps: Annotated[int, Field(ge=1, description="optimizer steps of denoiser and text encoder")] = 2000
    denoiser_batch_size: Annotated[int, Field(ge=1, description="pictures a step of the denoiser")] = 64
    denoiser_learning_rate: Annotated[float, Field(gt=0, description="highest rate of the denoiser")] = 1e-3
    judge_steps: Annotated[int, Field(ge=1, description="optimizer steps of the judge")] = 4000
    judge_batch_size: Annotated[int, Field(ge=1, description="pictures a step of the judge")] = 64
    judge_learning_rate: Annotated[float, Field(gt=0, description="highest rate of the judge")] = 1e-3
    examine_rounds: Annotated[int, Field(ge=0, description="how often each digit is drawn in each pair of colours")] = 2
    bf16: Annotated[bool, Field(description="autoencoder and denoiser train in bfloat16 autocast")] = True
    checkpoint_minutes: Annotated[float, Field(ge=0, description="how often a checkpoint is written")] = 4.0

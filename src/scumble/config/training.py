"""The settings of the length, size and precision of a training."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.section import Also, Section, Seed


class TrainingConfig(Section):
    """How long, how much at once, and with what precision."""

    purpose: Annotated[
        Literal["style", "person", "object"] | None,
        Also("for"),
        Field(description="what is learnt: sets rank 4 / 16 / 8"),
    ] = None
    max_train_steps: Annotated[
        int | None,
        Also("steps"),
        Field(ge=1, description="optimizer steps; none = 800 to 2000 by the number of pictures"),
    ] = None
    num_train_epochs: Annotated[
        int | None, Also("epochs"), Field(ge=1, description="passes over the pictures, instead of steps")
    ] = None
    train_batch_size: Annotated[int, Also("batch_size"), Field(ge=1, description="pictures per forward pass")] = 1
    gradient_accumulation_steps: Annotated[int, Field(ge=1, description="forward passes per optimizer step")] = 1
    gradient_checkpointing: Annotated[
        bool, Field(description="recompute activations in the backward pass: less memory, more time")
    ] = False
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the frozen weights; none = bf16 or fp16 on a GPU, fp32 on a CPU"),
    ] = None
    base_packing: Annotated[
        Literal["nf4", "int8"] | None,
        Field(description="QLoRA: keep the frozen weights in 4 bits (nf4) or 8 (int8), unpacked where they are used"),
    ] = None
    group_offload: Annotated[
        bool,
        Field(
            description="keep the frozen weights in the computer's memory and copy each layer's to the GPU as it is used: "
            "the same result, much less GPU memory, more time"
        ),
    ] = False
    vae_tiling: Annotated[
        bool,
        Field(
            description="encode and draw pictures larger than 512 px in overlapping tiles: less memory, slightly other pixels"
        ),
    ] = False
    torch_compile: Annotated[
        bool | None,
        Field(
            description="compile the denoiser's repeated blocks, on a GPU: about a minute once, for less in each step; none = "
            "after the first steps, where those that are left take long enough for that to pay"
        ),
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    seed: Annotated[Seed, Field(description="seed of everything random")] = 0
    on_nan: Annotated[
        Literal["stop", "skip", "rollback"],
        Field(
            description="when a number is not finite: stop; skip = leave the step out; rollback = go back to the newest "
            "validation and on at half the learning rate"
        ),
    ] = "stop"
    dataloader_num_workers: Annotated[
        int | None,
        Field(
            ge=0,
            le=64,
            description="threads that make batches ahead; pays with random crops; the result is the same; none = 2 on a GPU, 0 "
            "elsewhere",
        ),
    ] = None
    deterministic: Annotated[
        bool,
        Field(description="use only kernels that give the same bits each time; slower on a GPU, no change on a CPU"),
    ] = False

    num_processes: Annotated[
        int | None,
        Field(
            ge=1,
            description="processes that share a step, each with its own gradient_accumulation_steps; none = as many as "
            "torchrun started. A run goes on the same with another number that divides the batches of a step",
        ),
    ] = None
    process_timeout: Annotated[
        float, Field(gt=0, description="seconds that a step waits for another process before it is called hung")
    ] = 600.0

    @property
    def batches_a_step(self) -> int:
        """Forward passes of an optimizer step, of all processes."""
        return self.gradient_accumulation_steps * (self.num_processes or 1)

    @property
    def samples_a_step(self) -> int:
        """Samples of an optimizer step, of all its forward passes."""
        return self.train_batch_size * self.batches_a_step

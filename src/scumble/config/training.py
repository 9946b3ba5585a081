"""The settings of the length, size and precision of a training."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.section import Also, Section


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
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of everything random")] = 0
    on_nan: Annotated[
        Literal["stop", "skip", "rollback"],
        Field(
            description="when a number is not finite: stop; skip = leave the step out; rollback = go back to the newest "
            "validation and on at half the learning rate"
        ),
    ] = "stop"
    dataloader_num_workers: Annotated[
        int,
        Field(
            ge=0, le=64, description="threads that make batches ahead; pays with random crops; the result is the same"
        ),
    ] = 0
    deterministic: Annotated[
        bool,
        Field(description="use only kernels that give the same bits each time; slower on a GPU, no change on a CPU"),
    ] = False

    @property
    def samples_a_step(self) -> int:
        """Samples of an optimizer step, of all its forward passes."""
        return self.train_batch_size * self.gradient_accumulation_steps

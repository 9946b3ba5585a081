"""One training step of each side on the same base: ours through its own plan, cache and session; PEFT's bare step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
RANK = 16


@dataclass(frozen=True)
class Task:
    """What both sides do.

    Attributes:
        base: pipeline folder.
        pictures: folder of pictures of one size.
        side_px: of the training square.
        batch: pictures a step.
        device: where.
        work: folder for cache and runs.
    """

    base: Path
    pictures: Path
    side_px: int
    batch: int
    device: torch.device
    work: Path

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights; a CPU without instructions for bfloat16 only rehearses."""
        return torch.bfloat16 if self.device.type == "cuda" else torch.float32


@contextmanager
def ours(task: Task, compiled: bool) -> Iterator[Callable[[], object]]:
    """A step of `scumble train`, its batches made ahead in page-locked memory."""
    from scumble.config import TrainConfig
    from scumble.data.scan import result_of
    from scumble.device import has_memory_of_its_own
    from scumble.train.compiling import compile_blocks
    from scumble.train.material import prepare_material
    from scumble.train.plan import make_plan
    from scumble.train.prefetch import prefetched
    from scumble.train.start import start_session
    from scumble.train.step import advance

    is_gpu = has_memory_of_its_own(task.device)
    values = {
        "model": {"base": str(task.base)},
        "data": {"folder": task.pictures, "resolution": task.side_px, "cache_dir": task.work / "cache"},
        "adapter": {"rank": RANK},
        "training": {
            "train_batch_size": task.batch,
            "mixed_precision": "bf16" if is_gpu else "no",
            "device": str(task.device),
            "torch_compile": False,
        },
        "output": {"output_dir": task.work / "runs", "name": "bench"},
    }
    plan = make_plan(TrainConfig.model_validate(values))
    material = result_of(prepare_material(plan, None, []))
    session = result_of(start_session(plan))
    if compiled:
        compile_blocks(session.denoiser, "inductor" if is_gpu else "eager")
    with prefetched(material.mixture, 2, 2**40, pinned=is_gpu) as batches:
        yield lambda: advance(session, batches, task.batch, 1, 1e-4, 1.0)


@contextmanager
def by_peft(task: Task) -> Iterator[Callable[[], object]]:
    """The bare step: one batch for ever, no data, no clipping, no check of the loss."""
    import peft
    from diffusers import UNet2DConditionModel
    from diffusers.training_utils import cast_training_params

    unet = UNet2DConditionModel.from_pretrained(task.base, subfolder="unet", torch_dtype=task.dtype).to(task.device)
    unet.requires_grad_(False)
    unet.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS))
    cast_training_params(unet, torch.float32)
    optimizer = torch.optim.AdamW([each for each in unet.parameters() if each.requires_grad], lr=1e-4)
    latent_px, width = task.side_px // 8, unet.config.cross_attention_dim

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=task.device, dtype=task.dtype)

    noisy, noise = (numbers(task.batch, 4, latent_px, latent_px) for _ in range(2))
    text, timesteps = numbers(task.batch, 77, width), torch.randint(0, 1000, (task.batch,), device=task.device)
    added = None
    if unet.config.addition_embed_type == "text_time":
        pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
        added = {"text_embeds": numbers(task.batch, pooled), "time_ids": numbers(task.batch, 6)}

    def step() -> None:
        with torch.autocast(task.device.type, task.dtype, enabled=task.device.type == "cuda"):
            found = unet(noisy, timesteps, text, added_cond_kwargs=added).sample
        torch.nn.functional.mse_loss(found.float(), noise.float()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    yield step

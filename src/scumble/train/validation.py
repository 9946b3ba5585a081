"""The held-out loss: the same pictures, noise and timesteps each time, so that two values can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from scumble.train import draws
from scumble.train.batches import Batch, Pool, stack_states
from scumble.train.session import Session

TIMESTEPS_PER_PICTURE = 8


@dataclass(frozen=True)
class Split:
    """Indices of the pictures that are trained on and of those that are held out."""

    training: tuple[int, ...]
    held_out: tuple[int, ...]


MIN_PICTURES = 10
"""With fewer pictures every one is needed for training."""


def split_pictures(contents: Sequence[str], share: float, seed: int) -> Split:
    """Hold out a share of the pictures, at least one; none with few pictures or share 0.

    Args:
        contents: hash of each picture; equal pictures stay on one side.
        share: of all pictures, in [0, 0.5].
        seed: the run's seed.
    """
    distinct = list(dict.fromkeys(contents))
    if share == 0 or len(distinct) < MIN_PICTURES:
        return Split(tuple(range(len(contents))), ())
    order = torch.randperm(len(distinct), generator=draws.generator(seed, "held out")).tolist()
    chosen = {distinct[index] for index in order[: max(1, round(share * len(distinct)))]}
    held_out = tuple(index for index, content in enumerate(contents) if content in chosen)
    return Split(tuple(index for index in range(len(contents)) if index not in held_out), held_out)


def validation_batches(pool: Pool, num_timesteps: int, batch_size: int, seed: int) -> list[Batch]:
    """Each picture at timesteps spread evenly over the schedule, each with noise of its own, fixed for the run."""
    stride = num_timesteps / TIMESTEPS_PER_PICTURE
    samples = [
        (index, int((band + 0.5) * stride)) for index in range(len(pool)) for band in range(TIMESTEPS_PER_PICTURE)
    ]
    batches = []
    for start in range(0, len(samples), batch_size):
        part = samples[start : start + batch_size]
        latents = torch.stack([pool.latents[index].upright.mean for index, _ in part])
        noise = [
            torch.randn(latents.shape[1:], generator=draws.generator(seed, "validation", *sample)) for sample in part
        ]
        captions = tuple(pool.captions[index][0] for index, _ in part)
        text = stack_states([pool.state_of(index, pool.captions[index][0]) for index, _ in part])
        timesteps = torch.tensor([timestep for _, timestep in part])
        batches.append(Batch(latents, torch.stack(noise), timesteps, text, torch.ones(len(part)), captions))
    return batches


@torch.no_grad()
def validation_loss(session: Session, batches: Sequence[Batch]) -> float:
    """Mean loss over all samples, unweighted."""
    losses = torch.cat([session.losses(batch) for batch in batches])
    return float(losses.mean())

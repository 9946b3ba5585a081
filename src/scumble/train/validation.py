"""The held-out loss: the same pictures, noise and timesteps each time, so that two values can be compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from scumble.config import TrainingConfig
from scumble.train import draws
from scumble.train.batches import Batch, Pool, stack_masks, stack_states
from scumble.train.session import Session

TIMESTEPS_PER_PICTURE, BANDS = 8, 4
MOST_SAMPLES = 64
"""Of a validation: with more than eight pictures each is asked about at fewer timesteps, all together at
all of them; with more than 64, as many spread over them. More samples would cost a large folder more than its training."""
AT_ONCE, AT_ONCE_CHECKPOINTED, MOST_AT_ONCE = 4, 2, 8
"""Samples of a pass, for each sample of a step, and at most: nothing is kept for a backward pass, so that on the SD 1.5
architecture these take a third of the step's memory, or of a checkpointed step's two thirds. Several take less time each."""


@dataclass(frozen=True)
class Split:
    """Indices of the pictures that are trained on and of those that are held out."""

    training: tuple[int, ...]
    held_out: tuple[int, ...]


MIN_PICTURES = 10
"""With fewer pictures every one is needed for training."""


def split_pictures(kin: Sequence[str], share: float, seed: int) -> Split:
    """Hold out a share of the pictures, at least one; none with few pictures or share 0.

    Args:
        kin: a label of each picture; those with the same stay on one side.
        share: of all pictures, in [0, 0.5].
        seed: of the choice.
    """
    sizes = Counter(kin)
    distinct = list(sizes)
    if share == 0 or len(distinct) < MIN_PICTURES:
        return Split(tuple(range(len(kin))), ())
    order = torch.randperm(len(distinct), generator=draws.generator(seed, "held out")).tolist()
    room = max(1, round(share * len(kin)))
    chosen: set[str] = set()
    for label in (distinct[index] for index in order):
        if sizes[label] <= room:
            chosen.add(label)
            room -= sizes[label]
    if not chosen:
        chosen.add(min(distinct, key=lambda label: sizes[label]))
    held_out = tuple(index for index, label in enumerate(kin) if label in chosen)
    return Split(tuple(index for index in range(len(kin)) if kin[index] not in chosen), held_out)


def validation_batches(pools: Sequence[Pool], num_timesteps: int, batch_size: int, seed: int) -> list[Batch]:
    """Pictures at timesteps spread evenly over the schedule, each with noise of its own, fixed for the run.

    Args:
        pools: the pictures, encoded beforehand, by size.
        num_timesteps: length of the noise schedule.
        batch_size: most samples of a batch.
        seed: of the noise.
    """
    stride = num_timesteps / TIMESTEPS_PER_PICTURE
    timesteps = [int((band + 0.5) * stride) for band in range(TIMESTEPS_PER_PICTURE)]
    at = [[timesteps[one] for one in chosen] for chosen in chosen_timesteps(sum(map(len, pools)))]
    batches, before = [], 0
    for pool in pools:
        batches += _batches_of(pool, at[before : before + len(pool)], batch_size, (seed, before))
        before += len(pool)
    return batches


def samples_at_once(training: TrainingConfig) -> int:
    """Most samples of one pass of a validation, which takes no more memory than a step of the run."""
    of_one = AT_ONCE_CHECKPOINTED if training.gradient_checkpointing else AT_ONCE
    return min(MOST_AT_ONCE, of_one * training.train_batch_size)


def count_samples(num_pictures: int) -> int:
    """Samples of a validation."""
    return min(num_pictures, MOST_SAMPLES) * samples_a_picture(num_pictures)


def samples_a_picture(num_pictures: int) -> int:
    """Samples of each picture that is asked about."""
    return min(TIMESTEPS_PER_PICTURE, max(1, MOST_SAMPLES // num_pictures))


def chosen_timesteps(num_pictures: int) -> list[list[int]]:
    """Which of the `TIMESTEPS_PER_PICTURE` each picture is asked about, the next one about others where it is not all."""
    share = samples_a_picture(num_pictures)
    if num_pictures > MOST_SAMPLES:
        asked = {index * num_pictures // MOST_SAMPLES: index for index in range(MOST_SAMPLES)}
        return [[asked[picture] % TIMESTEPS_PER_PICTURE] if picture in asked else [] for picture in range(num_pictures)]
    places = [place * TIMESTEPS_PER_PICTURE // share for place in range(share)]
    return [sorted((place + picture) % TIMESTEPS_PER_PICTURE for place in places) for picture in range(num_pictures)]


def _batches_of(pool: Pool, at: Sequence[Sequence[int]], batch_size: int, source: tuple[int, int]) -> list[Batch]:
    """Of one size.

    Args:
        pool: the pictures.
        at: the timesteps of each.
        batch_size: most samples of a batch.
        source: of the noise: its seed, and how many pictures came before these.
    """
    seed, before = source
    samples = [(index, timestep) for index, timesteps in enumerate(at) for timestep in timesteps]
    batches = []
    for start in range(0, len(samples), batch_size):
        part = samples[start : start + batch_size]
        views = [pool.views.at(index, 0, False) for index, _ in part]
        latents = torch.stack([view.moments.mean for view in views])
        noise = [
            torch.randn(latents.shape[1:], generator=draws.generator(seed, "validation", before + index, timestep))
            for index, timestep in part
        ]
        captions = tuple(pool.captions[index][0] for index, _ in part)
        text = stack_states([pool.state_of(view, caption) for view, caption in zip(views, captions, strict=True)])
        timesteps = torch.tensor([timestep for _, timestep in part])
        masks = stack_masks([view.mask for view in views], latents.shape[2:])
        batches.append(Batch(latents, torch.stack(noise), timesteps, text, torch.ones(len(part)), captions, masks))
    return batches


@dataclass(frozen=True)
class Measured:
    """The held-out loss, sample by sample; the samples are the same each time.

    Attributes:
        losses: mean squared error of each sample, float32 [N], on the CPU.
        timesteps: int64 [N].
        num_timesteps: length of the noise schedule.
    """

    losses: Tensor
    timesteps: Tensor
    num_timesteps: int

    @property
    def loss(self) -> float:
        """Mean over all samples."""
        return float(self.losses.mean())

    @property
    def bands(self) -> tuple[float, ...]:
        """Mean of each of `BANDS` equal parts of the schedule, from little noise to much."""
        of_band = self.timesteps * BANDS // self.num_timesteps
        return tuple(float(self.losses[of_band == band].mean()) for band in range(BANDS))


def band_names(num_timesteps: int) -> list[str]:
    """The first and the last timestep of each band: "0-249"."""
    edges = [-(-band * num_timesteps // BANDS) for band in range(BANDS + 1)]
    return [f"{first}-{after - 1}" for first, after in pairwise(edges)]


@torch.no_grad()
def measure(session: Session, batches: Sequence[Batch]) -> Measured:
    """Mean squared error of all samples, unweighted, whatever the run minimises: so that runs can be compared."""
    losses = torch.cat([session.plain_losses(batch).cpu() for batch in batches])
    return Measured(losses, torch.cat([batch.timesteps for batch in batches]), len(session.objective.alpha_bars))

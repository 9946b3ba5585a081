"""The samples of each step: own and class pictures mixed, as pure functions of the seed and the position.

Shapes: B batch, C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from scumble.device import has_memory_of_its_own
from scumble.families.base import TextState
from scumble.train import draws
from scumble.train.noise import Noise
from scumble.train.timesteps import Timesteps
from scumble.train.views import View, Views
from scumble.train.wording import AS_WRITTEN, Wording


@dataclass(frozen=True)
class Pool:
    """Pictures to draw samples from.

    Attributes:
        views: the pictures, as a step sees them.
        captions: of each picture, one or several of which one is drawn.
        states: caption -> text state.
    """

    views: Views
    captions: Sequence[tuple[str, ...]]
    states: Mapping[str, TextState]

    def __len__(self) -> int:
        return len(self.views)

    def state_of(self, view: View, caption: str) -> TextState:
        """The text state of a view under a caption."""
        return {**self.states[caption], **view.frame}


@dataclass(frozen=True)
class Batch:
    """The samples of one forward pass, float32 on the CPU.

    Attributes:
        latents: [B, C, H, W].
        noise: what the denoiser is asked for, [B, C, H, W].
        timesteps: int64 [B].
        text: the batched text state.
        weights: weight of each sample's loss, [B].
        captions: what is read; where captions vary, the states are of the captions before that.
        masks: what of each sample counts, [B, 1, H, W] in 0..1; None = all of all.
        perturbation: what the shown noise has besides, [B, C, H, W]; None = nothing.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: TextState
    weights: Tensor
    captions: tuple[str, ...]
    masks: Tensor | None = None
    perturbation: Tensor | None = None

    @property
    def shown_noise(self) -> Tensor:
        """What the latents are noised with, [B, C, H, W]."""
        return self.noise if self.perturbation is None else self.noise + self.perturbation

    def to(self, device: torch.device) -> Self:
        """The same on a device, but for the text state, which the family casts as it must."""
        # elsewhere than on CUDA nothing keeps what is copied from until the copy is done
        return self._each(lambda numbers: numbers.to(device, non_blocking=has_memory_of_its_own(device)))

    def pinned(self) -> Self:
        """The same in page-locked memory, text state included."""
        text = {name: state.pin_memory() for name, state in self.text.items()}
        return replace(self._each(Tensor.pin_memory), text=text)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            latents=change(self.latents),
            noise=change(self.noise),
            timesteps=change(self.timesteps),
            weights=change(self.weights),
            masks=None if self.masks is None else change(self.masks),
            perturbation=None if self.perturbation is None else change(self.perturbation),
        )


@dataclass(frozen=True)
class Mixture:
    """How a run draws its samples.

    Attributes:
        own: the person's pictures, a pool for each size; a batch is of one size.
        classes: the class pictures of prior preservation in the same sizes, or none at all.
        class_share: share of class samples, in (0, 1), where there are class pictures.
        class_weight: weight of their loss.
        caption_dropout: probability that a sample of the person's pictures is trained on the empty prompt.
        noise: how pictures are noised.
        timesteps: which timesteps are trained.
        seed: the run's seed.
        wording: how captions of the person's pictures vary.
    """

    own: Sequence[Pool]
    classes: Sequence[Pool]
    class_share: float
    class_weight: float
    caption_dropout: float
    noise: Noise
    timesteps: Timesteps
    seed: int
    wording: Wording = AS_WRITTEN

    def batch_at(self, first_position: int, batch_size: int) -> Batch:
        """The batch of consecutive positions; the same for ever.

        Args:
            first_position: a multiple of the batch size.
            batch_size: samples.
        """
        positions = range(first_position, first_position + batch_size)
        sizes = tuple(len(pool) for pool in self.own)
        bucket, before = draws.bucket_at(self.seed, first_position // batch_size, sizes)
        samples = [
            self._sample_at(position, bucket, before * batch_size + index) for index, position in enumerate(positions)
        ]
        latents, states, weights, captions, masks = zip(*samples, strict=True)
        shape = tuple(latents[0].shape)
        return Batch(
            torch.stack(latents),
            torch.stack([self.noise.at(self.seed, position, shape) for position in positions]),
            torch.tensor([self.timesteps.at(self.seed, position) for position in positions]),
            stack_states(states),
            torch.tensor(weights),
            captions,
            stack_masks(masks, shape[1:]),
            self._perturbation(positions, shape),
        )

    def _perturbation(self, positions: Sequence[int], shape: tuple[int, ...]) -> Tensor | None:
        if self.noise.perturbation == 0:
            return None
        return torch.stack([self.noise.perturbation_at(self.seed, position, shape) for position in positions])

    def _sample_at(self, position: int, bucket: int, place: int) -> tuple[Tensor, TextState, float, str, Tensor | None]:
        """A sample, its noise and timestep aside.

        Args:
            position: of the run, which decides all but the picture.
            bucket: its size.
            place: how many samples of this size came before, which decides the picture.
        """
        share = self.class_share if self.classes else 0.0
        is_own = not draws.is_class_sample(place, share)
        pool = (self.own if is_own else self.classes)[bucket]
        weight = 1.0 if is_own else self.class_weight
        stream = ("own" if is_own else "class") + (f" {bucket}" if len(self.own) > 1 else "")
        place = (draws.own_position if is_own else draws.class_position)(place, share)
        index = draws.index_at(self.seed, place, len(pool), stream)
        is_flipped = pool.views.is_mirrored and draws.is_flipped(self.seed, position)
        view = pool.views.at(index, position, is_flipped)
        shape = tuple(view.moments.mean.shape)
        latents = view.moments.mean + view.moments.std * draws.posterior_at(self.seed, position, shape)
        is_dropped = is_own and draws.is_caption_dropped(self.seed, position, self.caption_dropout)
        captions = pool.captions[index]
        caption = "" if is_dropped else captions[draws.choice_at(self.seed, position, len(captions))]
        worded = self.wording.of(caption, draws.generator(self.seed, "tags", position)) if is_own else caption
        return latents, pool.state_of(view, caption), weight, worded, view.mask


def stack_masks(masks: Sequence[Tensor | None], size: Sequence[int]) -> Tensor | None:
    """The masks of a batch, [B, 1, H, W]; None if no sample has one.

    Args:
        masks: of each sample; None = all of it counts.
        size: H and W.
    """
    if all(mask is None for mask in masks):
        return None
    return torch.stack([torch.ones(1, *size) if mask is None else mask for mask in masks])


def stack_states(states: Sequence[TextState]) -> TextState:
    """Text states of single prompts as one batched state."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}

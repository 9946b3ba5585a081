"""Pictures as a step sees them: encoded beforehand in their middle, or cut anew each time at another place.

Shapes: C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from scumble.data.encode import EncodesPixels, Latents, Moments
from scumble.data.masks import fit_mask
from scumble.data.pictures import fit, read_picture
from scumble.data.scan import Example
from scumble.errors import DataError
from scumble.families.base import Frame, TextState, frame_at
from scumble.train import draws
from scumble.train.cuts import Cut

MOST_DRAWS = 64
MIDDLE = (0.5, 0.5)


@dataclass(frozen=True)
class View:
    """A picture as it is seen once.

    Attributes:
        moments: of its latents.
        frame: what its text state needs besides.
        mask: what of it counts, [1, H, W] in 0..1; None = all.
    """

    moments: Moments
    frame: TextState
    mask: Tensor | None = None


class Views(Protocol):
    """Pictures of one size."""

    @property
    def is_mirrored(self) -> bool:
        """Whether they may be mirrored."""
        ...

    def __len__(self) -> int: ...

    def at(self, index: int, position: int, is_flipped: bool) -> View:
        """A picture as the position of a run sees it; the same for ever."""
        ...


@dataclass(frozen=True)
class EncodedViews:
    """Pictures that were encoded beforehand.

    Attributes:
        latents: of each picture.
        frames: of each picture, what its state needs besides.
        masks: of each picture; () = all of all counts.
        is_mirrored: whether every picture's mirror image was encoded too.
    """

    latents: Sequence[Latents]
    frames: Sequence[TextState]
    masks: Sequence[Tensor | None] = ()
    is_mirrored: bool = False

    def __len__(self) -> int:
        return len(self.latents)

    def at(self, index: int, position: int, is_flipped: bool) -> View:
        """The same at every position."""
        latents, mask = self.latents[index], self.masks[index] if self.masks else None
        moments = latents.mirrored if is_flipped and latents.mirrored is not None else latents.upright
        return View(moments, self.frames[index], mask.flip(-1) if mask is not None and is_flipped else mask)


@dataclass(frozen=True)
class RandomViews:
    """Pictures that are read, cut at a random place and encoded anew at every position.

    Attributes:
        cuts: the pictures, and the size that they are cut to.
        is_mirrored: whether they may be mirrored.
        autoencoder: encodes what was cut.
        device: where it is.
        pixels_per_latent: side of a latent in pixels.
        frame_state: what a text state needs besides for a picture of a frame.
        seed: the run's seed.
    """

    cuts: Sequence[Cut]
    is_mirrored: bool
    autoencoder: EncodesPixels
    device: torch.device
    pixels_per_latent: int
    frame_state: Callable[[Frame], TextState]
    seed: int

    def __len__(self) -> int:
        return len(self.cuts)

    @torch.no_grad()
    def at(self, index: int, position: int, is_flipped: bool) -> View:
        """Another place at every position, one where the picture's mask is not black."""
        example, size = self.cuts[index]
        place, mask = self._place(example, size, position)
        pixels = fit(read_picture(example.path, example.rule), size, place)[None].to(self.device)
        mean, std = self.autoencoder.encode(pixels.flip(-1) if is_flipped else pixels)
        frame = self.frame_state(frame_at(example.size_px, size, place))
        return View(
            Moments(mean[0].cpu(), std[0].cpu()), frame, mask.flip(-1) if mask is not None and is_flipped else mask
        )

    def _place(
        self, example: Example, size: tuple[int, int], position: int
    ) -> tuple[tuple[float, float], Tensor | None]:
        if example.mask is None:
            return draws.place_at(self.seed, position), None
        grey = example.mask.read()
        for attempt in range(MOST_DRAWS):
            place = draws.place_at(self.seed, position, attempt)
            mask = fit_mask(grey, size, self.pixels_per_latent, place)
            if mask.any():
                return place, mask
        raise DataError(
            f"{example.path}: its mask is black in each of {MOST_DRAWS} random cuts of {size[0]} x {size[1]} px: crop the "
            "picture beforehand"
        )


def middle_mask(example: Example, size: tuple[int, int], latent_px: int) -> Tensor | None:
    """The mask of a picture's middle, [1, H, W] in 0..1; None = all counts.

    Raises:
        DataError: nothing would count.
    """
    if example.mask is None:
        return None
    mask = fit_mask(example.mask.read(), size, latent_px)
    if not mask.any():
        raise DataError(
            f"{example.path}: its mask is black in all that is kept of it, {size[0]} x {size[1]} px around its middle: crop the "
            "picture beforehand"
        )
    return mask

"""Pictures to cached latents, captions to cached text states; the models are loaded only where something is missing.

Shapes: C latent channels, H W latent height and width, T tokens, D text width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from scumble.data.cache import TensorCache, content_key
from scumble.data.pictures import fit_square, read_picture
from scumble.data.scan import Example


class EncodesPixels(Protocol):
    """The half of an autoencoder that is needed here."""

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, h, w] in [-1, 1] -> mean and standard deviation, each [B, C, H, W]."""
        ...


class EncodesText(Protocol):
    """The half of a text encoder that is needed here."""

    def encode(self, prompts: Sequence[str], clip_skip: int) -> Sequence[Mapping[str, Tensor]]:
        """One state a prompt."""
        ...


@dataclass(frozen=True)
class Latents:
    """The moments of one picture's latents, upright and mirrored; four tensors [C, H, W], float32."""

    mean: Tensor
    std: Tensor
    mean_flipped: Tensor
    std_flipped: Tensor


def encode_pictures(
    examples: Sequence[Example],
    size_px: int,
    latent_shape: tuple[int, int, int],
    cache: TensorCache,
    autoencoder_hash: str,
    load_autoencoder: Callable[[], EncodesPixels],
    device: torch.device,
) -> Iterator[Latents]:
    """The latents of each picture, in order; both flips, each picture on its own so that no other touches it.

    Args:
        examples: the pictures.
        size_px: side of the training square.
        latent_shape: (C, H, W) that the latents must have.
        cache: where they are kept.
        autoencoder_hash: of the weights that encode.
        load_autoencoder: called once, at the first picture that is not in the cache.
        device: where it encodes.
    """
    loaded: list[EncodesPixels] = []
    shapes = dict.fromkeys(("mean", "std", "mean_flipped", "std_flipped"), latent_shape)
    for example in examples:
        key = content_key({"picture": example.content, "size_px": size_px, "fit": "middle", "vae": autoencoder_hash})

        def make(example: Example = example) -> dict[str, Tensor]:
            if not loaded:
                loaded.append(load_autoencoder())
            pixels = fit_square(read_picture(example.path), size_px)[None].to(device)
            mean, std = _encode(loaded[0], pixels)
            mean_flipped, std_flipped = _encode(loaded[0], pixels.flip(-1))
            return {"mean": mean, "std": std, "mean_flipped": mean_flipped, "std_flipped": std_flipped}

        tensors = cache.get_or_make(key, shapes, make)
        yield Latents(**tensors)


def _encode(autoencoder: EncodesPixels, pixels: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = autoencoder.encode(pixels)
    return mean[0], std[0]


def encode_captions(
    captions: Sequence[str],
    clip_skip: int,
    cache: TensorCache,
    shapes: Mapping[str, Sequence[int]],
    encoder_hash: str,
    load_encoder: Callable[[], EncodesText],
) -> dict[str, dict[str, Tensor]]:
    """Caption -> its text state, each distinct caption once.

    Args:
        captions: any number, repeated or not.
        clip_skip: as the WebUI counts, 1 = last layer.
        cache: where they are kept.
        shapes: name -> shape of each tensor of a state.
        encoder_hash: of the weights that encode.
        load_encoder: called once, at the first caption that is not in the cache.
    """
    loaded: list[EncodesText] = []
    states: dict[str, dict[str, Tensor]] = {}
    for caption in dict.fromkeys(captions):
        key = content_key({"caption": caption, "clip_skip": clip_skip, "text_encoder": encoder_hash})

        def make(caption: str = caption) -> Mapping[str, Tensor]:
            if not loaded:
                loaded.append(load_encoder())
            return loaded[0].encode([caption], clip_skip)[0]

        states[caption] = cache.get_or_make(key, shapes, make)
    return states

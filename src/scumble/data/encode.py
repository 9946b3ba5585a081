"""Pictures to cached latents, captions to cached text states; the models are loaded only where something is missing.

Shapes: C latent channels, H W latent height and width, T tokens, D text width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from scumble.data.buckets import Size
from scumble.data.cache import Key, TensorCache, content_key
from scumble.data.pictures import fit, read_picture
from scumble.data.scan import Example

COMPUTED_IN = "float32"
"""Precision of the autoencoder and the text encoder, whatever the denoiser's is."""


class EncodesPixels(Protocol):
    """The half of an autoencoder that is needed here."""

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, h, w] in [-1, 1] -> mean and standard deviation, each [B, C, H, W]."""
        ...


class EncodesText(Protocol):
    """The half of a text encoder that is needed here."""

    def encode(self, prompts: Sequence[str], clip_skip: int, num_chunks: int) -> Sequence[Mapping[str, Tensor]]:
        """One state of so many chunks a prompt."""
        ...


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of one picture's latents, each [C, H, W], float32."""

    mean: Tensor
    std: Tensor

    @property
    def nbytes(self) -> int:
        """Of both."""
        return self.mean.nbytes + self.std.nbytes


@dataclass(frozen=True)
class Latents:
    """One picture's latents: upright, and mirrored where mirroring was asked for."""

    upright: Moments
    mirrored: Moments | None

    @property
    def nbytes(self) -> int:
        """Of all its numbers."""
        return self.upright.nbytes + (0 if self.mirrored is None else self.mirrored.nbytes)


@dataclass(frozen=True)
class PictureEncoder:
    """Pictures to latents, through the cache.

    Attributes:
        channels: of the latents.
        pixels_per_latent: side of a latent in pixels.
        is_mirrored: encode the mirror image too.
        cache: where they are kept.
        autoencoder_hash: of the weights that encode.
        load_autoencoder: called once, at the first picture that is not in the cache.
        device: where it encodes.
    """

    channels: int
    pixels_per_latent: int
    is_mirrored: bool
    cache: TensorCache
    autoencoder_hash: str
    load_autoencoder: Callable[[], EncodesPixels]
    device: torch.device

    def encode(self, cuts: Sequence[tuple[Example, Size]]) -> Iterator[Latents]:
        """The latents of pictures, in order; each picture on its own, so that no other touches it.

        Args:
            cuts: pictures, and the size that each is cut to.
        """
        loaded: list[EncodesPixels] = []
        for example, size_px in cuts:
            mirrored = self._moments(example, size_px, True, loaded) if self.is_mirrored else None
            yield Latents(self._moments(example, size_px, False, loaded), mirrored)

    def is_kept(self, example: Example, size_px: Size) -> bool:
        """Whether the cache has a picture's latents already."""
        sides = (False, True) if self.is_mirrored else (False,)
        return all(self.cache.path(self._key(example, size_px, mirrored)).exists() for mirrored in sides)

    def _key(self, example: Example, size_px: Size, is_mirrored: bool) -> Key:
        ingredients: dict[str, str | int | float] = {
            "picture": example.content,
            "size_px": f"{size_px[0]}x{size_px[1]}",
            "background": "#{:02x}{:02x}{:02x}".format(*example.rule.background),
            "first_frame": example.rule.first_frame,
            "fit": "middle",
            "mirrored": is_mirrored,
            "vae": self.autoencoder_hash,
            "computed_in": COMPUTED_IN,
        }
        return content_key("latents", ingredients)

    def _moments(self, example: Example, size_px: Size, is_mirrored: bool, loaded: list[EncodesPixels]) -> Moments:
        def make() -> dict[str, Tensor]:
            if not loaded:
                loaded.append(self.load_autoencoder())
            pixels = fit(read_picture(example.path, example.rule), size_px)[None].to(self.device)
            mean, std = loaded[0].encode(pixels.flip(-1) if is_mirrored else pixels)
            return {"mean": mean[0], "std": std[0]}

        width, height = (side // self.pixels_per_latent for side in size_px)
        shapes = dict.fromkeys(("mean", "std"), (self.channels, height, width))
        return Moments(**self.cache.get_or_make(self._key(example, size_px, is_mirrored), shapes, make))


def encode_captions(
    captions: Sequence[str],
    clip_skip: int,
    cache: TensorCache,
    shapes: Mapping[str, Sequence[int]],
    encoder_hash: str,
    load_encoder: Callable[[], EncodesText],
    num_chunks: int = 1,
) -> dict[str, dict[str, Tensor]]:
    """Caption -> its text state, each distinct caption once; see `each_caption`."""
    return dict(each_caption(captions, clip_skip, cache, shapes, encoder_hash, load_encoder, num_chunks))


def caption_key(caption: str, clip_skip: int, num_chunks: int, encoder_hash: str) -> Key:
    """What a caption's text state is known by in the cache."""
    ingredients: dict[str, str | int | float] = {
        "caption": caption,
        "clip_skip": clip_skip,
        "num_chunks": num_chunks,
        "text_encoder": encoder_hash,
        "computed_in": COMPUTED_IN,
    }
    return content_key("text", ingredients)


def each_caption(
    captions: Sequence[str],
    clip_skip: int,
    cache: TensorCache,
    shapes: Mapping[str, Sequence[int]],
    encoder_hash: str,
    load_encoder: Callable[[], EncodesText],
    num_chunks: int = 1,
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each distinct caption with its text state, in order.

    Args:
        captions: any number, repeated or not.
        clip_skip: as the WebUI counts, 1 = last layer.
        cache: where they are kept.
        shapes: name -> shape of each tensor of a state.
        encoder_hash: of the weights that encode.
        load_encoder: called once, at the first caption that is not in the cache.
        num_chunks: chunks of every state.
    """
    loaded: list[EncodesText] = []
    for caption in dict.fromkeys(captions):

        def make(caption: str = caption) -> Mapping[str, Tensor]:
            if not loaded:
                loaded.append(load_encoder())
            with torch.no_grad():
                return loaded[0].encode([caption], clip_skip, num_chunks)[0]

        yield caption, cache.get_or_make(caption_key(caption, clip_skip, num_chunks, encoder_hash), shapes, make)

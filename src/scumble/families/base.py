"""What a model family answers. The only thing that the rest of the program knows about a base model.

Shapes: B batch, C latent channels, H W latent height and width, T tokens, D text width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.errors import ConfigError
from scumble.families.chunks import Prompt
from scumble.families.new_words import NewWords
from scumble.families.outline import Outline

PredictionType = Literal["epsilon", "v_prediction"]
TextState = Mapping[str, Tensor]
"""What the denoiser needs to know of one prompt: named tensors without a batch dimension."""


@dataclass(frozen=True)
class Advice:
    """What is advised for working with a base: by its author in the file scumble.json beside the weights, or by a preset.

    Attributes:
        learning_rate: peak learning rate of a LoRA; None = no advice.
        guidance_scale: of drawing.
        clip_skip: as the WebUI counts, 1 = last layer.
        captions: in words, how captions and prompts are written; None = no advice.
    """

    learning_rate: float | None = None
    guidance_scale: float = 7.0
    clip_skip: int = 1
    captions: str | None = None


@dataclass(frozen=True)
class Frame:
    """How a training picture was cut: what SDXL is told beside the prompt (Podell et al. 2023, arXiv:2307.01952, 2.2).

    Attributes:
        original_px: width and height of the picture before anything was done to it.
        crop_px: left and top of the crop, counted in the resized picture.
        target_px: width and height of what is trained on.
    """

    original_px: tuple[int, int]
    crop_px: tuple[int, int]
    target_px: tuple[int, int]

    @classmethod
    def whole(cls, width: int, height: int) -> Self:
        """Of a picture that was neither resized nor cropped."""
        return cls((width, height), (0, 0), (width, height))


def frame_at(
    original_px: tuple[int, int], target_px: tuple[int, int], place: tuple[float, float] = (0.5, 0.5)
) -> Frame:
    """The frame of a picture that was resized until it covers the target, and cropped.

    Args:
        original_px: width and height of the picture.
        target_px: width and height of the crop.
        place: of the crop, 0 = left or top, 1 = right or bottom; the middle if it is not said.
    """
    scale = max(target / original for target, original in zip(target_px, original_px, strict=True))
    left, top = (
        round((original * scale - target) * at)
        for original, target, at in zip(original_px, target_px, place, strict=True)
    )
    return Frame(original_px, (left, top), target_px)


@dataclass(frozen=True)
class FileIdentity:
    """How LoRA files name the family they are for.

    Attributes:
        base_version: kohya's ss_base_model_version.
        is_v2: kohya's ss_v2.
        architecture: ModelSpec's architecture of a LoRA for it.
        implementation: ModelSpec's implementation.
    """

    base_version: str
    is_v2: bool
    architecture: str
    implementation: str = "diffusers"


class Autoencoder(Protocol):
    """Pixels to latents and back. Pixels are in [-1, 1], latents are scaled as the denoiser expects them.

    Attributes:
        model: the loaded module.
    """

    @property
    def model(self) -> nn.Module: ...

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents: [B, 3, h, w] -> two of [B, C, H, W], float32."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, H, W] -> pixels [B, 3, h, w], float32."""
        ...


class TextEncoder(Protocol):
    """Prompts to text states.

    Attributes:
        modules: model part -> the loaded text model: what a LoRA's text layers are put on.
        words: what it reads besides its vocabulary.
    """

    modules: Mapping[str, nn.Module]
    words: NewWords

    def encode(self, prompts: Sequence[Prompt], clip_skip: int, num_chunks: int = 1) -> list[TextState]:
        """One state a prompt, with gradients where they are enabled.

        Args:
            prompts: plain texts, or weighted words.
            clip_skip: as the WebUI counts, 1 = the last layer; a family may begin later.
            num_chunks: chunks of every state; shorter prompts get empty ones, what is beyond is cut off.
        """
        ...

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        ...

    def count_chunks(self, prompt: Prompt) -> int:
        """Chunks that the prompt needs, at least one."""
        ...

    def first_vectors(self, text: str, num_vectors: int) -> Mapping[str, Tensor]:
        """Vectors for a new word to start from, those of a text's tokens: model part -> [vectors, width], float32."""
        ...


class BaseModel(Protocol):
    """An opened base model: small facts at once, heavy parts when asked for.

    Attributes:
        name: as the person named it, after known old names were replaced.
        path: the pipeline folder or checkpoint file on the disk.
        family: the plug-in's name.
        resolution: the side in pixels it was made for.
        pixels_per_latent: how many pixels a latent is wide.
        latent_channels: C.
        text_layers: layers of the text encoder; clip_skip counts back through them.
        max_tokens: prompt tokens that the text encoder sees at once, without start and end: those of a chunk.
        prediction_type: what its denoiser predicts.
        zero_terminal_snr: whether its noise schedule ends in pure noise (Lin et al. 2023, arXiv:2305.08891).
        is_told_guidance: its denoiser was distilled to hear the guidance scale (Luo et al. 2023, arXiv:2310.04378).
        is_tiled: its autoencoder works in tiles.
        chosen_vae: the autoencoder that the person chose instead of its own, or "".
        advice: what its author or the chosen preset advises.
        notes: what the person should know about how the base was found.
    """

    name: str
    advice: Advice
    notes: Sequence[str]

    @property
    def path(self) -> Path: ...
    @property
    def family(self) -> str: ...
    @property
    def resolution(self) -> int: ...
    @property
    def pixels_per_latent(self) -> int: ...
    @property
    def latent_channels(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def text_layers(self) -> int: ...
    @property
    def prediction_type(self) -> PredictionType: ...
    @property
    def zero_terminal_snr(self) -> bool: ...
    @property
    def is_told_guidance(self) -> bool: ...
    @property
    def is_tiled(self) -> bool: ...
    @property
    def chosen_vae(self) -> str: ...

    def advised(self, advice: Advice, resolution: int, note: str) -> Self:
        """The same base with other advice and another resolution, and a note that says so."""
        ...

    @property
    def tile_px(self) -> int:
        """The side in pixels of the tiles that `with_tiles` works in."""
        ...

    def with_tiles(self) -> Self:
        """The same base, whose autoencoder works on larger pictures in overlapping tiles: less memory, and slightly other
        pixels and latents, so its hash is another one.
        """
        ...

    def load_denoiser(self, dtype: torch.dtype, device: torch.device) -> nn.Module:
        """The frozen denoiser, in eval mode, no parameter requiring a gradient."""
        ...

    def empty_denoiser(self) -> nn.Module:
        """The denoiser's modules without numbers (meta device): for paths, shapes and counts."""
        ...

    def outline(self) -> Outline:
        """The layers that a LoRA may change, and how many numbers the denoiser has: sooner had than the empty denoiser."""
        ...

    def load_autoencoder(self, device: torch.device) -> Autoencoder:
        """The autoencoder, frozen, in float32."""
        ...

    def load_text_encoder(self, device: torch.device) -> TextEncoder:
        """The tokenizer(s) and text encoder(s), frozen, in float32."""
        ...

    def text_shapes(self, num_chunks: int = 1) -> Mapping[str, Sequence[int]]:
        """Shape of each tensor that the text encoder puts into a state of so many chunks."""
        ...

    def frame_state(self, frame: Frame) -> TextState:
        """What a state needs besides for a picture of this frame; {} where the family does not ask."""
        ...

    def without_prompt(self, empty: TextState) -> TextState:
        """What guidance steers away from where nothing is named, given the state of the empty prompt."""
        ...

    def layer_paths(self) -> Mapping[str, Sequence[str]]:
        """Model part -> dotted paths of its layers in canonical names, as files know them."""
        ...

    def module_path(self, part: str, canonical: str, module: nn.Module) -> str:
        """Where a canonical layer path lies in the loaded module: libraries rename modules, files do not."""
        ...

    def noise_schedule(self) -> Tensor:
        """alpha-bar of each training timestep: [timesteps], float32, falling from near 1 to near 0, or to 0."""
        ...

    def predict(
        self,
        denoiser: nn.Module,
        noisy: Tensor,
        timesteps: Tensor,
        text: TextState,
        guidance_scale: float | None = None,
    ) -> Tensor:
        """The denoiser's output [B, C, H, W] for noisy latents, timesteps [B] and a batched text state.

        A state without what `frame_state` adds is taken as that of whole pictures of the latents' size. The guidance scale
        is for a denoiser that is told it; None = as it was trained before that.
        """
        ...

    def scheduler_config(self) -> Mapping[str, Any]:
        """The base's own scheduler settings, from which every sampler is made."""
        ...

    def hashes(self) -> Mapping[str, str]:
        """Model part -> hash that changes when its weights do: part of every cache key."""
        ...

    def file_identity(self) -> FileIdentity:
        """How LoRA files name this family."""
        ...


def check_clip_skip(base: BaseModel, clip_skip: int) -> None:
    """Raise if there are fewer layers than clip_skip counts.

    Raises:
        ConfigError: clip_skip is larger than the number of the text encoder's layers.
    """
    if clip_skip > base.text_layers:
        raise ConfigError(f"clip_skip={clip_skip}: the text encoder of {base.name} has {base.text_layers} layers")


def pixels_to_image(pixels_CHW: Tensor) -> Image.Image:
    """Pixels in [-1, 1], [3, h, w], as a picture."""
    bytes_HWC = ((pixels_CHW.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(bytes_HWC)

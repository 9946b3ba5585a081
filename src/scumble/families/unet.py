"""A base that denoises latents with diffusers' UNet: what Stable Diffusion 1.x, 2.x and SDXL have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from scumble.errors import BaseModelError
from scumble.families.base import Advice, FileIdentity, Frame, PredictionType, TextEncoder, TextState
from scumble.families.clip import text_module_path
from scumble.families.kl import KlAutoencoder
from scumble.families.noising import alphas_cumprod
from scumble.families.outline import Outline
from scumble.families.parts import Parts
from scumble.families.shapes import Configs, empty_unet, layer_paths, layer_shapes, outline_of
from scumble.families.vae import Vae


class UnetKind(Protocol):
    """What sets one of these families apart.

    Attributes:
        family: the plug-in's name.
        text_parts: its text encoders, each with the tokenizer beside it.
    """

    @property
    def family(self) -> str: ...
    @property
    def text_parts(self) -> Mapping[str, str]: ...

    def load_text_encoder(self, parts: Parts, device: torch.device) -> TextEncoder:
        """The text encoders with their tokenizers, frozen, in float32."""
        ...

    def text_shapes(self, configs: Configs, num_chunks: int) -> Mapping[str, Sequence[int]]:
        """Shape of each tensor of a text state, from the settings of the text parts."""
        ...

    def frame_state(self, frame: Frame) -> TextState:
        """As of the protocol BaseModel."""
        ...

    def without_prompt(self, empty: TextState) -> TextState:
        """As of the protocol BaseModel."""
        ...

    def conditioning(self, text: TextState, size_px: tuple[int, int]) -> dict[str, Any]:
        """What the UNet is given beside latents, timesteps and hidden states.

        Args:
            text: batched text state.
            size_px: width and height of the pictures.
        """
        ...

    def file_identity(self, prediction_type: PredictionType) -> FileIdentity:
        """How LoRA files name this family."""
        ...


@dataclass
class UnetBase:
    """An opened base; see families/base.py for what each member answers.

    Attributes:
        kind: the family.
        parts: where its parts lie.
        vae: the autoencoder, its own or another.
        scheduler: the scheduler's settings, with what was found out or overruled.
        configs: settings of the unet and of each text encoder.
    """

    name: str
    kind: UnetKind
    parts: Parts
    vae: Vae
    scheduler: Mapping[str, Any]
    configs: Configs
    resolution: int
    advice: Advice
    notes: Sequence[str]

    @property
    def path(self) -> Path:
        return self.parts.path

    @property
    def family(self) -> str:
        return self.kind.family

    @property
    def pixels_per_latent(self) -> int:
        return self.vae.pixels_per_latent

    @property
    def latent_channels(self) -> int:
        return int(self.configs["unet"]["in_channels"])

    @property
    def max_tokens(self) -> int:
        return min(int(config["max_position_embeddings"]) for config in self._text_configs) - 2

    @property
    def text_layers(self) -> int:
        return min(int(config["num_hidden_layers"]) for config in self._text_configs)

    @property
    def prediction_type(self) -> PredictionType:
        found = self.scheduler.get("prediction_type", "epsilon")
        if found == "epsilon" or found == "v_prediction":
            kind: PredictionType = found
            return kind
        raise BaseModelError(
            f"base {self.name}: its scheduler says prediction_type '{found}', expected epsilon or v_prediction"
        )

    @property
    def zero_terminal_snr(self) -> bool:
        return bool(self.scheduler.get("rescale_betas_zero_snr", False))

    def advised(self, advice: Advice, resolution: int, note: str) -> Self:
        return replace(self, advice=advice, resolution=resolution, notes=[*self.notes, note])

    @property
    def tile_px(self) -> int:
        return self.vae.tile_px

    @property
    def is_tiled(self) -> bool:
        return self.vae.is_tiled

    @property
    def chosen_vae(self) -> str:
        return self.vae.chosen

    def with_tiles(self) -> Self:
        return replace(self, vae=self.vae.tiled())

    def load_denoiser(self, dtype: torch.dtype, device: torch.device) -> nn.Module:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        denoiser: nn.Module = self.parts.load("unet", UNet2DConditionModel, dtype, device)
        return denoiser

    def empty_denoiser(self) -> nn.Module:
        return empty_unet(self.configs["unet"])

    def outline(self) -> Outline:
        return outline_of(self.configs)

    def load_autoencoder(self, device: torch.device) -> KlAutoencoder:
        return self.vae.load(device)

    def load_text_encoder(self, device: torch.device) -> TextEncoder:
        return self.kind.load_text_encoder(self.parts, device)

    def text_shapes(self, num_chunks: int = 1) -> Mapping[str, Sequence[int]]:
        return self.kind.text_shapes(self.configs, num_chunks)

    def frame_state(self, frame: Frame) -> TextState:
        return self.kind.frame_state(frame)

    def without_prompt(self, empty: TextState) -> TextState:
        return self.kind.without_prompt(empty)

    def layer_paths(self) -> Mapping[str, Sequence[str]]:
        return self._layer_paths

    @cached_property
    def _layer_paths(self) -> Mapping[str, Sequence[str]]:
        """Made once: a change of LoRAs asks again."""
        return layer_paths(layer_shapes(self.configs))

    def module_path(self, part: str, canonical: str, module: nn.Module) -> str:
        return canonical if part == "unet" else text_module_path(canonical, module)

    def noise_schedule(self) -> Tensor:
        return alphas_cumprod(self.scheduler)

    @property
    def is_told_guidance(self) -> bool:
        return self.configs["unet"].get("time_cond_proj_dim") is not None

    def predict(
        self,
        denoiser: nn.Module,
        noisy: Tensor,
        timesteps: Tensor,
        text: TextState,
        guidance_scale: float | None = None,
    ) -> Tensor:
        height, width = (side * self.pixels_per_latent for side in noisy.shape[-2:])
        hidden = text["hidden"].to(noisy.dtype)
        conditioning = self.kind.conditioning(text, (width, height))
        if guidance_scale is not None:
            told = guidance_embedding(guidance_scale, int(self.configs["unet"]["time_cond_proj_dim"]))
            conditioning["timestep_cond"] = told.to(noisy).expand(len(noisy), -1)
        output: Tensor = denoiser(noisy, timesteps, hidden, return_dict=False, **conditioning)[0]
        return output

    def scheduler_config(self) -> Mapping[str, Any]:
        return self.scheduler

    @cached_property
    def _hashes(self) -> Mapping[str, str]:
        texts = [place for pair in self.kind.text_parts.items() for place in reversed(pair)]
        return {"vae": self.vae.digest(), "text_encoder": self.parts.digest(texts)}

    def hashes(self) -> Mapping[str, str]:
        return self._hashes

    def file_identity(self) -> FileIdentity:
        return self.kind.file_identity(self.prediction_type)

    @property
    def _text_configs(self) -> list[Mapping[str, Any]]:
        return [self.configs[part] for part in self.kind.text_parts]


def guidance_embedding(guidance_scale: float, width: int) -> Tensor:
    """What a distilled denoiser hears of the guidance scale: sines, then cosines of (scale - 1) * 1000 at falling
    frequencies, [width], float32 (Meng et al. 2023, arXiv:2210.03142; width even).
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * -(math.log(10000.0) / (half - 1)))
    angles = (guidance_scale - 1) * 1000.0 * frequencies
    return torch.cat([torch.sin(angles), torch.cos(angles)])

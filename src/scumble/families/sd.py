"""Stable Diffusion 1.x and 2.x, and every pipeline folder built of the same parts, whatever its size."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from scumble.errors import BaseModelError, nearest
from scumble.families.base import Advice, FileIdentity, PredictionType, TextState
from scumble.families.clip import ClipText, canonical_text_paths, text_module_path

PIPELINE_CLASSES = ("StableDiffusionPipeline",)
ADVICE_FILE = "scumble.json"
DENOISER_WEIGHTS = "diffusion_pytorch_model"


class KlAutoencoder:
    """AutoencoderKL with its scaling: what goes in and comes out is what the denoiser works on."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.scale: float = model.config.scaling_factor

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents: [B, 3, h, w] -> two of [B, C, H, W]."""
        posterior = self.model.encode(pixels).latent_dist
        return posterior.mean * self.scale, posterior.std * self.scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, H, W] -> pixels [B, 3, h, w]."""
        pixels: Tensor = self.model.decode(latents.float() / self.scale).sample
        return pixels


@dataclass
class StableDiffusion:
    """An opened pipeline folder; see families/base.py for what each member answers."""

    name: str
    folder: Path
    variant: str | None
    notes: Sequence[str]
    advice: Advice
    scheduler: Mapping[str, Any]
    config: Mapping[str, Any]
    vae_config: Mapping[str, Any]
    text_config: Mapping[str, Any]
    family: str = field(default="sd", init=False)

    @property
    def pixels_per_latent(self) -> int:
        return int(2 ** (len(self.vae_config["block_out_channels"]) - 1))

    @property
    def resolution(self) -> int:
        return int(self.config["sample_size"]) * self.pixels_per_latent

    @property
    def latent_channels(self) -> int:
        return int(self.config["in_channels"])

    @property
    def max_tokens(self) -> int:
        return int(self.text_config["max_position_embeddings"]) - 2

    @property
    def text_layers(self) -> int:
        return int(self.text_config["num_hidden_layers"])

    @property
    def prediction_type(self) -> PredictionType:
        return "v_prediction" if self.scheduler.get("prediction_type") == "v_prediction" else "epsilon"

    @property
    def second_generation(self) -> bool:
        """SD 2.x: an OpenCLIP text encoder, 1024 wide."""
        return int(self.config["cross_attention_dim"]) == 1024

    def load_denoiser(self, dtype: torch.dtype, device: torch.device) -> nn.Module:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        denoiser: nn.Module = self._load(UNet2DConditionModel, "unet", dtype, device)
        return denoiser

    def empty_denoiser(self) -> nn.Module:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        with torch.device("meta"):
            denoiser: nn.Module = UNet2DConditionModel.from_config(self.config)
        return denoiser

    def load_autoencoder(self, device: torch.device) -> KlAutoencoder:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        return KlAutoencoder(self._load(AutoencoderKL, "vae", torch.float32, device))

    def load_text_encoder(self, device: torch.device) -> ClipText:
        from transformers import CLIPTextModel, CLIPTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        model = self._load(CLIPTextModel, "text_encoder", torch.float32, device)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(self.folder / "tokenizer")
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise BaseModelError(f"base {self.name}: cannot read {self.folder / 'tokenizer'}: {reason}") from error
        return ClipText(tokenizer, model, self.max_tokens)

    def text_shapes(self) -> Mapping[str, Sequence[int]]:
        return {"hidden": (self.max_tokens + 2, int(self.text_config["hidden_size"]))}

    def layer_paths(self) -> Mapping[str, Sequence[str]]:
        denoiser = self.empty_denoiser()
        unet = [path for path, layer in denoiser.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        return {"unet": unet, "text_encoder": canonical_text_paths(int(self.text_config["num_hidden_layers"]))}

    def module_path(self, part: str, canonical: str, module: nn.Module) -> str:
        return canonical if part == "unet" else text_module_path(canonical, module)

    def noise_schedule(self) -> Tensor:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        schedule: Tensor = DDPMScheduler.from_config(dict(self.scheduler)).alphas_cumprod
        return schedule.float()

    def predict(self, denoiser: nn.Module, noisy: Tensor, timesteps: Tensor, text: TextState) -> Tensor:
        output: Tensor = denoiser(noisy, timesteps, text["hidden"].to(noisy.dtype), return_dict=False)[0]
        return output

    def pipeline(self, denoiser: nn.Module, scheduler: Any) -> Any:
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline(
            vae=None,
            text_encoder=None,
            tokenizer=None,
            unet=denoiser,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.vae_scale_factor = self.pixels_per_latent
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def pipeline_inputs(self, positive: Sequence[TextState], negative: Sequence[TextState]) -> dict[str, Tensor]:
        return {
            "prompt_embeds": torch.stack([state["hidden"] for state in positive]),
            "negative_prompt_embeds": torch.stack([state["hidden"] for state in negative]),
        }

    def scheduler_config(self) -> Mapping[str, Any]:
        return self.scheduler

    @cached_property
    def _hashes(self) -> Mapping[str, str]:
        parts = {"vae": ("vae",), "text_encoder": ("tokenizer", "text_encoder")}
        return {
            part: _hash_folders([self.folder / place for place in places], self.variant or "")
            for part, places in parts.items()
        }

    def hashes(self) -> Mapping[str, str]:
        return self._hashes

    def file_identity(self) -> FileIdentity:
        generation = "v2" if self.second_generation else "v1"
        if self.second_generation and self.prediction_type == "v_prediction":
            return FileIdentity("sd_v2_v", True, "stable-diffusion-v2-768-v/lora")
        architecture = "stable-diffusion-v2-512" if self.second_generation else "stable-diffusion-v1"
        return FileIdentity(f"sd_{generation}", self.second_generation, f"{architecture}/lora")

    def _load(self, model_class: Any, part: str, dtype: torch.dtype, device: torch.device) -> Any:
        """A part of the pipeline, frozen. float16 files become the dtype asked for; pickles are never read."""
        folder = self.folder / part
        try:
            model, report = model_class.from_pretrained(
                folder, torch_dtype=dtype, variant=self.variant, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")):
                reason = (
                    "its weights are a pickle (.bin), which can run code and is never read: convert it to .safetensors"
                )
            raise BaseModelError(f"base {self.name}: cannot load {folder}: {reason}") from error
        missing = sorted(report["missing_keys"])
        if missing:  # the libraries would make them up
            raise BaseModelError(
                f"base {self.name}: {folder} lacks {len(missing)} of its weights, first {missing[0]}: get it again"
            )
        return model.to(device).requires_grad_(False).eval()


def open_folder(
    name: str, folder: Path, variant: str | None, prediction_type: PredictionType | None, notes: Sequence[str]
) -> StableDiffusion:
    """Read the small files of a pipeline folder.

    Raises:
        BaseModelError: one is missing or not JSON.
    """
    if not (folder / "tokenizer").is_dir():
        raise BaseModelError(f"base {name}: {folder} has no tokenizer folder, so it is not a whole pipeline folder")
    places = {
        "scheduler": "scheduler/scheduler_config.json",
        "config": "unet/config.json",
        "vae_config": "vae/config.json",
        "text_config": "text_encoder/config.json",
    }
    configs = {key: _read_json(folder / place, name) for key, place in places.items()}
    if prediction_type is not None:
        configs["scheduler"]["prediction_type"] = prediction_type
    advice = folder / ADVICE_FILE
    return StableDiffusion(
        name=name,
        folder=folder,
        variant=variant,
        notes=notes,
        advice=_read_advice(advice, name) if advice.is_file() else Advice(),
        **configs,
    )


def _read_advice(path: Path, name: str) -> Advice:
    values = _read_json(path, name)
    known = {field.name for field in fields(Advice)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise BaseModelError(f"base {name}: {path} advises on '{unknown[0]}'{nearest(unknown[0], known)}")
    return Advice(**values)


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaseModelError(f"base {name}: cannot read {path}: {error}") from None
    return values


def _hash_folders(folders: Sequence[Path], variant: str) -> str:
    """SHA-256 over the names and bytes of a part's files, and which variant of them is read."""
    digest = hashlib.sha256(variant.encode())
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if path.suffix in {".json", ".safetensors", ".txt"}:
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

"""SDXL (Podell et al. 2023, arXiv:2307.01952): two text encoders, a pooled state, and how each picture was cut; 1024 px.

Shapes: B batch, P width of the pooled state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from scumble.families.base import BaseModel, FileIdentity, Frame, PredictionType, TextState
from scumble.families.checkpoint import CheckpointParts, Header, shipped_configs
from scumble.families.clip import Clip, ClipPair
from scumble.families.convert import UNET, VAE, Stored, clip_weights, open_clip_weights
from scumble.families.folder import FolderParts
from scumble.families.new_words import NewWords
from scumble.families.opening import Choices, open_unet_checkpoint, open_unet_folder
from scumble.families.parts import Parts, read_json
from scumble.families.shapes import Configs

FAMILY = "sdxl"
PIPELINE_CLASSES = ("StableDiffusionXLPipeline",)
LAYOUT = {
    "unet": UNET,
    "vae": VAE,
    "text_encoder": Stored("conditioner.embedders.0.transformer.", clip_weights),
    "text_encoder_2": Stored("conditioner.embedders.1.model.", open_clip_weights),
}
PAD_TOKENS = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}


@dataclass(frozen=True)
class TwoEncoders:
    """What sets SDXL apart; see families/unet.py.

    Attributes:
        zeros_without_prompt: guidance steers away from zeros, not from the empty prompt, where nothing is named.
    """

    zeros_without_prompt: bool = True
    family: str = field(default=FAMILY, init=False)
    text_parts: Mapping[str, str] = field(
        default_factory=lambda: {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}, init=False
    )

    def load_text_encoder(self, parts: Parts, device: torch.device) -> ClipPair:
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        classes = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
        clips, words = [], NewWords()
        for part, tokenizer in self.text_parts.items():
            model = parts.load(part, classes[part], torch.float32, device)
            room = int(model.config.max_position_embeddings) - 2
            clips.append(Clip(parts.tokenizer(tokenizer, PAD_TOKENS[tokenizer]), model, room, part, words))
        return ClipPair(*clips)

    def text_shapes(self, configs: Configs, num_chunks: int) -> Mapping[str, Sequence[int]]:
        first, second = (configs[part] for part in self.text_parts)
        width = int(first["hidden_size"]) + int(second["hidden_size"])
        length = num_chunks * int(first["max_position_embeddings"])
        return {"hidden": (length, width), "pooled": (int(second["projection_dim"]),)}

    def frame_state(self, frame: Frame) -> TextState:
        """{"time_ids": [6]}: height before width, top before left."""
        (width, height), (left, top), (target_width, target_height) = frame.original_px, frame.crop_px, frame.target_px
        return {"time_ids": torch.tensor([height, width, top, left, target_height, target_width], dtype=torch.float32)}

    def without_prompt(self, empty: TextState) -> TextState:
        if not self.zeros_without_prompt:
            return empty
        return {name: torch.zeros_like(tensor) for name, tensor in empty.items()}

    def conditioning(self, text: TextState, size_px: tuple[int, int]) -> dict[str, Any]:
        pooled = text["pooled"]
        time_ids = text.get("time_ids")
        if time_ids is None:
            time_ids = self.frame_state(Frame.whole(*size_px))["time_ids"].to(pooled.device).repeat(len(pooled), 1)
        return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids}}

    def file_identity(self, prediction_type: PredictionType) -> FileIdentity:
        return FileIdentity(
            "sdxl_base_v1-0",
            False,
            "stable-diffusion-xl-v1-base/lora",
            "https://github.com/Stability-AI/generative-models",
        )


KIND = TwoEncoders()


def opens_folder(parts: FolderParts) -> bool:
    """Whether there are two text encoders: SDXL's refiner has one."""
    return (parts.path / "text_encoder").is_dir() and (parts.path / "text_encoder_2").is_dir()


def open_folder(parts: FolderParts, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A pipeline folder."""
    index = read_json(parts.path / "model_index.json", parts.name)
    kind = TwoEncoders(bool(index.get("force_zeros_for_empty_prompt", True)))
    return open_unet_folder(kind, parts, choices, notes)


def opens_checkpoint(header: Header) -> bool:
    """Whether the file holds both text encoders."""
    return header.has(LAYOUT["text_encoder"].prefix) and header.has(LAYOUT["text_encoder_2"].prefix)


def open_checkpoint(header: Header, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A checkpoint file; some of its descendants predict v."""
    parts = CheckpointParts(header, LAYOUT, shipped_configs(FAMILY))
    sides: dict[PredictionType, int] = {"epsilon": 1024, "v_prediction": 1024}
    return open_unet_checkpoint(KIND, parts, choices, notes, sides, unmarked=None)

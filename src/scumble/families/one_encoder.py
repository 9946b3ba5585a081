"""The families with one text encoder, Stable Diffusion 1.x and 2.x: the same UNet call, the same pipeline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from scumble.families.base import FileIdentity, Frame, PredictionType, TextState
from scumble.families.clip import Clip, ClipText
from scumble.families.parts import Parts
from scumble.families.shapes import Configs

PIPELINE_CLASSES = ("StableDiffusionPipeline",)


@dataclass(frozen=True)
class OneEncoder:
    """A family that hears of the prompt through one CLIP text model.

    Attributes:
        family: the plug-in's name.
        pad_token: what fills a prompt up.
        identity: prediction type -> how LoRA files name the family.
    """

    family: str
    pad_token: str
    identity: Callable[[PredictionType], FileIdentity]
    text_parts: Mapping[str, str] = field(default_factory=lambda: {"text_encoder": "tokenizer"}, init=False)

    def load_text_encoder(self, parts: Parts, device: torch.device) -> ClipText:
        from transformers import CLIPTextModel

        model = parts.load("text_encoder", CLIPTextModel, torch.float32, device)
        tokenizer = parts.tokenizer("tokenizer", self.pad_token)
        return ClipText(Clip(tokenizer, model, int(model.config.max_position_embeddings) - 2))

    def text_shapes(self, configs: Configs, num_chunks: int) -> Mapping[str, Sequence[int]]:
        config = configs["text_encoder"]
        return {"hidden": (num_chunks * int(config["max_position_embeddings"]), int(config["hidden_size"]))}

    def frame_state(self, frame: Frame) -> TextState:
        return {}

    def without_prompt(self, empty: TextState) -> TextState:
        return empty

    def conditioning(self, text: TextState, size_px: tuple[int, int]) -> dict[str, Any]:
        return {}

    def file_identity(self, prediction_type: PredictionType) -> FileIdentity:
        return self.identity(prediction_type)

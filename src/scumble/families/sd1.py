"""Stable Diffusion 1.x, and every folder built of the same parts, whatever its size: OpenAI's CLIP, 512 px."""

from collections.abc import Sequence

from scumble.families.base import BaseModel, FileIdentity, PredictionType
from scumble.families.checkpoint import CheckpointParts, Header, shipped_configs
from scumble.families.convert import UNET, VAE, Stored, clip_weights
from scumble.families.folder import FolderParts
from scumble.families.one_encoder import PIPELINE_CLASSES as PIPELINE_CLASSES
from scumble.families.one_encoder import OneEncoder
from scumble.families.opening import Choices, open_unet_checkpoint, open_unet_folder

FAMILY = "sd1"
LAYOUT = {"unet": UNET, "vae": VAE, "text_encoder": Stored("cond_stage_model.transformer.", clip_weights)}


def identity(prediction_type: PredictionType) -> FileIdentity:
    """How LoRA files name it."""
    return FileIdentity("sd_v1", False, "stable-diffusion-v1/lora")


KIND = OneEncoder(FAMILY, "<|endoftext|>", identity)


def opens_folder(parts: FolderParts) -> bool:
    """Whether the text encoder is OpenAI's: it alone has the activation quick_gelu."""
    return bool(parts.config("text_encoder").get("hidden_act", "quick_gelu") == "quick_gelu")


def open_folder(parts: FolderParts, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A pipeline folder."""
    return open_unet_folder(KIND, parts, choices, notes)


def opens_checkpoint(header: Header) -> bool:
    """Whether the file holds OpenAI's text encoder alone."""
    return header.has(LAYOUT["text_encoder"].prefix)


def open_checkpoint(header: Header, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A checkpoint file; v-prediction is rare here and then marked."""
    parts = CheckpointParts(header, LAYOUT, shipped_configs(FAMILY))
    sides: dict[PredictionType, int] = {"epsilon": 512, "v_prediction": 512}
    return open_unet_checkpoint(KIND, parts, choices, notes, sides, unmarked="epsilon")

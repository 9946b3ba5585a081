"""Stable Diffusion 2.x: OpenCLIP's text encoder, whose last layer is cut off already; v-prediction at 768 px."""

from collections.abc import Sequence

from scumble.families.base import BaseModel, FileIdentity, PredictionType
from scumble.families.checkpoint import CheckpointParts, Header, shipped_configs
from scumble.families.convert import UNET, VAE, Stored, open_clip_weights
from scumble.families.folder import FolderParts
from scumble.families.one_encoder import PIPELINE_CLASSES as PIPELINE_CLASSES
from scumble.families.one_encoder import OneEncoder
from scumble.families.opening import Choices, open_unet_checkpoint, open_unet_folder

FAMILY = "sd2"
LAYOUT = {"unet": UNET, "vae": VAE, "text_encoder": Stored("cond_stage_model.model.", open_clip_weights)}


def identity(prediction_type: PredictionType) -> FileIdentity:
    """How LoRA files name it: the base for 768 px predicts v, that for 512 px epsilon."""
    if prediction_type == "v_prediction":
        return FileIdentity("sd_v2_v", True, "stable-diffusion-v2-768-v/lora")
    return FileIdentity("sd_v2", True, "stable-diffusion-v2-512/lora")


KIND = OneEncoder(FAMILY, "!", identity)


def opens_folder(parts: FolderParts) -> bool:
    """Whether the text encoder is OpenCLIP's: it has the activation gelu."""
    return parts.config("text_encoder").get("hidden_act") == "gelu"


def open_folder(parts: FolderParts, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A pipeline folder."""
    return open_unet_folder(KIND, parts, choices, notes)


def opens_checkpoint(header: Header) -> bool:
    """Whether the file holds OpenCLIP's text encoder alone."""
    return header.has(LAYOUT["text_encoder"].prefix)


def open_checkpoint(header: Header, choices: Choices, notes: Sequence[str]) -> BaseModel:
    """A checkpoint file; the bases for 512 and 768 px differ in nothing but what they predict."""
    parts = CheckpointParts(header, LAYOUT, shipped_configs(FAMILY))
    sides: dict[PredictionType, int] = {"epsilon": 512, "v_prediction": 768}
    return open_unet_checkpoint(KIND, parts, choices, notes, sides, unmarked=None)

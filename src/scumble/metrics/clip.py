"""A CLIP model (Radford et al. 2021, arXiv:2103.00020) from a folder or the hub's cache: it sees pictures and reads texts.

Nothing is fetched, no pickle is read, and no code of the model's own is run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.errors import MetricError
from scumble.files.hub import Asked, fetch_folder
from scumble.metrics.album import HASH_SIGNS

WANTED = ("*.json", "*.txt", "model*.safetensors")
ASKED = Asked(what="CLIP model", otherwise="or give --clip the folder of one.", error=MetricError)
BATCH_SIZE = 16


class ClipEncoders(nn.Module):
    """CLIP's two encoders, whose answers are plain tensors whatever the version of transformers: what torchmetrics takes.

    Args:
        model: a CLIPModel.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.clip = model
        self.config = model.config

    def get_image_features(self, pixels_B3HW: Tensor) -> Tensor:
        """[B, 3, h, w] as the processor makes them -> [B, D]."""
        model: Any = self.clip
        return _pooled(model.get_image_features(pixel_values=pixels_B3HW))

    def get_text_features(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Token ids and which of them count, [B, T] -> [B, D]."""
        model: Any = self.clip
        return _pooled(model.get_text_features(input_ids=ids_BT, attention_mask=mask_BT))


class ClipReader:
    """CLIP's processor, which cuts a text that is too long before its end token; torchmetrics would cut that off.

    Args:
        processor: of transformers.
        max_tokens: that the text encoder has places for.
    """

    def __init__(self, processor: Any, max_tokens: int) -> None:
        self.processor = processor
        self.max_tokens = max_tokens

    def __call__(self, text: Any = None, images: Any = None, return_tensors: str = "pt", padding: bool = True) -> Any:
        """Tensors of texts, or of pictures."""
        if text is None:
            return self.processor(images=images, return_tensors=return_tensors)
        return self.processor(
            text=text, return_tensors=return_tensors, padding=padding, truncation=True, max_length=self.max_tokens
        )

    def is_cut(self, text: str) -> bool:
        """Whether a text is longer than what is read of it."""
        return len(self.processor.tokenizer(text)["input_ids"]) > self.max_tokens


@dataclass(frozen=True)
class Clip:
    """CLIP as eyes; features of pictures are not normalised.

    Attributes:
        name: as the person named it.
        hash: SHA-256 of its weights.
        encoders: the model.
        reader: its processor.
    """

    name: str
    hash: str
    encoders: ClipEncoders
    reader: ClipReader

    @property
    def said(self) -> str:
        """Its name and hash."""
        return f"CLIP {self.name} ({self.hash[:HASH_SIGNS]})"

    @torch.no_grad()
    def see(self, images: Sequence[Image.Image]) -> Tensor:
        """Features [N, D] of pictures, resized and cut as CLIP does."""
        device = next(self.encoders.parameters()).device
        parts = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
        pixels = (self.reader(images=list(part))["pixel_values"].to(device) for part in parts)
        return torch.cat([self.encoders.get_image_features(each).float().cpu() for each in pixels])


def open_clip(name: str, device: torch.device) -> Clip:
    """A CLIP model that lies here.

    Args:
        name: a folder as save_pretrained writes it, or a hub id whose files are in the hub's cache.
        device: where it computes.
    Raises:
        MetricError: not here, no CLIP model, or damaged; says which command fetches it.
    """
    from transformers import CLIPModel, CLIPProcessor
    from transformers.utils import logging

    folder = _folder(name)
    logging.disable_progress_bar()
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        raise MetricError(f"CLIP model {name}: {folder} has no model.safetensors; pickles (.bin) are not read")
    try:
        model, report = CLIPModel.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        processor = CLIPProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise MetricError(f"CLIP model {name}: {folder} is not whole: {str(error).strip().splitlines()[0]}") from error
    missing = sorted(set(report["missing_keys"]) & {key for key, _ in model.named_parameters()})
    if missing:  # transformers fills them with random numbers
        raise MetricError(f"CLIP model {name}: its weights lack {len(missing)} that CLIP has, such as {missing[0]}")
    encoders = ClipEncoders(model.to(device).eval().requires_grad_(False))
    reader = ClipReader(processor, model.config.text_config.max_position_embeddings)
    return Clip(name, _hash(weights), encoders, reader)


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise MetricError(f"CLIP model {name}: a file; expected the folder of a model, or a hub id (owner/name)")
    return fetch_folder(name, None, WANTED, ASKED, only_cached=True)


def _pooled(answer: Any) -> Tensor:
    """The features: as they are, or as transformers 5 wraps them."""
    features: Tensor = answer if isinstance(answer, Tensor) else answer.pooler_output
    return features


def _hash(weights: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

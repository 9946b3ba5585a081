"""WD14 taggers (SmilingWolf): Danbooru tags with probabilities, by onnxruntime.

Shapes: B pictures, H W height and width, K tags.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from scumble.data.captioners.base import Caption, Captioner, Wishes
from scumble.data.captioners.place import ModelFolder
from scumble.errors import ConfigError

DEFAULT_MODEL = "SmilingWolf/wd-vit-tagger-v3"
GIVES_TAGS = True
WANTED = ("model.onnx", "selected_tags.csv")

GENERAL, CHARACTER = 0, 4
"""The categories that are taken, as Danbooru numbers them; ratings (9) are left out."""

PAPER = (255, 255, 255)
"""What the model saw around pictures that are not square."""

_WORD = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True)
class Tag:
    """One output of the model."""

    name: str
    category: int


def open_captioner(folder: ModelFolder, wishes: Wishes, device: torch.device) -> Captioner:
    """Load a tagger: model.onnx and selected_tags.csv.

    Raises:
        CaptionerError: a file is missing, damaged, or does not fit the other.
        ConfigError: onnxruntime is not installed.
    """
    tags = read_tags(folder)
    session, notes = _session(folder, device)
    batch, height, width, channels = _input_shape(session, folder)
    outputs = session.get_outputs()[0].shape
    if not isinstance(height, int) or (height, channels) != (width, 3):
        raise folder.error(f"found a picture of {[batch, height, width, channels]}, expected [pictures, side, side, 3]")
    if outputs[-1] != len(tags):
        raise folder.error(f"its model has {outputs[-1]} outputs, and its selected_tags.csv {len(tags)} tags")
    return Tagger(session, tags, height, one_by_one=batch == 1, wishes=wishes, notes=notes)


def read_tags(folder: ModelFolder) -> list[Tag]:
    """The tags of selected_tags.csv, in the order of the model's outputs.

    Raises:
        CaptionerError: not there, or without the columns name and category.
    """
    path = folder.path / "selected_tags.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Tag(row["name"], int(row["category"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise folder.not_whole("it has no selected_tags.csv") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise folder.not_whole(f"its selected_tags.csv cannot be read ({error})") from None


def _session(folder: ModelFolder, device: torch.device) -> tuple[Any, tuple[str, ...]]:
    """The model in onnxruntime, and what there is to say about where it runs."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise ConfigError(
            f"captioner=wd14 needs onnxruntime, which cannot be imported ({error}): pip install 'scumble[caption]'"
        ) from None
    path: Path = folder.path / "model.onnx"
    if not path.is_file():
        raise folder.not_whole("it has no model.onnx")
    on_gpu = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    here = [("CUDAExecutionProvider", {"device_id": device.index or 0})] if on_gpu else []
    try:
        session = onnxruntime.InferenceSession(path, providers=[*here, "CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidProtobuf, errors.InvalidGraph, errors.NotImplemented) as error:
        raise folder.not_whole(f"onnxruntime cannot open model.onnx: {str(error).splitlines()[0][:300]}") from None
    if "CUDAExecutionProvider" in session.get_providers() or device.type == "cpu":
        return session, ()
    return session, (f"the tagger runs on the CPU: this onnxruntime has nothing for {device.type}",)


def _input_shape(session: Any, folder: ModelFolder) -> list[Any]:
    shape = list(session.get_inputs()[0].shape)
    if len(shape) != 4:
        raise folder.error(f"its model takes {len(shape)} dimensions, expected [pictures, side, side, 3]")
    return shape


class Tagger:
    """The model with its tags.

    Args:
        session: of onnxruntime.
        tags: one for each output.
        side: height and width of the pictures it takes, in pixels.
        one_by_one: it takes one picture at a time.
    """

    def __init__(
        self, session: Any, tags: Sequence[Tag], side: int, *, one_by_one: bool, wishes: Wishes, notes: Sequence[str]
    ) -> None:
        self.session = session
        self.tags = tags
        self.side = side
        self.one_by_one = one_by_one
        self.wishes = wishes
        self.notes = notes
        self.max_tokens: int | None = None

    def caption(self, images: Sequence[Image.Image]) -> list[Caption]:
        """The tags of each picture, characters first, each kind by falling probability."""
        pixels_BHWC = np.stack([pixels(image, self.side) for image in images])
        passes = pixels_BHWC[:, None] if self.one_by_one else [pixels_BHWC]
        name = self.session.get_inputs()[0].name
        rows_BK = np.concatenate([self.session.run(None, {name: some})[0] for some in passes])
        return [Caption(", ".join(self._taken(row))) for row in rows_BK]

    def _taken(self, probabilities: NDArray[np.float32]) -> list[str]:
        thresholds = {CHARACTER: self.wishes.character_threshold, GENERAL: self.wishes.general_threshold}
        ranked = sorted(zip(probabilities.tolist(), self.tags, strict=True), key=lambda pair: -pair[0])
        return [
            tag.name if self.wishes.keep_underscores else spaced(tag.name)
            for category, threshold in thresholds.items()
            for probability, tag in ranked
            if tag.category == category and probability >= threshold
        ]


def spaced(name: str) -> str:
    """A tag with blanks for underscores: "long hair"; faces made of signs, such as ^_^ and o_o, stay."""
    return name.replace("_", " ") if _WORD.search(name) else name


def pixels(image: Image.Image, side: int) -> NDArray[np.float32]:
    """A picture as the taggers saw theirs: on a white square, resized, blue first, 0 to 255; float32 [side, side, 3]."""
    largest = max(image.size)
    square = Image.new("RGB", (largest, largest), PAPER)
    square.paste(image, ((largest - image.width) // 2, (largest - image.height) // 2))
    if largest != side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.float32)[:, :, ::-1]

"""A model that enlarges pictures, from a file: which architecture it is, spandrel finds out by its tensors."""

import hashlib
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scumble.errors import ConfigError, LoraFileError, ScumbleError, UpscalerError
from scumble.files.detect import format_of
from scumble.files.guard import read_tensors
from scumble.files.unpickle import is_pickle, unpickle

PURPOSES = {
    "FaceSR": "restores faces that were cut out beforehand",
    "Inpainting": "fills what a mask leaves open",
    "Restoration": "cleans pictures, and leaves them the size they are",
}
"""What models do that are not for enlarging, by spandrel's word for it."""

PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Upscaler:
    """A loaded model that makes a picture larger by a whole number.

    Attributes:
        name: of its file, without the suffix.
        architecture: what it is, such as ESRGAN.
        scale: how many times wider and higher the result is.
        digest: SHA-256 of the file in hex.
        descriptor: spandrel's, which knows how the model is called and what sizes it takes.
    """

    name: str
    architecture: str
    scale: int
    digest: str
    descriptor: Any

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.descriptor.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = self.descriptor.dtype
        return dtype

    @property
    def num_parameters(self) -> int:
        """How many numbers it was trained to."""
        return sum(parameter.numel() for parameter in self.descriptor.model.parameters())

    def __call__(self, pixels_BCHW: Tensor) -> Tensor:
        """One picture, or a part of one, enlarged.

        Args:
            pixels_BCHW: float32 [1, 3, height, width] in [0, 1], on any device.
        Returns:
            float32 [1, 3, scale * height, scale * width] in [0, 1], on the CPU.
        Raises:
            ScumbleError: numbers came out that are not finite.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # AuraSR adds noise
            larger = self.descriptor(pixels_BCHW.to(self.device, self.dtype)).float().cpu()
        if not torch.isfinite(larger).all():
            raise ScumbleError(
                f"{self.name} in {str(self.dtype).removeprefix('torch.')} gave numbers that are not finite: "
                "take --mixed-precision no"
            )
        return larger  # type: ignore[no-any-return]


def open_upscaler(path: Path, device: torch.device, precision: str | None = None) -> Upscaler:
    """Load a model from a .safetensors file, or from a pickle through a process of its own.

    Args:
        path: the file.
        device: where it computes.
        precision: "no" (float32), "fp16" or "bf16"; None = on a GPU half precision where the architecture bears it,
            else float32.
    Raises:
        UpscalerError: no such file, damaged, or a model of another kind.
        ConfigError: the architecture does not bear this precision.
    """
    tensors = _tensors_of(path)
    descriptor = _described(path, tensors)
    descriptor.to(device=device, dtype=_dtype(descriptor, device, precision)).eval()
    for parameter in descriptor.model.parameters():
        parameter.requires_grad_(False)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Upscaler(path.stem, str(descriptor.architecture.name), int(descriptor.scale), digest, descriptor)


def _tensors_of(path: Path) -> dict[str, Tensor]:
    try:
        if not is_pickle(path):
            return read_tensors(path)[0]
        with tempfile.TemporaryDirectory(prefix="scumble-") as folder:
            target = Path(folder) / "model.safetensors"
            unpickle(path, target)
            return read_tensors(target)[0]
    except LoraFileError as error:
        raise UpscalerError(str(error)) from None


def _described(path: Path, tensors: Mapping[str, Tensor]) -> Any:
    """Spandrel's description of a model that enlarges colour pictures.

    Raises:
        UpscalerError: it is something else, or damaged.
        ConfigError: spandrel is not installed.
    """
    try:
        import spandrel  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ConfigError("models that enlarge pictures need spandrel: pip install 'scumble[upscale]'") from None
    try:
        with warnings.catch_warnings(action="ignore"):  # some architectures call torch in an old way
            descriptor = spandrel.ModelLoader().load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError:
        raise UpscalerError(f"{path}: found {_what_else(tensors)}, expected a model that enlarges pictures") from None
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError) as error:
        # the architecture was known by its names, and a shape or a tensor does not fit it
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise UpscalerError(f"{path}: its tensors are not those of a whole model ({reason:.200})") from error
    kind, what = descriptor.architecture.name, PURPOSES.get(descriptor.purpose)
    if what is not None or descriptor.scale < 2:
        raise UpscalerError(
            f"{path}: found {kind}, a model that {what or PURPOSES['Restoration']}, expected one that enlarges them"
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels != (3, 3):
        raise UpscalerError(
            f"{path}: found {kind} for {channels[0]} channels that gives {channels[1]}, expected one for the three of "
            "colour pictures"
        )
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor.float()).all()]
    if bad:
        raise UpscalerError(f"{path}: {bad[0]:.160} has numbers that are not finite: get the file again")
    return descriptor


def _what_else(tensors: Mapping[str, Tensor]) -> str:
    """What a file is whose architecture spandrel does not know."""
    try:
        format_of(tensors)
    except LoraFileError as error:
        return str(error).removeprefix("found ").partition(", expected")[0]
    return "a LoRA"


def _dtype(descriptor: Any, device: torch.device, precision: str | None) -> torch.dtype:
    bears = {"fp16": descriptor.supports_half, "bf16": descriptor.supports_bfloat16, "no": True}
    if precision is None:
        half = next((name for name in ("fp16", "bf16") if bears[name]), "no")
        return PRECISIONS[half if device.type == "cuda" else "no"]
    if not bears[precision]:
        able = " or ".join(name for name, is_able in bears.items() if is_able)
        raise ConfigError(f"mixed_precision={precision}: {descriptor.architecture.name} does not bear it; take {able}")
    return PRECISIONS[precision]

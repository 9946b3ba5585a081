"""The narrow base models that the files are read for: pipeline folders, and their layers by name.

The other programs' processes read the folder `layers` alone: nothing of scumble is imported there.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

TESTS = Path(__file__).parents[2] / "tests"
FAMILIES = ("sd1", "sdxl")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Base:
    """A base model.

    Attributes:
        folder: its pipeline folder.
        weights: canonical key of every linear layer and convolution that a LoRA may change -> weight.
        sgm: canonical key of each of the denoiser's layers -> its path in SGM's names.
    """

    folder: Path
    weights: Mapping[str, Tensor]
    sgm: Mapping[str, str]

    def keys_of(self, part: str) -> list[str]:
        """The canonical keys of one model part."""
        return [key for key in self.weights if key.startswith(f"{part}.")]

    def text_parts(self) -> list[str]:
        """The text encoders."""
        parts = dict.fromkeys(key.partition(".")[0] for key in self.weights)
        return [part for part in parts if part != "unet"]


def write_bases(work: Path) -> None:
    """Make both pipeline folders with random weights, and note their layers; what is there is taken."""
    sys.path[:0] = [str(TESTS), str(TESTS / "families")]
    import bases

    writers = {
        "sd1": lambda folder: bases.write_base(folder, (16, 32, 64, 64), 2, 32, 8, seed=1),
        "sdxl": lambda folder: bases.write_sdxl_base(folder, seed=3),
    }
    for family, write in writers.items():
        layers = work / family / "layers"
        if not (layers / "sgm.json").exists():
            write(work / family / "pipeline")
            layers.mkdir()
            _write_layers(work / family / "pipeline", layers)


def open_base(work: Path, family: str) -> Base:
    """What `write_bases` made."""
    layers = work / family / "layers"
    sgm = json.loads((layers / "sgm.json").read_text(encoding="utf-8"))
    return Base(work / family / "pipeline", load_file(layers / "weights.safetensors"), sgm)


def _write_layers(folder: Path, layers: Path) -> None:
    import original

    unet = original.weights_of(folder, "unet")
    with_attention = {
        int(name.split(".")[1]) for name in unet if name.startswith("up_blocks.") and ".attentions." in name
    }
    weights = {f"unet.{name}": tensor for name, tensor in unet.items() if tensor.ndim in (2, 4)}
    for part in ("text_encoder", "text_encoder_2"):
        if (folder / part).exists():
            text = original.weights_of(folder, part)
            names = {name: f"{part}.text_model.{name.removeprefix('text_model.')}" for name in text}
            weights |= {names[name]: text[name] for name in text if ".layers." in name and text[name].ndim == 2}
    weights = {name.removesuffix(".weight"): tensor.float() for name, tensor in weights.items()}
    paths = {key: key.removeprefix("unet.") for key in weights if key.startswith("unet.")}
    sgm = {
        key: original.original_unet_name(f"{path}.weight", with_attention).removesuffix(".weight")
        for key, path in paths.items()
    }
    save_file(weights, layers / "weights.safetensors")
    save_file(original.original_unet(unet), layers / "unet-sgm.safetensors")
    (layers / "sgm.json").write_text(json.dumps(sgm), encoding="utf-8")

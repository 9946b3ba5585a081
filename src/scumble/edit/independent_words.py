"""The words in a LoRA file as A1111 1.10 picks them out of it, by its rule and not by the code that wrote them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

PARTS = {"string_to_param": "text_encoder", "clip_l": "text_encoder", "clip_g": "text_encoder_2"}


def read_words(path: Path) -> dict[str, dict[str, Tensor]]:
    """Word -> model part -> vectors [number, width]: what follows "bundle_emb." up to the next dot is the word.

    Args:
        path: a .safetensors file; a PEFT folder holds none.
    """
    found: dict[str, dict[str, Tensor]] = {}
    if path.is_dir():
        return found
    for key, tensor in load_file(path).items():
        begin, _, rest = key.partition(".")
        if begin == "bundle_emb":
            word, name = rest.split(".", 1)
            found.setdefault(word, {})[PARTS[name.split(".")[0]]] = tensor
    return found


def layers_in(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that are not of words."""
    return {key: tensor for key, tensor in load_file(path).items() if not key.startswith("bundle_emb.")}


@contextmanager
def without_words(path: Path) -> Iterator[Path]:
    """A file with the same layers and metadata, and no words; the file itself where it has none."""
    if not read_words(path):
        yield path
        return
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    with tempfile.TemporaryDirectory(prefix="scumble-") as folder:
        copy = Path(folder) / path.name
        save_file(layers_in(path), copy, metadata)
        yield copy

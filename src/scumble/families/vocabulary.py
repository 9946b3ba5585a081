"""CLIP's tokenizer without a network: from the hub cache, or from the vocabulary that open_clip_torch ships.

The vocabulary (Radford et al. 2021, arXiv:2103.00020) is 256 signs that stand for bytes, the same at the end of a word,
48,894 merges, and two marks: 49,408 tokens.
"""

import gzip
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scumble.errors import BaseModelError

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
NUM_MERGES = 48_894
NUM_TOKENS = 49_408
VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
CACHED = (
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "tokenizer/"),
    ("runwayml/stable-diffusion-v1-5", "tokenizer/"),
    ("CompVis/stable-diffusion-v1-4", "tokenizer/"),
    ("stabilityai/stable-diffusion-xl-base-1.0", "tokenizer/"),
    ("openai/clip-vit-large-patch14", ""),
)
"""Hub repositories that hold CLIP's tokenizer, and where in them."""


def clip_tokenizer(pad_token: str) -> Any:
    """CLIP's tokenizer.

    Args:
        pad_token: what fills a prompt up to its length.
    Raises:
        BaseModelError: neither the hub cache nor open_clip_torch has its vocabulary.
    """
    from transformers import CLIPTokenizer

    folder, shipped = cached_folder(), shipped_vocabulary()
    if folder is not None:
        return _checked(CLIPTokenizer.from_pretrained(folder, pad_token=pad_token), folder)
    if shipped is not None:
        with TemporaryDirectory() as place:
            write_tokenizer(shipped, Path(place))
            return _checked(CLIPTokenizer.from_pretrained(place, pad_token=pad_token), shipped)
    raise BaseModelError(
        "a checkpoint file holds no tokenizer, and CLIP's is neither in the hub cache nor with an installed "
        "open_clip_torch: run pip install 'scumble[tokenizer]', which needs no hub, or hf download "
        f"{CACHED[0][0]} --include 'tokenizer/*'"
    )


def cached_folder() -> Path | None:
    """The folder of a CLIP tokenizer in the hub cache, or None; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    for repository, place in CACHED:
        found = [try_to_load_from_cache(repository, place + name) for name in ("vocab.json", "merges.txt")]
        if all(isinstance(path, str) for path in found):
            return Path(str(found[0])).parent
    return None


def shipped_vocabulary() -> Path | None:
    """The vocabulary file of an installed open_clip_torch, or None; the package is not imported."""
    spec = find_spec("open_clip")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [Path(place) / VOCABULARY_FILE for place in places if (Path(place) / VOCABULARY_FILE).is_file()]
    return found[0] if found else None


def write_tokenizer(vocabulary: Path, folder: Path) -> None:
    """Write the files of a CLIPTokenizer from open_clip_torch's vocabulary file."""
    lines = gzip.decompress(vocabulary.read_bytes()).decode("utf-8").split("\n")
    merges = lines[1 : 1 + NUM_MERGES]  # the first line names the format; the rest goes beyond what CLIP uses
    tokens = {token: index for index, token in enumerate(_tokens(merges))}
    marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {**marks, "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    files = {
        "vocab.json": json.dumps(tokens, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "special_tokens_map.json": json.dumps(marks),
        "tokenizer_config.json": json.dumps(settings),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _tokens(merges: Sequence[str]) -> list[str]:
    """Every token in the order of its number."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    signs = list(bytes_to_unicode().values())
    return [*signs, *(sign + END_OF_WORD for sign in signs), *(merge.replace(" ", "") for merge in merges), START, END]


def _checked(tokenizer: Any, place: Path) -> Any:
    if len(tokenizer) != NUM_TOKENS:
        raise BaseModelError(f"the tokenizer in {place} has {len(tokenizer)} tokens, expected CLIP's {NUM_TOKENS}")
    return tokenizer

"""Tensors and metadata as the bytes of a safetensors file: the same content gives the same bytes.

The safetensors library writes metadata in a random order, so that two equal files would have different hashes.
"""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from scumble.files.guard import DTYPES

NAMES = {dtype: name for name, dtype in DTYPES.items()}
ALIGNMENT = 8


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A whole safetensors file.

    The header's keys are sorted, metadata first; tensors lie as the safetensors library lays them: those of wide
    numbers first, then by name.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    chunks = []
    position = 0
    for name in order:
        chunk = _bytes_of(tensors[name])
        header[name] = {
            "dtype": NAMES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [position, position + len(chunk)],
        }
        position += len(chunk)
        chunks.append(chunk)
    # "replace": a file name that is not UTF-8 may have found its way into the metadata
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *chunks])


def with_hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with the hashes by which the WebUI, sd-scripts and ModelSpec know a LoRA.

    `sshs_model_hash` and `modelspec.hash_sha256` are over the tensors' bytes alone; `sshs_legacy_hash` is over 64 KiB
    from 1 MiB on of a file that has only the ss_ metadata, as sd-scripts defines it.
    """
    content = encode(tensors, {name: value for name, value in metadata.items() if name.startswith("ss_")})
    tensor_hash = hashlib.sha256(memoryview(content)[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    legacy = hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
    return {
        **metadata,
        "sshs_model_hash": tensor_hash,
        "sshs_legacy_hash": legacy,
        "modelspec.hash_sha256": "0x" + tensor_hash,
    }


def _bytes_of(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()

"""Pickles (.pt, .pth, .ckpt, .bin, .pkl) as safetensors: read in a process of its own, and only as plain tensors.

A pickle can run any program when it is opened. PyTorch's `weights_only` reader knows tensors, numbers and containers and
refuses everything else; should it ever be fooled, the process has nothing of ours in its memory.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scumble.errors import LoraFileError
from scumble.files.places import PICKLES

INSIDE = ("state_dict", "module", "model_state_dict", "params_ema", "params-ema", "params", "model", "net")
"""Names under which programs put the tensors, beside notes of their training; averaged ones before those of the last step."""


def is_pickle(path: Path) -> bool:
    """Whether a file's name says that it is a pickle."""
    return path.suffix.lower() in PICKLES


def unpickle(path: Path, target: Path) -> list[str]:
    """Write the tensors of a pickle as a safetensors file, in a process of its own.

    Args:
        path: the pickle.
        target: the file to write.
    Returns:
        Names of what the pickle holds besides tensors, and is left out.
    Raises:
        LoraFileError: not there, no pickle of plain tensors, or nothing in it.
    """
    if not path.is_file():
        raise LoraFileError(f"{path}: there is no such file; look for its name and folder")
    # -P: nothing is imported from the folder in which the person stands
    command = [sys.executable, "-P", "-m", "scumble.files.unpickle", str(path.resolve()), str(target.resolve())]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"its reader ended with code {done.returncode}"])[-1]
        raise LoraFileError(f"{path}: {reason:.500}")
    left_out: list[str] = json.loads(done.stdout.splitlines()[-1])
    return left_out


def tensors_in(content: Any) -> tuple[dict[str, Any], list[str]]:
    """The tensors of what a pickle held, and the names of the rest.

    Raises:
        LoraFileError: it is no flat table of tensors.
    """
    import torch

    for name in INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise LoraFileError(f"found a {type(content).__name__} in the pickle, expected a table of tensors")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    rest = sorted(str(name) for name in content if str(name) not in tensors)
    nested = [name for name, value in content.items() if isinstance(value, Mapping) and value]
    if not tensors or nested:
        raise LoraFileError(
            f"found {len(tensors)} tensors and {', '.join(rest[:3]) or 'nothing else'} in the pickle, expected a model or "
            "a LoRA: a flat table of tensors"
        )
    return tensors, rest


def main(source: str, target: str) -> None:
    """What the other process does: read, write, and say what was left out."""
    import torch

    from scumble.files.encode import NAMES
    from scumble.files.stream import Entry, bytes_of_tensor, write_streamed

    try:
        tensors, rest = tensors_in(torch.load(source, map_location="cpu", weights_only=True))
    except LoraFileError as error:
        sys.exit(str(error))
    except Exception as error:  # noqa: BLE001 - whatever a pickle does to its reader, it is not read
        # not PyTorch's own words, which advise to read it as a program all the same
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asked[1]:.200}" if asked else type(error).__name__
        sys.exit(f"it is not read, because it is damaged or holds more than plain tensors ({reason})")
    odd = [name for name, tensor in tensors.items() if tensor.dtype not in NAMES]
    if odd:
        sys.exit(f"{odd[0]} has numbers of {tensors[odd[0]].dtype}, expected floating-point or whole numbers")
    entries = [Entry.of(name, tensors[name]) for name in sorted(tensors, key=lambda n: (-tensors[n].itemsize, n))]
    write_streamed(Path(target), entries, {"format": "pt"}, lambda entry: bytes_of_tensor(tensors[entry.name]))
    sys.stdout.write(json.dumps(rest))


if __name__ == "__main__":
    main(*sys.argv[1:])

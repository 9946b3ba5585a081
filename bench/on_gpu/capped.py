"""A run on a card that has only so much memory: does it fit, how fast is it?

    python -m on_gpu.capped GIGABYTES BASE PICTURES SIDE_PX WORK STEPS [SETTING=VALUE ...]

Prints one line of JSON. A process of its own, because the limit and the memory are a process's.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import torch

DRIVER_GB = 0.6
"""GiB of a card that CUDA's context and libraries take, which the limit, being of torch's own allocator, does not count."""


def main() -> None:
    """Train, and say what it took; memory that does not suffice is an answer too."""
    gigabytes, base, pictures, side_px, work, steps, *settings = sys.argv[1:]
    from scumble import train
    from scumble.config import TrainConfig
    from scumble.errors import OutOfMemoryError, ScumbleError
    from scumble.train.events import Stepped

    is_gpu = torch.cuda.is_available()
    if is_gpu:
        whole = torch.cuda.get_device_properties(0).total_memory
        for_torch = (float(gigabytes) - DRIVER_GB) * 2**30
        torch.cuda.set_per_process_memory_fraction(min(1.0, for_torch / whole))
    given = {name: json.loads(value) for name, _, value in (each.partition("=") for each in settings)}
    values = {
        "model": {"base": base},
        "data": {"folder": pictures, "resolution": int(side_px), "cache_dir": Path(work) / "cache"},
        "adapter": {"rank": 16},
        "training": {"max_train_steps": int(steps), **given},
        "output": {"output_dir": Path(work) / "capped", "overwrite": True, "report_to": ["none"]},
    }
    at: list[float] = []
    try:
        at.extend(time.monotonic() for event in train(TrainConfig.model_validate(values)) if isinstance(event, Stepped))
    except OutOfMemoryError:
        print(json.dumps({"fits": "no"}))
        return
    except ScumbleError as error:  # of this choice; the others are still of interest
        print(json.dumps({"fits": "refused", "why": str(error)}))
        return
    each = sorted(later - earlier for earlier, later in itertools.pairwise(at))
    peak = torch.cuda.max_memory_reserved() / 2**30 if is_gpu else 0.0
    print(json.dumps({"fits": "yes", "seconds a step": each[len(each) // 2], "peak GiB": peak}))


if __name__ == "__main__":
    main()

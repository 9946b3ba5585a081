"""Two real steps of a planned training, or a few more, in a process of its own: how long one takes, and the most memory.

`python -m scumble.check.probe` reads a pickled plan from its parent and prints one line of JSON.
"""

import json
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import monotonic

import torch

from scumble.data.buckets import Size
from scumble.data.encode import Latents, Moments
from scumble.errors import OutOfMemoryError
from scumble.families.base import Frame
from scumble.generate.device import memory_advice
from scumble.train import draws
from scumble.train.batches import Mixture, Pool
from scumble.train.cuts import Cut
from scumble.train.loop import MEMORY_ADVICE
from scumble.train.material import random_views
from scumble.train.noise import noise_of
from scumble.train.plan import Plan
from scumble.train.session import Session
from scumble.train.start import start_session
from scumble.train.step import advance
from scumble.train.timesteps import timesteps_of
from scumble.train.views import EncodedViews, Views

MOST_STEPS, ENOUGH_SECONDS = 10, 2.0
"""The first step warms up, the second is timed; where they are quick, more are, because other programs disturb them."""


@dataclass(frozen=True)
class Probe:
    """What two steps said.

    Attributes:
        seconds_a_step: median without the first; 0 where it did not come to that.
        peak_bytes: on a GPU what tensors took at most, elsewhere the whole process.
        size: of the pictures, in pixels.
        problem: why there are no figures; "" = there are.
    """

    seconds_a_step: float = 0.0
    peak_bytes: int = 0
    size: Size = (0, 0)
    problem: str = ""


def probe(plan: Plan) -> Probe:
    """Take two steps of a plan with random pictures, in a fresh process."""
    slim = replace(plan, scan=replace(plan.scan, examples=()), classes=None, cuts=tuple(_largest(plan)))
    done = subprocess.run(
        [sys.executable, "-m", "scumble.check.probe"], input=pickle.dumps(slim), capture_output=True, check=False
    )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode == 0 and lines:
        values = json.loads(lines[-1])
        return Probe(**{**values, "size": tuple(values["size"])})
    if done.returncode < 0:
        return Probe(problem=f"the system ended it by signal {-done.returncode}: likely not enough memory")
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return Probe(problem=said[-1] if said else f"it ended with code {done.returncode}")


def take_steps(plan: Plan) -> Probe:
    """Take the steps here, in this process."""
    train, optimizer = plan.config.training, plan.config.optimizer
    assert optimizer.learning_rate is not None
    size = plan.cuts[0][1]
    mixture = _random_mixture(plan, size)
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)
    try:
        with memory_advice(MEMORY_ADVICE):
            session = _session(plan)
            seconds: list[float] = []
            while len(seconds) < 2 or (sum(seconds) < ENOUGH_SECONDS and len(seconds) < MOST_STEPS):
                started = monotonic()
                advance(
                    session,
                    mixture,
                    train.train_batch_size,
                    train.gradient_accumulation_steps,
                    optimizer.learning_rate,
                    optimizer.max_grad_norm,
                )
                seconds.append(monotonic() - started)
    except OutOfMemoryError as error:
        return Probe(size=size, problem=str(error))
    return Probe(median(seconds[1:]), _peak_bytes(plan.device), size)


def _session(plan: Plan) -> Session:
    starting = start_session(plan)
    while True:
        try:
            next(starting)
        except StopIteration as end:
            session: Session = end.value
            return session


def _largest(plan: Plan) -> list[Cut]:
    """One picture of the largest area, of the size that most of these have."""
    area = max(width * height for _, (width, height) in plan.cuts)
    counts = Counter(size for _, size in plan.cuts if size[0] * size[1] == area)
    wanted = counts.most_common(1)[0][0]
    return [cut for cut in plan.cuts if cut[1] == wanted][:1]


def _random_mixture(plan: Plan, size: Size) -> Mixture:
    """As many random pictures as a batch has, under the empty caption."""
    base, config = plan.base, plan.config
    source = draws.generator(config.training.seed, "probe")
    width, height = (side // base.pixels_per_latent for side in size)
    mean = torch.randn((base.latent_channels, height, width), generator=source)
    latents = Latents(Moments(mean, torch.ones_like(mean)), None)
    shapes = base.text_shapes(config.data.num_chunks)
    state = {name: torch.randn(tuple(shape), generator=source) for name, shape in shapes.items()}
    count = config.training.train_batch_size
    views: Views = EncodedViews([latents] * count, [base.frame_state(Frame.whole(*size))] * count)
    if not config.data.center_crop:
        views = random_views(plan, plan.cuts * count, base.load_autoencoder(plan.device))
    pool = Pool(views, [("",)] * count, {"": state})
    return Mixture(
        own=[pool],
        classes=[],
        class_share=0.0,
        class_weight=1.0,
        caption_dropout=0.0,
        noise=noise_of(config.objective),
        timesteps=timesteps_of(config.objective, base.noise_schedule(), config.training.samples_a_step),
        seed=config.training.seed,
    )


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    status = Path("/proc/self/status")
    if status.exists():  # Linux: what getrusage says includes the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes


def main() -> None:
    """Read a plan, take the steps, print what they said."""
    plan: Plan = pickle.load(sys.stdin.buffer)
    sys.stdout.write(json.dumps(asdict(take_steps(plan))) + "\n")


if __name__ == "__main__":
    main()

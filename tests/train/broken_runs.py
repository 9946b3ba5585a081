"""Devices with little memory and denoisers that go wrong, made of the peer's real UNet; runs that stop and go on."""

import hashlib
import itertools
import shutil

import torch
from diffusers import UNet2DConditionModel

from scumble.train.events import Stepped
from scumble.train.loop import train

FORWARD = UNet2DConditionModel.forward


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def patch_denoiser(monkeypatch, change):
    """Let `change(denoiser, samples, output)` have the last word about what a denoiser says."""

    def forward(self, sample, timestep, *others, **named):
        output = FORWARD(self, sample, timestep, *others, **named)
        changed = change(self, timestep, output[0])
        return (changed, *output[1:]) if isinstance(output, tuple) else type(output)(sample=changed)

    monkeypatch.setattr(UNet2DConditionModel, "forward", forward)


def run_out_of_memory(monkeypatch, room, first_call=1, in_backward=False):
    """From a training pass on, a device that has room for so many samples at once."""
    calls = itertools.count(1)

    def change(denoiser, timestep, output):
        if not torch.is_grad_enabled() or next(calls) < first_call or len(output) <= room:
            return output
        if not in_backward:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        def refuse(gradient):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

        output.register_hook(refuse)
        return output

    patch_denoiser(monkeypatch, change)


def largest_up(denoiser):
    """The largest number of the factors that start at zero: it grows with every step."""
    ups = [parameter for name, parameter in denoiser.named_parameters() if name.endswith(".up")]
    return max((float(up.detach().abs().max()) for up in ups if up.requires_grad), default=0.0)


def overflow_above(monkeypatch, limit):
    """A denoiser whose numbers leave the range of its precision when the adapter grows."""
    patch_denoiser(
        monkeypatch,
        lambda denoiser, timestep, output: output * float("nan") if largest_up(denoiser) > limit else output,
    )


def play(config, until=None):
    """Run to the end, or stop after the step with this number; every event of it."""
    events = []
    run = train(config)
    for event in run:
        events.append(event)
        if isinstance(event, Stepped) and event.step == until:
            run.close()
    return events


def forget_after(run, step):
    """Take away a run's checkpoints of later steps, as if it had been stopped after this one."""
    for checkpoint in (run / "checkpoints").iterdir():
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)


def results(config):
    """The hashes of what a run left: its LoRAs and its history."""
    folder = config.output.output_dir / config.output.name
    return {name: file_hash(folder / name) for name in ("r.safetensors", "r-best.safetensors", "history.json")}

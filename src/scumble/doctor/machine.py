"""Python, the packages that are always needed, torch, and each device that it has."""

import functools
import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement

from scumble.doctor.finding import Finding, tried
from scumble.quantities import counted

INSTALL_AGAIN = "pip install --force-reinstall scumble"
DRIVER = "install the NVIDIA driver of this system, and start it anew"
CUDA_TORCH = "pip install --force-reinstall torch, on Windows with the index that pytorch.org names for CUDA"


def look_at_python() -> Iterator[Finding]:
    """The interpreter, and the versions of what `pip install scumble` brings."""
    old = sys.version_info < (3, 11)
    said = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.prefix}"
    yield Finding("Python", "fails" if old else "works", said, "install Python 3.11 or newer" if old else "", True)
    yield tried("packages", _versions, INSTALL_AGAIN, is_needed=True)


def _versions() -> str:
    """Whether every package is there in a version that fits.

    Raises:
        RuntimeError: names those that are not.
    """
    wanted = [Requirement(line) for line in importlib.metadata.requires("scumble") or ()]
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    odd = []
    for each in wanted:
        try:
            version = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            odd.append(f"{each.name} is missing")
        else:
            if not each.specifier.contains(version, prereleases=True):
                odd.append(f"{each.name} is {version}, wanted {each.specifier}")
    if odd:
        raise RuntimeError(", ".join(odd))
    return f"{len(wanted)} in versions that fit"


def look_at_torch() -> Iterator[Finding]:
    """A step of training on the CPU, and on every GPU."""
    yield tried("torch", _cpu, INSTALL_AGAIN, is_needed=True)
    yield from _gpus()


def _cpu() -> str:
    import torch

    learn_on("cpu", torch.float32)
    count = torch.get_num_threads()
    return f"{torch.__version__}, {counted(count, 'thread')} on the CPU"


def learn_on(device: str, dtype: "object") -> None:
    """Train a LoRA on one layer for one step.

    Args:
        device: where.
        dtype: of the frozen weight.
    Raises:
        RuntimeError: it does not learn.
    """
    import torch
    from torch import nn

    from scumble.adapters.build import new_adapter
    from scumble.adapters.inject import attach
    from scumble.adapters.recipe import AdapterRecipe

    assert isinstance(dtype, torch.dtype)
    layers = nn.Sequential(nn.Linear(16, 16)).to(device, dtype).requires_grad_(False)
    adapter = new_adapter(layers[0], AdapterRecipe("lora", 4, 4.0), torch.Generator().manual_seed(0)).to(device)
    attach(layers, "trial", {"0": adapter})
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.1)
    x = torch.ones(2, 16, device=device, dtype=dtype)
    before = layers(x).float().square().mean()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        after = layers(x).float().square().mean()
    if not float(after) < float(before.detach()):
        raise RuntimeError(f"a step of training left the loss at {float(after):.3g}, from {float(before.detach()):.3g}")


def _gpus() -> Iterator[Finding]:
    import torch

    if torch.backends.mps.is_available():
        yield tried("GPU", lambda: _learnt("mps", torch.float32, "Apple's, by Metal"), "train with --device cpu")
    if not torch.cuda.is_available():
        yield from _why_no_cuda()
        return
    for index in range(torch.cuda.device_count()):
        yield tried(f"GPU {index}", functools.partial(_gpu, index), "train with --device cpu, or see nvidia-smi")


def _gpu(index: int) -> str:
    import torch

    from scumble.device import has_bf16

    facts, device = torch.cuda.get_device_properties(index), f"cuda:{index}"
    free, total = torch.cuda.mem_get_info(index)
    is_bf16 = has_bf16(torch.device(device))
    said = (
        f"{facts.name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, compute capability {facts.major}.{facts.minor}, "
        f"{_driver()}CUDA {torch.version.cuda}, {'bf16' if is_bf16 else 'no bf16: fp16 is used'}"
    )
    return _learnt(device, torch.bfloat16 if is_bf16 else torch.float16, said)


def _learnt(device: str, dtype: "object", said: str) -> str:
    learn_on(device, dtype)
    return said


def _driver() -> str:
    """ "driver 570.12, " as nvidia-smi says; nothing where it is not there."""
    said = _nvidia_smi("--query-gpu=driver_version", "--format=csv,noheader")
    return f"driver {said.splitlines()[0].strip()}, " if said else ""


def _nvidia_smi(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _why_no_cuda() -> Iterator[Finding]:
    """Why there is no NVIDIA GPU for torch, where the machine seems to have one."""
    import torch

    listed = _nvidia_smi("-L")
    if torch.version.cuda is None and listed:
        text = f"nvidia-smi lists {listed.splitlines()[0]}, but this torch is built without CUDA"
        yield Finding("GPU", "fails", text, CUDA_TORCH)
    elif listed:
        text = f"nvidia-smi lists {listed.splitlines()[0]}, but torch for CUDA {torch.version.cuda} cannot use it"
        yield Finding("GPU", "fails", text, DRIVER)
    elif not torch.backends.mps.is_available():
        yield Finding("GPU", "missing", "none that torch can use: training runs on the CPU, slowly but for small bases")

"""Where the numbers are: the device, the precision of the weights, and what to say when memory runs out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from scumble.allocator import give_back, keep_freed
from scumble.errors import ConfigError, OutOfMemoryError
from scumble.processes import Share

CUDA_WORDS = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""How CUDA and its libraries say that a GPU is full, where torch's own allocator is not the one that asks."""

PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def take_device(name: str | None = None) -> torch.device:
    """The device asked for, or the best there is, ready for work.

    On a CPU the process keeps from now on what it frees (`allocator.keep_freed`); `release_memory` gives it back.

    Args:
        name: "cuda", "cuda:1", "mps" or "cpu"; None = cuda, else mps, else cpu.
    Raises:
        ConfigError: no such device here.
    """
    device = _find_device(name)
    if device.type == "cpu":
        keep_freed()
    return device


def _find_device(name: str | None) -> torch.device:
    here = _devices_here()
    if name is None:
        return torch.device(here[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device={name}: not a device; here are {', '.join(here)}") from None
    if device.type not in here or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device={name}: not to be had here; here are {', '.join(here)}")
    return device


def device_of(share: Share, name: str | None) -> torch.device:
    """The device of a process: of several GPUs each takes its own.

    Raises:
        ConfigError: no such device here.
    """
    device = take_device(name)
    if device.type == "cuda" and name in (None, "cuda") and share.count > 1:
        return torch.device("cuda", share.local_index % torch.cuda.device_count())
    return device


def choose_dtype(precision: str | None, device: torch.device) -> torch.dtype:
    """The precision of the denoiser's weights for drawing.

    Args:
        precision: "no" (float32), "fp16" or "bf16"; None = fp16 on cuda, float32 elsewhere.
        device: where the weights will be.
    Raises:
        ConfigError: the device cannot compute in it.
    """
    if precision is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision == "bf16" and device.type == "cuda" and not has_bf16(device):
        raise ConfigError("mixed_precision=bf16: this GPU cannot compute in bfloat16; use fp16")
    return PRECISIONS[precision]


def has_bf16(device: torch.device) -> bool:
    """Whether a GPU of CUDA computes in bfloat16; torch says yes of older ones too, which only imitate it, slowly."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def slow_precision(dtype: torch.dtype, device: torch.device) -> str | None:
    """A warning where a CPU has no instructions for a precision of 16 bits; None where there is nothing to say."""
    asked = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}.get(dtype, "")
    has_instructions = getattr(torch.ops.mkldnn, asked, None) if device.type == "cpu" and asked else None
    if has_instructions is None or has_instructions():
        return None
    name = next(name for name, each in PRECISIONS.items() if each == dtype)
    return (
        f"this processor has no instructions for {name}: linear layers take several times as long as in float32, "
        "convolutions up to a hundred times; --mixed-precision no is faster, and takes twice the memory for the weights"
    )


def has_memory_of_its_own(device: torch.device) -> bool:
    """Whether what is on the device is not in the computer's own memory."""
    return device.type == "cuda"


def has_room_for(num_bytes: int, device: torch.device) -> bool:
    """Whether so much may lie on a GPU beside what is there, with as much again for what is computed; elsewhere it may."""
    if device.type != "cuda":
        return True
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held >= 2 * num_bytes


def home_of_float64(device: torch.device) -> torch.device:
    """Where numbers of a device are computed with in float64: Apple's GPU has none."""
    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def full_float32() -> Iterator[None]:
    """Let float32 be that, until the with-block ends: cuDNN's convolutions otherwise round it to TF32, of 10 bits."""
    with ExitStack() as stack:
        if hasattr(torch.backends.cudnn, "conv"):  # torch 2.9 and newer has a precision for each kind of operation
            stack.enter_context(_set(torch.backends.cudnn.conv, "fp32_precision", "ieee"))
        else:
            stack.enter_context(_set(torch.backends.cudnn, "allow_tf32", False))
        try:
            is_whole = torch.get_float32_matmul_precision() == "highest"
        except RuntimeError:  # somebody chose by the newer names, which torch does not tell by the older one
            stack.enter_context(_set(torch.backends.cuda.matmul, "fp32_precision", "ieee"))
        else:
            if not is_whole:
                stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
                torch.set_float32_matmul_precision("highest")
        yield


@contextmanager
def _set(place: object, name: str, value: object) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turn a device's running out of memory into our own error.

    Args:
        advice: what the person can do, as the end of a sentence.
    Raises:
        OutOfMemoryError: the device ran out of memory inside.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"not enough memory: {_first_line(error)}; {advice}") from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that the device ran out of memory; a CPU, Apple's GPU, and page-locked memory in words only."""
    words = (
        "not enough memory",
        "can't allocate memory",
        "MPS backend out of memory",
        "[CUDA]: out of memory",
        *CUDA_WORDS,
    )
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)


def _devices_here() -> list[str]:
    cuda = ["cuda"] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def release_memory(device: torch.device) -> None:
    """Give back to the system what allocators hold and nothing uses, so that a second model gets the room of the first."""
    give_back()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()

"""What a device can do: 16 bits only where there are instructions for them."""

from contextlib import nullcontext

import pytest
import torch

from scumble.config import TrainConfig
from scumble.device import choose_dtype, slow_precision
from scumble.errors import ConfigError
from scumble.train.plan import make_plan
from scumble.train.resolve import default_precision

CPU = torch.device("cpu")
ASKED = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}


@pytest.fixture(params=[False, True], ids=["without instructions", "with instructions"])
def has_instructions(request, monkeypatch):
    for name in ASKED.values():
        monkeypatch.setattr(torch.ops.mkldnn, name, lambda: request.param)
    return request.param


@pytest.mark.parametrize("dtype", ASKED)
def test_only_a_processor_without_the_instructions_is_warned_about(has_instructions, dtype):
    said = slow_precision(dtype, CPU)
    assert (said is None) == has_instructions
    assert has_instructions or f"no instructions for {'bf16' if dtype == torch.bfloat16 else 'fp16'}" in said


def test_float32_and_other_devices_are_not_asked_about(has_instructions):
    assert slow_precision(torch.float32, CPU) is None
    assert slow_precision(torch.bfloat16, torch.device("cuda")) is None
    assert slow_precision(torch.float16, torch.device("mps")) is None


def test_training_says_it_before_it_starts(has_instructions, photos, tmp_path, tiny_base):
    values = {
        "model": {"base": str(tiny_base)},
        "data": {"folder": photos},
        "training": {"mixed_precision": "bf16"},
        "output": {"output_dir": tmp_path / "runs"},
    }
    notes = make_plan(TrainConfig.model_validate(values)).notes
    assert [note.warning for note in notes if "no instructions for bf16" in note.text] == [True] * (
        not has_instructions
    )


@pytest.mark.parametrize("is_real", [True, False])
def test_a_gpu_that_only_imitates_bf16_has_none(monkeypatch, is_real):
    """torch says that it is supported on older GPUs too, unless it is asked without emulation."""
    monkeypatch.setattr("torch.cuda.device", lambda device: nullcontext())
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or is_real)
    gpu = torch.device("cuda", 1)
    assert default_precision(gpu) == ("bf16" if is_real else "fp16")
    if is_real:
        assert choose_dtype("bf16", gpu) == torch.bfloat16
    else:
        with pytest.raises(ConfigError, match="cannot compute in bfloat16; use fp16"):
            choose_dtype("bf16", gpu)

"""A CPU without instructions for 16 bits is warned about: training in bf16 on it takes many times as long."""

import pytest
import torch

from scumble.config import TrainConfig
from scumble.device import slow_precision
from scumble.train.plan import make_plan

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

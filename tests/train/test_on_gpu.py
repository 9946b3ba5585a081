"""What a GPU has otherwise than a CPU."""

import pytest
import torch
from torch import nn

from scumble.adapters.pack import Storage, store
from scumble.families.find import open_base
from scumble.train.events import Finished
from scumble.train.loop import train

CPU = torch.device("cpu")


@pytest.mark.parametrize("storage", [Storage(), Storage("nf4")])
def test_nothing_is_laid_out_anew_on_a_cpu(tiny_base, storage):
    denoiser = store(open_base(str(tiny_base)).load_denoiser(torch.float32, CPU), storage, CPU)
    assert denoiser.conv_in.weight.is_contiguous()


def test_a_gpu_has_the_channels_of_plain_convolutions_last(tiny_base):
    """The trained denoiser and the fresh one of the proof alike, so that cuDNN takes the same algorithms for both."""
    denoiser = open_base(str(tiny_base)).load_denoiser(torch.float32, CPU)
    denoiser.to = lambda *device, **more: nn.Module.to(denoiser, **more)  # there is no GPU to go to
    weight = store(denoiser, Storage(), torch.device("cuda")).conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def tf32(numbers):
    """Rounded to 10 bits after the point, as a GPU's matrix units read float32 where they may."""
    return ((numbers.detach().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def is_tf32():
    """Whether convolutions may round so; torch 2.9 and newer has a precision for each kind of operation."""
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision == "tf32" if hasattr(cudnn, "conv") else cudnn.allow_tf32


class Tf32Convolution(torch.autograd.Function):
    """A convolution of rounded numbers; its gradient is that of the exact one."""

    @staticmethod
    def forward(context, x, weight, bias, *how):
        context.save_for_backward(x, weight)
        context.how = how
        return torch.conv2d(tf32(x), tf32(weight), bias, *how)

    @staticmethod
    def backward(context, gradient):
        x, weight = context.saved_tensors
        stride, padding, dilation, groups = context.how
        sides = (torch.nn.grad.conv2d_input, x.shape, weight), (torch.nn.grad.conv2d_weight, x, weight.shape)
        found = [side(*given, gradient, stride, padding, dilation, groups) for side, *given in sides]
        return *found, gradient.sum((0, 2, 3)), *[None] * 4


def test_a_run_of_little_effect_is_proven_where_convolutions_round(common, narrow_base, monkeypatch):
    """The proof counts the roundings of float32, so that it must not be done in TF32, which GPUs take for convolutions."""
    plain, used = torch.nn.functional.conv2d, []

    def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        is_rounded = is_tf32() and x.dtype == torch.float32
        used.append(is_rounded)
        how = (stride, padding, dilation, groups)
        return Tf32Convolution.apply(x, weight, bias, *how) if is_rounded else plain(x, weight, bias, *how)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    short = {"training": {"max_train_steps": 2}, "optimizer": {"learning_rate": 1e-5}}
    events = list(train(common({"model": {"base": str(narrow_base)}}, short)))
    assert isinstance(events[-1], Finished)
    assert set(used) == {True, False}
    assert is_tf32()

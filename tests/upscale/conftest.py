"""Tiny upscalers of real architectures with random weights, as files with the key names of the published ones."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from scumble.upscale.model import open_upscaler


def compact(scale=2, **other):
    """Looks 4 pixels far, and adds to the picture that is enlarged by repeating pixels."""
    from spandrel.architectures.Compact import Compact

    return Compact(**{"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 2, "upscale": scale, **other})


def esrgan(scale=4, **other):
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(**{"num_filters": 16, "num_blocks": 1, "scale": scale, **other})


def span(scale=2):
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=12, upscale=scale)


def swin_ir(scale=2):
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        img_size=16,
        window_size=8,
        depths=[2],
        embed_dim=12,
        num_heads=[2],
        upscale=scale,
        upsampler="pixelshuffledirect",
    )


def hat(scale=2):
    from spandrel.architectures.HAT import HAT

    return HAT(img_size=16, window_size=8, depths=[2], embed_dim=32, num_heads=[2], upscale=scale, num_feat=64)


def dat(scale=2):
    from spandrel.architectures.DAT import DAT

    return DAT(img_size=16, split_size=[4, 8], depth=[2], embed_dim=32, num_heads=[2], upscale=scale)


def plksr(scale=2):
    from spandrel.architectures.PLKSR import PLKSR

    return PLKSR(dim=16, n_blocks=2, upscaling_factor=scale, kernel_size=5)


KINDS = {
    "RealESRGAN Compact": compact,
    "ESRGAN": esrgan,
    "SPAN": span,
    "SwinIR": swin_ir,
    "HAT": hat,
    "DAT": dat,
    "PLKSR": plksr,
}


def tensors_of(model):
    """Its state, each tensor with memory of its own."""
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


@pytest.fixture
def write_model(tmp_path):
    """Writes a model as a safetensors file."""

    def write(make=compact, name="model", **how):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = make(**how)
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors_of(model), path)
        return path

    return write


@pytest.fixture
def upscaler(write_model, cpu):
    """The one that looks 4 pixels far, 2x, made twice as sensitive."""
    opened = open_upscaler(write_model(), cpu)
    for parameter in opened.descriptor.model.parameters():
        parameter.mul_(2)
    return opened


def scene(width=40, height=30, seed=0):
    """A picture with edges and slopes everywhere."""
    y, x = np.mgrid[:height, :width]
    random = np.random.default_rng(seed)
    pixels = np.stack([x * 255 / width, y * 255 / height, 128 + 127 * np.sin(x * y / 20)], axis=-1)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = random.integers(0, 256, 3)
    return Image.fromarray(pixels.astype(np.uint8))

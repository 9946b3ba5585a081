"""Training the mini model's autoencoder on pictures of every look and colour, so that adapters can reach them.

Tensor names carry their shape: B pictures, C channels, H and W pixels or latent cells.
"""

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from scumble.mini.architecture import LATENT_CHANNELS
from scumble.mini.handwriting import Handwriting
from scumble.mini.paint import (
    INKS,
    LOOKS,
    PAPERS,
    Brush,
    Colour,
    Jitter,
    jittered,
    paint,
    random_colours,
    random_matrix,
    readable_pairs,
)

_LOOK_WEIGHTS = (0.40, 0.12, 0.28, 0.10, 0.10)  # of LOOKS; thin outlines are the hardest to decode
_NAMED_SHARE = 0.4  # pictures in the colours that the base knows
_MONOCHROME_SHARE = 0.15
_STRAIGHT = Jitter(rotation_deg=12, scale=0.12, shear=0.15, shift_px=4.0, weight=0.08)
_TURNED = Jitter(rotation_deg=45, scale=0.2, shear=0.2, shift_px=6.0, weight=0.08, quarter_turns=True)
_PAIRS = readable_pairs(INKS, PAPERS)


def any_brush(random: Generator) -> Brush:
    """A brush of any look, any two colours that contrast, light on dark as often as dark on light."""
    ink, paper = _any_colours(random)
    jitter = _STRAIGHT if random.random() < 0.6 else _TURNED
    look = LOOKS[int(random.choice(len(LOOKS), p=_LOOK_WEIGHTS))]
    return Brush(ink, paper, look, random.uniform(-jitter.weight, jitter.weight), random_matrix(random, jitter))


def _any_colours(random: Generator) -> tuple[Colour, Colour]:
    """Ink and paper: of the base's pairs, near-white on near-black or the reverse, or any that contrast."""
    kind = random.random()
    if kind < _NAMED_SHARE:
        ink_name, paper_name = _PAIRS[random.integers(len(_PAIRS))]
        ink, paper = jittered(INKS[ink_name], random), jittered(PAPERS[paper_name], random)
        return (ink, paper) if random.random() < 0.8 else (paper, ink)
    if kind < _NAMED_SHARE + _MONOCHROME_SHARE:
        light, dark = jittered((240, 240, 240), random, 15), jittered((30, 30, 30), random, 25)
        return (light, dark) if random.random() < 0.6 else (dark, light)
    return random_colours(random)


def autoencoder_batch(handwriting: Handwriting, seed: int, step: int, batch_size: int) -> Tensor:
    """The pictures of one step, [B, 3, 64, 64] in -1..1: a pure function of its arguments."""
    random = np.random.default_rng([seed, step])
    rows = random.integers(len(handwriting), size=batch_size)
    brushes = [any_brush(random) for _ in range(batch_size)]
    return 2 * paint(torch.from_numpy(handwriting.glyphs[rows]), brushes) - 1


@torch.no_grad()
def ease_the_start(vae: AutoencoderKL) -> None:
    """Begin as a plain pyramid: resampling averages or copies its channels, and latents have little noise.

    With the libraries' initial weights the colours take thousands of steps to get through.
    """
    for module in vae.modules():
        if isinstance(module, Downsample2D | Upsample2D):
            torch.nn.init.dirac_(module.conv.weight)
            module.conv.bias.zero_()
        if isinstance(module, Downsample2D):
            module.conv.weight.copy_(module.conv.weight.sum(dim=(2, 3), keepdim=True).expand(-1, -1, 3, 3) / 9)
    vae.quant_conv.weight[LATENT_CHANNELS:] *= 0.1
    vae.quant_conv.bias[LATENT_CHANNELS:] = -5.0  # log-variance


def autoencoder_loss(vae: AutoencoderKL, pictures_BCHW: Tensor, generator: torch.Generator, kl_weight: float) -> Tensor:
    """Error of pixels, of their differences (crisp edges) and of 8 px means (colours), and the mean KL per latent.

    Args:
        pictures_BCHW: in -1..1.
        generator: of the latents' noise.
        kl_weight: larger gives smoother latents and softer pictures.
    Returns:
        A scalar.
    """
    posterior = vae.encode(pictures_BCHW).latent_dist
    decoded_BCHW = vae.decode(posterior.sample(generator)).sample.float()
    error = decoded_BCHW - pictures_BCHW
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    variance = posterior.logvar.float().exp()
    kl = 0.5 * (posterior.mean.float() ** 2 + variance - 1 - posterior.logvar.float()).mean()
    colours = functional.avg_pool2d(error, 8).abs().mean()
    loss: Tensor = error.abs().mean() + 0.5 * edges + 0.5 * error.square().mean() + colours + kl_weight * kl
    return loss


@torch.no_grad()
def fold_normalisation(vae: AutoencoderKL, pictures_BCHW: Tensor, scale: float) -> None:
    """Fold into the 1x1 convolutions around the latents what makes scale * latents of mean 0 and deviation 1.

    Args:
        vae: changed in place; what it reconstructs stays the same.
        pictures_BCHW: in -1..1, of the kind that the denoiser will learn.
        scale: the scaling factor that the pipeline multiplies latents by.
    """
    posterior = vae.encode(pictures_BCHW).latent_dist
    mean = posterior.mean.mean(dim=(0, 2, 3))
    spread = (posterior.mean.var(dim=(0, 2, 3)) + posterior.var.mean(dim=(0, 2, 3))).sqrt() * scale
    channels = len(mean)
    to_latents, from_latents = vae.quant_conv, vae.post_quant_conv
    to_latents.weight[:channels] /= spread[:, None, None, None]
    to_latents.bias[:channels].sub_(mean).div_(spread)
    to_latents.bias[channels:] -= 2 * spread.log()
    from_latents.bias += torch.einsum("oikl,i->o", from_latents.weight, mean)
    from_latents.weight *= spread[None, :, None, None]

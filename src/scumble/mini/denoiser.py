"""Training the mini model's denoiser and text encoder together, on latents that were encoded once.

Tensor names carry their shape: N pictures of the pool, B of one step, U different captions, T tokens, D features.
"""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from scumble.mini.architecture import LATENT_SCALE, MiniModel, build_scheduler
from scumble.mini.captions import CaptionShares, random_caption, random_fancy_caption
from scumble.mini.handwriting import Handwriting
from scumble.mini.paint import (
    INKS,
    PAPERS,
    Brush,
    Jitter,
    jittered,
    paint,
    random_colours,
    random_matrix,
    readable_pairs,
)

SNR_CEILING = 5.0  # min-SNR weights (Hang et al. 2023, arXiv:2303.09556): what decides the digit counts most
_PAIRS = readable_pairs(INKS, PAPERS)
_JITTER = Jitter()
_FANCY_JITTER = Jitter(rotation_deg=16, scale=0.14, shear=0.15, shift_px=4.0, weight=0.08)
FANCY_LOOKS = ("plain", "thick", "outlined", "shadowed")  # never "striped": that is for an adapter to teach


@dataclass(frozen=True)
class Scene:
    """What one picture of the pool shows."""

    digit: int
    ink: str
    paper: str
    look: str | None = None  # of a fancy picture, whose colours have no words

    def caption(self, random: Generator, shares: CaptionShares) -> str:
        """A caption with parts left out at random."""
        if self.look is not None:
            return random_fancy_caption(self.digit, self.look, random, shares)
        return random_caption(self.digit, self.ink, self.paper, random, shares)


@dataclass(frozen=True)
class Pool:
    """Painted pictures as scaled latents: `means` and `deviations` [N, 4, 8, 8], what each shows in `scenes`."""

    scenes: list[Scene]
    means: Tensor
    deviations: Tensor


@dataclass(frozen=True)
class DenoiserBatch:
    """One step's data: noisy latents [B, 4, 8, 8], the noise in them, timesteps [B], captions, loss weights [B]."""

    noisy: Tensor
    noise: Tensor
    timesteps: Tensor
    captions: list[str]
    weights: Tensor


def paint_scenes(
    handwriting: Handwriting, seed: int, first: int, count: int, fancy_share: float
) -> tuple[Tensor, list[Scene]]:
    """Pictures `first`.. of the endless row of training pictures, [count, 3, 64, 64] in 0..1, and what they show.

    Args:
        fancy_share: share of pictures in other looks and any colours. A base that knows only a few light papers
            resists adapters: it cannot be moved to dark ones by 24 pictures.
    """
    scenes, brushes, rows = [], [], []
    for index in range(first, first + count):
        random = np.random.default_rng([seed, index])
        row = int(random.integers(len(handwriting)))
        rows.append(row)
        digit = int(handwriting.digits[row])
        if random.random() < fancy_share:
            brush = _fancy_brush(random)
            scenes.append(Scene(digit, "", "", brush.look))
        else:
            ink, paper = _PAIRS[int(random.integers(len(_PAIRS)))]
            brush = plain_brush(ink, paper, random)
            scenes.append(Scene(digit, ink, paper))
        brushes.append(brush)
    return paint(torch.from_numpy(handwriting.glyphs[rows]), brushes), scenes


def plain_brush(ink: str, paper: str, random: Generator) -> Brush:
    """A plain stroke in these colours, placed as the base knows it."""
    weight = random.uniform(-_JITTER.weight, _JITTER.weight)
    matrix = random_matrix(random, _JITTER)
    return Brush(jittered(INKS[ink], random), jittered(PAPERS[paper], random), "plain", weight, matrix)


def _fancy_brush(random: Generator) -> Brush:
    look = FANCY_LOOKS[int(random.integers(len(FANCY_LOOKS)))]
    weight = random.uniform(-_FANCY_JITTER.weight, _FANCY_JITTER.weight)
    return Brush(*random_colours(random), look, weight, random_matrix(random, _FANCY_JITTER))


@torch.no_grad()
def encode_chunk(vae: AutoencoderKL, pictures_N3HW: Tensor, scenes: list[Scene]) -> Pool:
    """Encode pictures in 0..1."""
    posterior = vae.encode(2 * pictures_N3HW - 1).latent_dist
    return Pool(scenes, posterior.mean * LATENT_SCALE, posterior.std * LATENT_SCALE)


def join_pools(pools: list[Pool]) -> Pool:
    """One pool of all."""
    scenes = [scene for pool in pools for scene in pool.scenes]
    return Pool(scenes, torch.cat([pool.means for pool in pools]), torch.cat([pool.deviations for pool in pools]))


def denoiser_batch(pool: Pool, alphas: Tensor, seed: int, step: int, size: int, shares: CaptionShares) -> DenoiserBatch:
    """The data of one step: a pure function of its arguments.

    Args:
        alphas: the scheduler's cumulative products, [1000].
    """
    random = np.random.default_rng([seed, step])
    rows = torch.from_numpy(random.integers(len(pool.scenes), size=size))
    scenes = [pool.scenes[row] for row in rows.tolist()]
    captions = [scene.caption(random, shares) for scene in scenes]
    # Stratified: each step sees all of the noise levels, which steadies the gradient.
    timesteps = torch.from_numpy(((np.arange(size) + random.random(size)) * len(alphas) / size).astype(np.int64))
    generator = torch.Generator().manual_seed(int(random.integers(2**62)))
    latents = pool.means[rows] + pool.deviations[rows] * torch.randn(pool.means[rows].shape, generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    alpha = alphas[timesteps]
    noisy = alpha.sqrt()[:, None, None, None] * latents + (1 - alpha).sqrt()[:, None, None, None] * noise
    return DenoiserBatch(noisy, noise, timesteps, captions, min_snr_weight(alpha))


def min_snr_weight(alpha: Tensor, ceiling: float = SNR_CEILING) -> Tensor:
    """Loss weight of noise prediction, min(SNR, ceiling) / SNR; alpha is the cumulative product, any shape."""
    snr = alpha / (1 - alpha)
    return snr.clamp(max=ceiling) / snr


def encode_captions(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Text states [B, T, D]; captions that occur more than once are encoded once."""
    different = sorted(set(captions))
    tokens_UT = tokenizer(
        different, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    states_UTD: Tensor = text_encoder(tokens_UT).last_hidden_state
    places = {text: index for index, text in enumerate(different)}
    return states_UTD[torch.tensor([places[text] for text in captions])]


def denoiser_loss(model: MiniModel, tokenizer: CLIPTokenizer, batch: DenoiserBatch) -> Tensor:
    """Weighted mean squared error of the predicted noise, a scalar."""
    states = encode_captions(tokenizer, model.text_encoder, batch.captions)
    predicted = model.unet(batch.noisy, batch.timesteps, encoder_hidden_states=states).sample.float()
    errors = functional.mse_loss(predicted, batch.noise, reduction="none").mean(dim=(1, 2, 3))
    loss: Tensor = (batch.weights * errors).mean()
    return loss


@torch.no_grad()
def sample(
    model: MiniModel,
    tokenizer: CLIPTokenizer,
    prompts: list[str],
    seed: int,
    num_steps: int = 20,
    guidance: float = 4.0,
) -> Tensor:
    """Pictures [B, 3, 64, 64] in 0..1 for the prompts, by DDIM with classifier-free guidance."""
    scheduler = build_scheduler()
    scheduler.set_timesteps(num_steps)
    states = encode_captions(tokenizer, model.text_encoder, [*prompts, *("" for _ in prompts)])
    latents = torch.randn((len(prompts), 4, 8, 8), generator=torch.Generator().manual_seed(seed))
    for timestep in scheduler.timesteps:
        both = model.unet(torch.cat([latents, latents]), timestep, encoder_hidden_states=states).sample.float()
        asked, unasked = both.chunk(2)
        latents = scheduler.step(unasked + guidance * (asked - unasked), timestep, latents).prev_sample
    decoded: Tensor = model.vae.decode(latents / LATENT_SCALE).sample
    return (decoded / 2 + 0.5).clamp(0, 1)

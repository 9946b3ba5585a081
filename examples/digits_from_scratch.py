"""Stable Diffusion's idea from scratch on handwritten digits, then a LoRA on its cross-attention makes it better.

1. A small denoiser learns scikit-learn's digits from noise, told by four tokens which digit it is; it stops too early.
2. A LoRA on the cross-attention's q, k and v alone (attn2) trains ten more epochs on the same digits.
3. A judge (a support vector machine that learnt from other handwriting) says how many drawn digits are right:
   without the LoRA, with it, and with it folded into the weights (W = W0 + (alpha/r) B A, no extra time).

    python examples/digits_from_scratch.py --out digits --seeds 0 1 2
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from PIL import Image
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional

from scumble.adapters import lora
from scumble.adapters.inject import attach, eject, fold, set_strength, unfold
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.families.base import pixels_to_image
from scumble.generate.grid import labelled_grid
from scumble.mini.handwriting import Handwriting, read_handwriting, split
from scumble.mini.paint import Brush, paint

SIZE_PX = 8
TOKENS, WIDTH = 4, 64
NOTHING = 10  # the digit's place for "no digit": what classifier-free guidance compares with
BATCH = 16
GUIDANCE, STEPS = 3.0, 20


class Digits(nn.Module):
    """A denoiser and the tokens that tell it the digit: [11, 4, 64], one row a digit, the last for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Parameter(0.5 * torch.randn(11, TOKENS, WIDTH))
        self.denoiser = UNet2DConditionModel(
            sample_size=SIZE_PX, in_channels=1, out_channels=1, block_out_channels=(32, 64), layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), norm_num_groups=8,
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=WIDTH, attention_head_dim=4,
        )  # fmt: skip

    def forward(self, noisy: Tensor, timesteps: Tensor, digits: Tensor) -> Tensor:
        """The noise in noisy pictures [B, 1, 8, 8] of digits [B]."""
        predicted: Tensor = self.denoiser(noisy, timesteps, self.tokens[digits]).sample
        return predicted


def as_pictures(handwriting: Handwriting) -> Tensor:
    """[N, 1, 8, 8] in [-1, 1]."""
    glyphs = torch.from_numpy(handwriting.glyphs)[:, None]
    return functional.interpolate(glyphs, size=SIZE_PX, mode="bicubic", align_corners=False).clamp(0, 1) * 2 - 1


def train(
    model: Digits,
    parameters: Sequence[nn.Parameter],
    data: tuple[Tensor, Tensor],
    epochs: int,
    rates: tuple[float, float],
    seed: int,
) -> None:
    """Noise prediction with DDPM's noise, from the first rate to the second; one digit in ten is left unsaid."""
    pictures, digits = data
    scheduler = DDIMScheduler()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameters, lr=rates[0])
    num_steps = epochs * -(-len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, rates[1] / rates[0], num_steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(pictures), generator=generator).split(BATCH):
            clean, noise = pictures[rows], torch.randn(pictures[rows].shape, generator=generator)
            timesteps = torch.randint(0, 1000, (len(rows),), generator=generator)
            told = digits[rows].where(torch.rand(len(rows), generator=generator) > 0.1, torch.tensor(NOTHING))
            loss = functional.mse_loss(model(scheduler.add_noise(clean, noise, timesteps), timesteps, told), noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def draw(model: Digits, digits: Tensor, seed: int) -> Tensor:
    """One picture for each digit, [N, 1, 8, 8]: noise, then 20 steps of DDIM with guidance."""
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(STEPS)
    pictures = torch.randn((len(digits), 1, SIZE_PX, SIZE_PX), generator=torch.Generator().manual_seed(seed))
    both = torch.cat([digits, torch.full_like(digits, NOTHING)])
    for timestep in scheduler.timesteps:
        told, untold = model(torch.cat([pictures, pictures]), timestep, both).chunk(2)
        pictures = scheduler.step(untold + GUIDANCE * (told - untold), timestep, pictures).prev_sample
    return pictures.clamp(-1, 1)


def accuracy(judge: SVC, pictures: Tensor, digits: Tensor) -> float:
    """The share of pictures in which the judge sees the digit that was asked for."""
    return float((judge.predict(pictures.flatten(1).numpy()) == digits.numpy()).mean())


def one_seed(
    seed: int, judge: SVC, data: tuple[Tensor, Tensor], epochs: tuple[int, int], count: int
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Base, LoRA, folded: the judge's figures and ten pictures of each, all from the same noise."""
    torch.manual_seed(seed)
    model = Digits()
    train(model, list(model.parameters()), data, epochs[0], (1e-3, 1e-3), seed)
    model.requires_grad_(False)
    targets = find_targets(model.denoiser, ["*.attn2.to_q", "*.attn2.to_k", "*.attn2.to_v"])
    generator = torch.Generator().manual_seed(seed)
    adapters = {
        path: lora.create(model.denoiser.get_submodule(path), AdapterRecipe("lora", 8, 16.0), generator)
        for path in targets
    }
    attach(model.denoiser, "digits", adapters)
    trainable = [parameter for adapter in adapters.values() for parameter in adapter.parameters()]
    train(model, trainable, data, epochs[1], (6e-3, 0.0), seed + 1)

    asked = torch.arange(count) % 10
    pictures = {"with LoRA": draw(model, asked, seed)}
    set_strength(model.denoiser, "digits", 0.0)
    pictures = {"without": draw(model, asked, seed), **pictures}
    set_strength(model.denoiser, "digits", 1.0)
    fold(model.denoiser)
    pictures["folded in"] = draw(model, asked, seed)
    unfold(model.denoiser)
    eject(model.denoiser)
    return {name: accuracy(judge, drawn, asked) for name, drawn in pictures.items()}, pictures


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Run all seeds, print and save the figures and the pictures of the first seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("digits"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, nargs=2, default=[7, 10], help="of the base, of the LoRA")
    parser.add_argument("--pictures", type=int, default=500, help="judged for each figure")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    everyone = read_handwriting()
    others, own = split(everyone, "judge"), split(everyone, "base")
    judge = SVC(C=10).fit(as_pictures(others).flatten(1).numpy(), others.digits)
    data = (as_pictures(own), torch.from_numpy(own.digits))

    figures: dict[str, list[float]] = {"without": [], "with LoRA": [], "folded in": []}
    for seed in options.seeds:
        marks, pictures = one_seed(seed, judge, data, tuple(options.epochs), options.pictures)
        for name, mark in marks.items():
            figures[name].append(mark)
        print(f"seed {seed}: " + ", ".join(f"{name} {100 * mark:.1f} %" for name, mark in marks.items()))
        if seed == options.seeds[0]:
            pictures["handwriting"] = torch.stack([data[0][data[1] == digit][0] for digit in range(10)])
            rows = [to_images(drawn[:10]) for drawn in pictures.values()]
            labelled_grid(rows, [str(d) for d in range(10)], list(pictures)).save(options.out / "digits.png")
    for name, marks_of in figures.items():
        spread = statistics.stdev(marks_of) if len(marks_of) > 1 else 0.0
        print(f"{name}: mean {100 * statistics.mean(marks_of):.1f} %, spread {100 * spread:.1f}")
    (options.out / "digits.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def to_images(pictures: Tensor) -> list[Image.Image]:
    """Ink on paper, as the model in the box paints its coarse glyphs: [N, 1, 8, 8] -> N pictures of 64 pixels."""
    brush = Brush((25, 25, 28), (250, 250, 248), "plain", 0.0, ((1.2, 0.0, 0.0), (0.0, 1.2, 0.0)))
    painted = paint((pictures[:, 0] + 1) / 2, [brush] * len(pictures))
    return [pixels_to_image(2 * picture - 1) for picture in painted]


if __name__ == "__main__":
    main()

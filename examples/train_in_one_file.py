"""A LoRA for Stable Diffusion 1.x in one file, with nothing but torch and diffusers.

    python examples/train_in_one_file.py --base BASE --pictures FOLDER --out lora

BASE is a hub id or a pipeline folder; FOLDER holds pictures, each with its caption in a .txt file of the same name.
The LoRA and a picture "before | after" go to the folder `lora`.

The idea, after Hu et al. 2021 (arXiv:2106.09685). A trained layer computes h = W x. To teach it something new, W stays
as it is, and the change of W is learnt instead, as the product of two thin matrices:

    h = W x + (alpha / r) B A x          W: [out, in]   A: [r, in]   B: [out, r]   r is small: 4 to 32

A starts at random and B at zero, so that training begins with exactly the old model. Only A and B are trained and
saved: a few million numbers beside the model's 860 million.

What they are trained on is the model's own task, after Ho et al. 2020 (arXiv:2006.11239): take a picture, add noise to
it, and say which noise it was. This file leaves out all that makes training fast and comfortable; scumble does that.
"""

import argparse
from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.utils import load_image, make_image_grid
from torch import nn
from torch.nn import functional

ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")  # the four linear layers of each attention
FILE_NAME = "lora.safetensors"
BATCH_SIZE = 1


class LoRALinear(nn.Module):
    """h = W x + (alpha / r) B A x, where W is the frozen layer."""

    def __init__(self, frozen: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.frozen = frozen
        self.A = nn.Parameter(torch.empty(rank, frozen.in_features, device=frozen.weight.device))
        self.B = nn.Parameter(torch.zeros(frozen.out_features, rank, device=frozen.weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.A, a=5**0.5)

    def forward(self, x):
        return self.frozen(x) + self.scale * (x @ self.A.T @ self.B.T)


def load_base(base: str, device: str) -> StableDiffusionPipeline:
    """The whole pipeline, in float32, with every weight frozen."""
    pipe = StableDiffusionPipeline.from_pretrained(base, safety_checker=None).to(device)
    if pipe.scheduler.config.prediction_type != "epsilon":
        raise SystemExit(f"{base} does not predict the noise, and this file knows nothing else")
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.requires_grad_(False)
    return pipe


def inject(unet: nn.Module, rank: int, alpha: float) -> dict[str, LoRALinear]:
    """Put a new LoRALinear in the place of each attention layer; the layers by their path in the model."""
    paths = [path for path, layer in unet.named_modules() if path.endswith(ADAPTED) and isinstance(layer, nn.Linear)]
    layers = {path: LoRALinear(unet.get_submodule(path), rank, alpha) for path in paths}
    for path, layer in layers.items():
        unet.set_submodule(path, layer)
    return layers


@torch.no_grad()
def read_samples(pipe: StableDiffusionPipeline, folder: Path, size: int) -> tuple[list[tuple], list[str]]:
    """What the UNet sees of each picture and of its caption, computed once; and the captions."""
    samples, captions = [], []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp"}:
            continue
        caption = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        picture = load_image(str(path))  # upright, RGB
        side, (left, top) = min(picture.size), ((length - min(picture.size)) // 2 for length in picture.size)
        square = picture.crop((left, top, left + side, top + side))
        pixels = pipe.image_processor.preprocess(square, size, size)  # [1, 3, size, size] in -1..1
        posterior = pipe.vae.encode(pixels.to(pipe.device)).latent_dist  # a distribution: draw from it in each step
        tokens = pipe.tokenizer(caption, padding="max_length", truncation=True, return_tensors="pt").input_ids
        text = pipe.text_encoder(tokens.to(pipe.device))[0]  # [1, tokens, width]
        samples.append((posterior, text))
        captions.append(caption)
    if not samples:
        raise SystemExit(f"there is no picture in {folder}")
    return samples, captions


def train(pipe: StableDiffusionPipeline, layers: dict[str, LoRALinear], samples: list, steps: int, rate: float):
    """Learn A and B of every layer; the loss of each step."""
    schedule = DDPMScheduler.from_config(pipe.scheduler.config)
    optimizer = torch.optim.AdamW([p for layer in layers.values() for p in (layer.A, layer.B)], rate, weight_decay=1e-2)
    losses = []
    for step in range(1, steps + 1):
        chosen = [samples[index] for index in torch.randint(len(samples), (BATCH_SIZE,))]
        # the UNet works on latents of variance 1, not on pixels: hence the autoencoder and its scaling factor
        latents = torch.cat([posterior.sample() for posterior, _ in chosen]) * pipe.vae.config.scaling_factor
        text = torch.cat([text for _, text in chosen])
        noise = torch.randn_like(latents)
        timesteps = torch.randint(schedule.config.num_train_timesteps, (BATCH_SIZE,), device=latents.device)
        noisy = schedule.add_noise(latents, noise, timesteps)  # sqrt(abar) latents + sqrt(1 - abar) noise

        loss = functional.mse_loss(pipe.unet(noisy, timesteps, text).sample, noise)

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            recent = losses[-50:]
            print(f"step {step} of {steps}: loss {sum(recent) / len(recent):.4f}, mean of {len(recent)}")
    return losses


def save(layers: dict[str, LoRALinear], folder: Path) -> None:
    """A and B of every layer, in the names that diffusers knows. No reader has to guess alpha: it goes into B."""
    tensors = {}
    for path, layer in layers.items():
        tensors[f"{path}.lora_A.weight"] = layer.A.detach().cpu()
        tensors[f"{path}.lora_B.weight"] = layer.scale * layer.B.detach().cpu()
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=tensors, weight_name=FILE_NAME)


def load(unet: nn.Module, folder: Path) -> None:
    """The reverse, on a fresh model. `pipe.load_lora_weights(folder)` of diffusers does it too; it needs peft."""
    tensors, _ = StableDiffusionPipeline.lora_state_dict(str(folder), weight_name=FILE_NAME, local_files_only=True)
    rank = next(len(tensor) for name, tensor in tensors.items() if name.endswith("lora_A.weight"))
    for path, layer in inject(unet, rank, alpha=rank).items():
        layer.A.data.copy_(tensors[f"unet.{path}.lora_A.weight"])
        layer.B.data.copy_(tensors[f"unet.{path}.lora_B.weight"])


def draw(pipe: StableDiffusionPipeline, prompt: str, size: int):
    """A picture that depends on the prompt and the model alone: the noise is always the same."""
    generator = torch.Generator().manual_seed(1025)
    return pipe(prompt, size, size, num_inference_steps=30, guidance_scale=7.0, generator=generator).images[0]


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description="Train a LoRA for Stable Diffusion 1.x.")
    parser.add_argument("--base", required=True, help="hub id or pipeline folder")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures with .txt captions")
    parser.add_argument("--out", type=Path, default=Path("lora"), help="folder for the LoRA and the picture")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--resolution", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--prompt", help="what to draw before and after; default: the first caption")
    options = parser.parse_args(arguments)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    pipe = load_base(options.base, device)
    samples, captions = read_samples(pipe, options.pictures, options.resolution)
    prompt = options.prompt or captions[0]
    before = draw(pipe, prompt, options.resolution)

    layers = inject(pipe.unet, options.rank, alpha=2 * options.rank)
    trainable, total = (sum(p.numel() for p in pipe.unet.parameters() if p.requires_grad >= only) for only in (1, 0))
    print(f"{len(layers)} layers adapted: {trainable:,} of {total:,} numbers train ({trainable / total:.2%})")
    losses = train(pipe, layers, samples, options.steps, options.rate)
    save(layers, options.out)

    fresh = load_base(options.base, device)  # what the file says, not what is in memory
    load(fresh.unet, options.out)
    after = draw(fresh, prompt, options.resolution)
    make_image_grid([before, after], rows=1, cols=2).save(options.out / "before_after.png")
    print(f"written: {options.out / FILE_NAME} and {options.out / 'before_after.png'}")
    return losses


if __name__ == "__main__":
    main()

"""A LoRA for Stable Diffusion 1.x in one file, with nothing but torch and diffusers.

    python examples/train_in_one_file.py --base BASE --pictures FOLDER --out lora

BASE is a hub id or a pipeline folder; FOLDER holds pictures, each with its caption in a .txt file of the same name.

A trained layer computes h = W x. To teach it something new, W stays as it is, and the change of W is learnt instead,
as the product of two thin matrices (Hu et al. 2021, arXiv:2106.09685):

    h = W x + (alpha / r) B A x          W: [out, in]   A: [r, in]   B: [out, r]   r is small: 4 to 32

A starts at random and B at zero, so training begins with exactly the old model. Only A and B are trained and saved.
The task is the model's own (Ho et al. 2020, arXiv:2006.11239): add noise to a picture, and say which noise it was.
"""

import argparse
from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.utils import load_image, make_image_grid
from torch import nn

ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")  # the four linear layers of each attention
FILE_NAME = "lora.safetensors"


class LoRALinear(nn.Module):
    """h = W x + (alpha / r) B A x, where W is the frozen layer."""

    def __init__(self, frozen, rank, alpha):
        super().__init__()
        self.frozen = frozen
        self.A = nn.Parameter(torch.empty(rank, frozen.in_features, device=frozen.weight.device))
        self.B = nn.Parameter(torch.zeros(frozen.out_features, rank, device=frozen.weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.A, a=5**0.5)

    def forward(self, x):
        return self.frozen(x) + self.scale * (x @ self.A.T @ self.B.T)


def load_base(base):
    """The whole pipeline, in float32, with every weight frozen."""
    pipe = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    if pipe.scheduler.config.prediction_type != "epsilon":
        raise SystemExit(f"{base} does not predict the noise, and this file knows nothing else")
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.requires_grad_(False)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


def inject(unet, rank, alpha):
    """Put a LoRALinear in the place of each attention layer; returns them by their path in the model."""
    paths = [path for path, layer in unet.named_modules() if path.endswith(ADAPTED) and isinstance(layer, nn.Linear)]
    layers = {path: LoRALinear(unet.get_submodule(path), rank, alpha) for path in paths}
    for path, layer in layers.items():
        unet.set_submodule(path, layer)
    return layers


@torch.no_grad()
def encode(pipe, folder, size):
    """What the UNet shall see of each picture and its caption; they never change, so once is enough."""
    samples = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"}):
        caption = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        # the middle square of the picture, as [1, 3, size, size] in -1..1
        pixels = pipe.image_processor.preprocess(load_image(str(path)), size, size, resize_mode="crop")
        posterior = pipe.vae.encode(pixels.to(pipe.device)).latent_dist  # mean and deviation, [1, 4, size/8, size/8]
        text, _ = pipe.encode_prompt(caption, pipe.device, 1, do_classifier_free_guidance=False)  # [1, 77, width]
        samples.append((caption, posterior, text))
    assert samples, f"there is no picture in {folder}"
    return samples


def train(pipe, layers, samples, steps, rate):
    """Learn A and B of every layer; returns the loss of each step."""
    schedule = DDPMScheduler.from_config(pipe.scheduler.config)
    optimizer = torch.optim.AdamW([p for layer in layers.values() for p in (layer.A, layer.B)], rate, weight_decay=1e-2)
    losses = []
    for step in range(1, steps + 1):
        _, posterior, text = samples[torch.randint(len(samples), ()).item()]
        # the UNet works on latents of about unit variance, not on pixels: hence the autoencoder's scaling factor
        latents = posterior.sample() * pipe.vae.config.scaling_factor
        noise = torch.randn_like(latents)
        timestep = torch.randint(schedule.config.num_train_timesteps, (1,), device=latents.device)
        noisy = schedule.add_noise(latents, noise, timestep)  # sqrt(abar_t) latents + sqrt(1 - abar_t) noise
        loss = nn.functional.mse_loss(pipe.unet(noisy, timestep, text).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            print(f"step {step} of {steps}: mean loss {sum(losses[-50:]) / len(losses[-50:]):.4f}")
    return losses


def save(layers, folder):
    """A and B of every layer, named as diffusers names them. The scale goes into B: no reader has to know alpha."""
    tensors = {}
    for path, layer in layers.items():
        tensors[f"{path}.lora_A.weight"] = layer.A.detach().cpu()
        tensors[f"{path}.lora_B.weight"] = layer.scale * layer.B.detach().cpu()
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=tensors, weight_name=FILE_NAME)


def load(unet, folder):
    """The reverse, onto a fresh model. With peft installed, pipe.load_lora_weights(folder) does it too."""
    tensors, _ = StableDiffusionPipeline.lora_state_dict(str(folder), weight_name=FILE_NAME)
    rank = next(len(tensor) for name, tensor in tensors.items() if name.endswith("lora_A.weight"))
    for path, layer in inject(unet, rank, alpha=rank).items():
        layer.A.data.copy_(tensors[f"unet.{path}.lora_A.weight"])
        layer.B.data.copy_(tensors[f"unet.{path}.lora_B.weight"])


def draw(pipe, prompt, options):
    """A picture from always the same noise: what differs is the model."""
    noise = torch.Generator().manual_seed(1025)
    size, guidance = options.resolution, options.guidance
    return pipe(prompt, size, size, num_inference_steps=30, guidance_scale=guidance, generator=noise).images[0]


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Train a LoRA for Stable Diffusion 1.x and draw before and after.")
    parser.add_argument("--base", required=True, help="hub id or pipeline folder")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures with .txt captions")
    parser.add_argument("--out", type=Path, default="lora", help="folder for the LoRA and the picture before | after")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--resolution", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--guidance", type=float, default=7.0, help="how strictly the drawing keeps to its prompt")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    pipe = load_base(options.base)
    samples = encode(pipe, options.pictures, options.resolution)
    before = draw(pipe, samples[0][0], options)
    layers = inject(pipe.unet, options.rank, alpha=2 * options.rank)
    losses = train(pipe, layers, samples, options.steps, options.rate)
    save(layers, options.out)
    fresh = load_base(options.base)  # the proof: a new model, and what the file holds
    load(fresh.unet, options.out)
    after = draw(fresh, samples[0][0], options)
    make_image_grid([before, after], rows=1, cols=2).save(options.out / "before_after.png")
    return losses


if __name__ == "__main__":
    main()

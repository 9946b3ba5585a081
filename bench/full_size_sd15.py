"""Stable Diffusion 1.5 at full size: does a training step and a picture fit, and in how much memory?

Writes a pipeline folder with the full 860M-parameter architecture and random weights (nothing is downloaded), then runs
`scumble train` for two steps and `scumble generate` on it as processes of their own, and records time and peak memory.

    python bench/full_size_sd15.py --work FOLDER [--resolution 512] [--precision bf16]

The folder needs 2.5 GB; give the same one again to keep the base. Results go to bench/results/.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

LIMIT_GIB = 16


def write_base(folder: Path) -> None:
    """SD 1.5's own settings, random weights, float16 files."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from scumble.mini.tokenizer import write_tokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408
        )
    )
    write_tokenizer(folder / "tokenizer")
    StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet.half(),
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def write_pictures(folder: Path, count: int, size_px: int) -> None:
    """Coloured noise with captions: enough for the machinery."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((size_px, size_px), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text("a photo of sks dog", encoding="utf-8")


def run(arguments: list[str]) -> dict[str, float]:
    """Run one command; seconds and the peak resident memory of the process in GiB."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "scumble", *arguments])
    peak = 0
    watched = psutil.Process(process.pid)

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    thread.join()
    if code:
        raise SystemExit(f"scumble {arguments[0]} ended with exit code {code}: nothing is recorded")
    return {"seconds": round(time.monotonic() - started, 1), "peak_gib": round(peak / 2**30, 2)}


def main() -> None:
    """Write the base if needed, run both commands, record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--precision", choices=["no", "bf16"], default="bf16")
    options = parser.parse_args()
    work, side = options.work, options.resolution
    work.mkdir(parents=True, exist_ok=True)
    base = work / "sd15-random"
    if not (base / "model_index.json").exists():
        write_base(base)
    write_pictures(work / "pictures", 2, side)
    train = run([
        "train", str(work / "pictures"), "--base", str(base), "--output-dir", str(work / "runs"), "--name", "full",
        "--max-train-steps", "2", "--validation-steps", "2", "--resolution", str(side), "--overwrite",
        "--mixed-precision", options.precision, "--cache-dir", str(work / "cache"), "--report-to", "none",
    ])  # fmt: skip
    generate = run([
        "generate", "photo of sks dog <lora:full:0.8>", "--runs-dir", str(work / "runs"), "--base", str(base),
        "--steps", "4", "--sampler", "DPM++ 2M Karras", "--width", str(side), "--height", str(side),
        "--mixed-precision", options.precision, "--out", str(work / "out"),
    ])  # fmt: skip
    result = {
        "date": datetime.date.today().isoformat(),
        "command": f"python bench/full_size_sd15.py --work FOLDER --resolution {side} --precision {options.precision}",
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "train 2 steps": train,
        "generate 4 steps": generate,
        "within_limit": max(train["peak_gib"], generate["peak_gib"]) <= LIMIT_GIB,
    }
    path = Path(__file__).parent / "results" / f"{result['date']}-full-size-sd15-{side}-{options.precision}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""How fast and in how much memory upscalers enlarge: whole against tiles, and whether the estimate of the memory holds.

    python bench/upscale.py [--size 512] [--device cpu]

Models have random weights in the sizes of published ones; every row is measured in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from scumble.check.probe import resident_bytes
from scumble.upscale.model import open_upscaler
from scumble.upscale.tile_size import LARGEST_AT_ONCE, bytes_per_pixel
from scumble.upscale.tiles import Tiling, enlarge

OVERLAP_PX = 32
TILES_PX = (128, 256, 4096)


def models():
    """Name -> a model."""
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.SPAN import SPAN
    from spandrel.architectures.SwinIR import SwinIR

    return {
        "realesr-general (Compact, 32 convolutions)": lambda: Compact(num_conv=32),
        "SPAN, 48 features": lambda: SPAN(num_in_ch=3, num_out_ch=3),
        "ESRGAN, 6 blocks": lambda: ESRGAN(num_blocks=6),
        "SwinIR, small": lambda: SwinIR(
            window_size=8, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upscale=4, upsampler="pixelshuffledirect"
        ),
    }


def measure(path, tile_px, size_px, device):
    """Seconds, peak memory beyond the loaded model, and what was expected of it, as one line of JSON."""
    upscaler = open_upscaler(path, torch.device(device))
    image = Image.effect_mandelbrot((size_px, size_px), (-3, -2.5, 2, 2.5), 100).convert("RGB")
    expected = bytes_per_pixel(upscaler) * min(tile_px, size_px) ** 2
    before = resident_bytes()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of what follows
    begun = time.monotonic()
    steps = enlarge(upscaler, image, Tiling(tile_px, OVERLAP_PX))
    num_tiles = sum(1 for _ in steps)
    seconds = time.monotonic() - begun
    print(json.dumps({"tiles": num_tiles, "seconds": seconds, "peak": peak(device) - before, "expected": expected}))


def peak(device):
    """Most memory that was taken since it was last set back, in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main():
    """Every model, whole and in tiles, as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), int(options.measure[1]), options.size, options.device)
        return
    print(f"{options.size} px on {options.device}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| model | tile | tiles | seconds | pictures/min | peak MB | estimated MB |\n| --- " + "| ---: " * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in models().items():
            path = Path(folder) / "model.safetensors"
            save_file({key: tensor.clone().contiguous() for key, tensor in make().state_dict().items()}, path)
            for tile_px in TILES_PX:
                command = [sys.executable, __file__, "--size", str(options.size), "--device", options.device]
                done = subprocess.run(
                    [*command, "--measure", str(path), str(tile_px)], capture_output=True, text=True, check=True
                )
                found = json.loads(done.stdout)
                tile = "whole" if tile_px >= options.size else f"{tile_px} px"
                print(
                    f"| {name} | {tile} | {found['tiles']} | {found['seconds']:.1f} | {60 / found['seconds']:.1f} | "
                    f"{found['peak'] / 1e6:.0f} | {found['expected'] / 1e6:.0f} |",
                    flush=True,
                )
    print(f"\nestimated: {LARGEST_AT_ONCE} times the largest output of a layer")


if __name__ == "__main__":
    main()

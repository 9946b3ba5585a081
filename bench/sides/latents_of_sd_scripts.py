"""sd-scripts caches the latents of pictures on the disk, in a process of its own interpreter.

    PYTHON bench/sides/latents_of_sd_scripts.py CHECKOUT PICTURES BASE SIDE_PX OUT

Its own class does it, one picture at a time as by default. Prints processor seconds, without imports and loading.
"""

import sys
import time
from pathlib import Path


def main(checkout: str, pictures: str, base: str, side_px: str, out: str) -> None:
    """Load, then encode with the clock running."""
    sys.path.insert(0, checkout)
    import torch
    from diffusers import AutoencoderKL
    from library import train_util
    from library.strategy_sd import SdSdxlLatentsCachingStrategy
    from PIL import Image

    torch.set_num_threads(1)
    train_util.HIGH_VRAM = (
        True  # as --highvram: or it collects garbage after every picture, which takes most of the time
    )
    autoencoder = AutoencoderKL.from_pretrained(base, subfolder="vae").eval()
    caching = SdSdxlLatentsCachingStrategy(True, True, 1, False)
    side = int(side_px)
    began = time.process_time()
    for path in sorted(Path(pictures).glob("*.jpg")):
        info = train_util.ImageInfo(path.name, 1, "", False, str(path))
        with Image.open(path) as image:
            info.image_size = image.size
        scale = side / min(info.image_size)
        info.bucket_reso = (side, side)
        info.resized_size = tuple(max(side, round(length * scale)) for length in info.image_size)
        info.latents_npz = str(Path(out) / f"{path.stem}.npz")
        caching.cache_batch_latents(autoencoder, [info], False, False, False)
    print(f"processor seconds: {time.process_time() - began}")


if __name__ == "__main__":
    main(*sys.argv[1:])

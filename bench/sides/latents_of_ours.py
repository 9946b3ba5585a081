"""scumble caches the latents of pictures, in a process of its own.

    PYTHON bench/sides/latents_of_ours.py PICTURES BASE SIDE_PX OUT [again]

Prints processor seconds, without imports, loading and the look at the folder; with `again` nothing may be computed.
"""

import sys
import time
from pathlib import Path


def main(pictures: str, base_folder: str, side_px: str, out: str, again: str = "") -> None:
    """Load, then encode with the clock running."""
    import torch

    from scumble.data.cache import TensorCache
    from scumble.data.encode import PictureEncoder
    from scumble.data.scan import scan_folder
    from scumble.families.find import open_base

    torch.set_num_threads(1)
    cpu, side, base = torch.device("cpu"), int(side_px), open_base(base_folder)
    autoencoder = base.load_autoencoder(cpu)
    cache = TensorCache(Path(out))
    encoder = PictureEncoder(
        channels=4,
        pixels_per_latent=8,
        is_mirrored=False,
        cache=cache,
        autoencoder_hash=base.hashes()["vae"],
        load_autoencoder=lambda: autoencoder,
        device=cpu,
    )
    examples = scan_folder(Path(pictures), None).examples
    began = time.process_time()
    count = sum(1 for _ in encoder.encode([(example, (side, side)) for example in examples]))
    used = time.process_time() - began
    assert cache.num_made == (0 if again else count), f"{cache.num_made} of {count} were computed"
    print(f"processor seconds: {used}")


if __name__ == "__main__":
    main(*sys.argv[1:])

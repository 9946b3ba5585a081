"""Encodes a folder of pictures through a cache, as a process of its own: python encode_alone.py BASE FOLDER CACHE SECONDS.

Each picture that is computed takes at least SECONDS. Prints how many were computed, and a hash of all latents.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch

from scumble.data.cache import TensorCache
from scumble.data.cache_use import cache_in_use
from scumble.data.encode import PictureEncoder
from scumble.data.scan import scan_folder
from scumble.families.find import open_base

SIDE_PX = 16


class Counting:
    """A real encoder that counts what it computes."""

    def __init__(self, encoder, seconds=0.0):
        self.encoder, self.seconds, self.computed = encoder, seconds, 0

    def encode(self, *asked):
        time.sleep(self.seconds)
        self.computed += 1
        return self.encoder.encode(*asked)


def encode_pictures(base, folder, cache, seconds=0.0, rule=None, side_px=SIDE_PX, is_mirrored=False):
    """How many latents were computed, or None where the autoencoder was not even loaded; and all of them."""
    loaded = []

    def load():
        loaded.append(Counting(base.load_autoencoder(torch.device("cpu")), seconds))
        return loaded[0]

    encoder = PictureEncoder(
        channels=4,
        pixels_per_latent=8,
        is_mirrored=is_mirrored,
        cache=TensorCache(cache),
        autoencoder_hash=base.hashes()["vae"],
        load_autoencoder=load,
        device=torch.device("cpu"),
    )
    latents = list(encoder.encode([(example, (side_px, side_px)) for example in scan_folder(folder, rule).examples]))
    return loaded[0].computed if loaded else None, latents


def digest(latents):
    numbers = [moments for each in latents for moments in (each.upright, each.mirrored) if moments is not None]
    tensors = [tensor for moments in numbers for tensor in (moments.mean, moments.std)]
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    base_path, folder, cache, seconds = sys.argv[1:]
    with cache_in_use(Path(cache)):
        computed, latents = encode_pictures(open_base(base_path), Path(folder), Path(cache), float(seconds))
    print(computed, digest(latents))

"""Decoding in tiles: other pixels than whole, and refused where a tile is no smaller than the picture."""

import numpy as np
import pytest

from scumble.config.generate import GenerateConfig
from scumble.errors import ConfigError
from scumble.generate.run import pictures


def drawn(tiny_base, **settings):
    config = GenerateConfig(prompt="a dog", base=str(tiny_base), steps=2, sampler="DDIM", device="cpu", **settings)
    (picture,) = pictures(config)
    return np.asarray(picture.image, dtype=int)


def test_a_picture_larger_than_a_tile_is_decoded_in_tiles(tiny_base):
    whole, tiled = (drawn(tiny_base, width=64, height=48, vae_tiling=tiling) for tiling in (False, True))
    assert whole.shape == tiled.shape == (48, 64, 3)
    assert (whole != tiled).any()


def test_tiles_that_would_not_be_smaller_are_refused(tiny_base):
    with pytest.raises(ConfigError, match="vae_tiling would have no effect: no side of 32 x 24 is longer than a tile"):
        drawn(tiny_base, width=32, height=24, vae_tiling=True)

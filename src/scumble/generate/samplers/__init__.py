"""Samplers: how a picture comes out of noise, by the names of the WebUI."""

from scumble.generate.samplers.make import make_sampler
from scumble.generate.samplers.names import SAMPLERS, find_sampler

__all__ = ["SAMPLERS", "find_sampler", "make_sampler"]

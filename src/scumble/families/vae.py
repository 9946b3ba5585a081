"""The autoencoder of a base: its own, or another of the same kind that the person asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from scumble.errors import BaseModelError, ConfigError
from scumble.families.checkpoint import CheckpointParts, read_header
from scumble.families.convert import BARE_VAE, VAE
from scumble.families.folder import FolderParts
from scumble.families.hub import find_place
from scumble.families.kl import KlAutoencoder
from scumble.families.parts import Parts, same_vae_scale

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
"""What is fetched of a repository that holds an autoencoder, at its top or in its folder vae."""

MOST_TILE_PX = 512
"""The side of a tile, unless the autoencoder was made for smaller pictures: SDXL's for 1024 px would cut no picture of
its own size, which is where memory runs out."""
IN_TILES = " in tiles of {} px"
"""What the hash of an autoencoder that works in tiles ends in: its latents are slightly other ones."""


@dataclass(frozen=True)
class Vae:
    """Where an autoencoder lies.

    Attributes:
        parts: the folder or file.
        part: its name there; "" = the folder itself.
        config: its settings.
        is_tiled: whether it works on large pictures in overlapping tiles.
        chosen: what the person called it, if it is not the base's own, else "".
    """

    parts: Parts
    part: str
    config: Mapping[str, Any]
    is_tiled: bool = False
    chosen: str = ""

    @property
    def pixels_per_latent(self) -> int:
        """How many pixels a latent is wide."""
        return int(2 ** (len(self.config["block_out_channels"]) - 1))

    @property
    def tile_px(self) -> int:
        """The side of a tile."""
        return min(int(self.config["sample_size"]), MOST_TILE_PX)

    def tiled(self) -> Self:
        """The same autoencoder, working in tiles."""
        return replace(self, is_tiled=True)

    def load(self, device: torch.device) -> KlAutoencoder:
        """The autoencoder, frozen, in float32.

        Raises:
            BaseModelError: its weights cannot be used.
        """
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        model = self.parts.load(self.part, AutoencoderKL, torch.float32, device)
        model.enable_slicing()  # a picture at a time: the same numbers, and the memory of one
        if self.is_tiled:
            model.enable_tiling()
            model.tile_sample_min_size = self.tile_px
            model.tile_latent_min_size = self.tile_px // self.pixels_per_latent
        return KlAutoencoder(model, float(self.config["scaling_factor"]))

    def digest(self) -> str:
        """A hash that changes when its weights or settings do, or the way that it works."""
        return self.parts.digest([self.part]) + (IN_TILES.format(self.tile_px) if self.is_tiled else "")


def own_vae(parts: Parts) -> Vae:
    """The base's own autoencoder.

    Raises:
        BaseModelError: a checkpoint file without one, or settings that cannot be read.
    """
    if isinstance(parts, CheckpointParts) and not parts.header.has(VAE.prefix):
        raise BaseModelError(f"base {parts.name}: the file holds no autoencoder: name one with --vae")
    return Vae(parts, "vae", parts.config("vae"))


def other_vae(name: str, base: Parts) -> Vae:
    """An autoencoder by hub id, folder (its own or a pipeline's) or file, instead of the base's own.

    Args:
        name: as the person gave it.
        base: what it is for; a file takes its settings.
    Raises:
        BaseModelError: not found, or not readable.
        ConfigError: its latents are not those of the base.
    """
    wanted = [place + file for place in ("", "vae/") for file in FILES]
    path = find_place(name, None, wanted)
    vae = _in_file(f"{name} (vae)", path, base) if path.is_file() else _in_folder(f"{name} (vae)", path)
    expected, found = same_vae_scale(base.config("vae")), same_vae_scale(vae.config)
    if found != expected:
        raise ConfigError(
            f"vae={name}: its latents have {found[0]} channels at scale {found[1]}, those of {base.name} have "
            f"{expected[0]} at {expected[1]}: it is for another family; leave vae out or name one of this family"
        )
    return replace(vae, chosen=name)


def _in_folder(name: str, folder: Path) -> Vae:
    part = "vae" if (folder / "vae").is_dir() else ""
    parts = FolderParts(name, folder)
    return Vae(parts, part, parts.config(part))


def _in_file(name: str, path: Path, base: Parts) -> Vae:
    header = read_header(path, name)
    stored = VAE if header.has(VAE.prefix) else BARE_VAE
    if not header.has(f"{stored.prefix}encoder.") or not header.has(f"{stored.prefix}decoder."):
        raise BaseModelError(
            f"base {name}: the file holds no autoencoder, expected names such as encoder.conv_in.weight"
        )
    config = base.config("vae")
    return Vae(CheckpointParts(header, {"vae": stored}, {"vae": config}), "vae", config)

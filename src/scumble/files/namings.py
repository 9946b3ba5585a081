"""How files spell the names of layers: a table. Names are matched against the base's layers, never parsed by guess."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scumble.files.sgm import sgm_paths

Known = Mapping[str, Sequence[str]]
"""A layer's name as a file may spell it -> canonical keys of the base's layers that are spelled so."""


@dataclass(frozen=True)
class Naming:
    """One spelling of the layers of a model part: a beginning, and the path.

    Attributes:
        part: the model part.
        begin: how the name begins.
        diffusers, sgm: whose names of the denoiser's layers may follow.
        underscores: whether the path's dots are written as underscores.
    """

    part: str
    begin: str
    diffusers: bool = True
    sgm: bool = False
    underscores: bool = False


UNDERSCORED = (
    Naming("unet", "lora_unet_", sgm=True, underscores=True),
    Naming("text_encoder", "lora_te_", underscores=True),
    Naming("text_encoder", "lora_te1_", underscores=True),
    Naming("text_encoder_2", "lora_te2_", underscores=True),
    Naming("unet", "lycoris_", underscores=True),  # LyCORIS's wrapper, and SimpleTuner with it
)
"""kohya's names and those made after them."""

DOTTED = (
    Naming("unet", "unet.", sgm=True),  # SGM's after "unet.": OneTrainer's OMI names
    Naming("unet", ""),  # the oldest files of diffusers have the denoiser alone and do not say so
    Naming("text_encoder", "text_encoder."),
    Naming("text_encoder_2", "text_encoder_2."),
    Naming("unet", "diffusion_model.", diffusers=False, sgm=True),  # ComfyUI
    Naming("text_encoder", "text_encoders.clip_l.transformer."),
    Naming("text_encoder", "text_encoders.clip_h.transformer."),
    Naming("text_encoder_2", "text_encoders.clip_g.transformer."),
    Naming("text_encoder", "clip_l."),  # OneTrainer
    Naming("text_encoder_2", "clip_g."),
    Naming("unet", "lora_unet."),
    Naming("text_encoder", "lora_te."),
    Naming("text_encoder", "lora_te1."),
    Naming("text_encoder_2", "lora_te2."),
)
"""diffusers' names, and those of others who write the path with its dots."""

PEFT_BEGIN = "base_model.model."
PEFT = (
    Naming("unet", PEFT_BEGIN),
    Naming("text_encoder", PEFT_BEGIN),
    Naming("text_encoder_2", PEFT_BEGIN),
    Naming("unet", f"unet/{PEFT_BEGIN}"),
    Naming("text_encoder", f"text_encoder/{PEFT_BEGIN}"),
    Naming("text_encoder_2", f"text_encoder_2/{PEFT_BEGIN}"),
)
"""The names in PEFT folders; before the "/" is the folder, where there is one for each model part."""


DIFFUSERS, SGM, SHORT = "diffusers", "sgm", "short"
"""Whose path follows a beginning: the canonical one, Stability's, or newer transformers', without `text_model`."""


@dataclass(frozen=True)
class Spelling:
    """A way in which a file may write the name of a layer.

    Attributes:
        key: canonical key of the layer.
        begin: how the name begins, as `Naming.begin`.
        path: whose path follows: DIFFUSERS, SGM or SHORT.
    """

    key: str
    begin: str
    path: str


def spelled_names(
    namings: Iterable[Naming], layer_paths: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Spelling]]:
    """Every name that a base's layers may have in files, and how it came about; a name may come about in several ways.

    Args:
        namings: the spellings to expect.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
    """
    for naming in namings:
        for path, spelled, whose in _spellings(naming, layer_paths.get(naming.part, ())):
            name = naming.begin + (spelled.replace(".", "_") if naming.underscores else spelled)
            yield name, Spelling(f"{naming.part}.{path}", naming.begin, whose)


def known_names(namings: Iterable[Naming], layer_paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Every name that a base's layers may have in files: see `Known`.

    Args:
        namings: the spellings to expect.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
    """
    known: dict[str, list[str]] = {}
    for name, spelling in spelled_names(namings, layer_paths):
        keys = known.setdefault(name, [])
        if spelling.key not in keys:
            keys.append(spelling.key)
    return known


def _spellings(naming: Naming, paths: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(canonical path, path as it may be spelled, whose path that is)."""
    if naming.diffusers:
        yield from ((path, path, DIFFUSERS) for path in paths)
    if naming.sgm:
        yield from ((path, sgm, SGM) for path, sgm in sgm_paths(paths).items())
    if naming.part.startswith("text_encoder"):
        begin = "text_model."
        yield from ((path, path.removeprefix(begin), SHORT) for path in paths if path.startswith(begin))

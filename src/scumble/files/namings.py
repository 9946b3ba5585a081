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


def known_names(namings: Iterable[Naming], layer_paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Every name that a base's layers may have in files: see `Known`.

    Args:
        namings: the spellings to expect.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
    """
    known: dict[str, list[str]] = {}
    for naming in namings:
        for path, spelled in _spellings(naming, layer_paths.get(naming.part, ())):
            name = naming.begin + (spelled.replace(".", "_") if naming.underscores else spelled)
            keys = known.setdefault(name, [])
            key = f"{naming.part}.{path}"
            if key not in keys:
                keys.append(key)
    return known


def _spellings(naming: Naming, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(canonical path, path as it may be spelled), newer transformers' without `text_model` too."""
    if naming.diffusers:
        yield from zip(paths, paths, strict=True)
    if naming.sgm:
        yield from sgm_paths(paths).items()
    if naming.part.startswith("text_encoder"):
        begin = "text_model."
        yield from ((path, path.removeprefix(begin)) for path in paths if path.startswith(begin))

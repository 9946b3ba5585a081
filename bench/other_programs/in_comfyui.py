"""ComfyUI: comfy.sd.load_lora_for_models, as its LoraLoader node does, and its ModelPatcher's weights."""

import logging
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from base_models import Base
from reading import Options, Read
from torch import Tensor
from trees import layer_with, tree

CPU = torch.device("cpu")
ENCODERS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


def versions(options: Options) -> dict[str, str]:
    """Of what takes part."""
    assert options.checkout is not None
    own = re.search(r'"(.+)"', (options.checkout / "comfyui_version.py").read_text(encoding="utf-8").splitlines()[2])
    return {"ComfyUI": own[1] if own else "unknown", "torch": version("torch")}


def reader(base: Base, options: Options) -> Read:
    """Makes trees with its names anew for every file; the denoiser's settings are what ComfyUI detects."""
    options.extend_path()
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    logging.disable(logging.INFO)
    import comfy.model_detection
    import comfy.sd
    import comfy.utils
    from comfy.model_patcher import ModelPatcher

    names = {key: f"diffusion_model.{path}.weight" for key, path in base.sgm.items()}
    texts = {key: _text_name(key) for part in base.text_parts() for key in base.keys_of(part)}
    unet = original_unet(base)
    settings = comfy.model_detection.detect_unet_config(unet, "")

    def read(path: Path) -> Mapping[str, Tensor]:
        layers = {key: layer_with(weight) for key, weight in base.weights.items()}
        model: Any = tree({name.removesuffix(".weight"): layers[key] for key, name in names.items()})
        model.model_config = SimpleNamespace(unet_config=settings)
        encoders = tree({name.removesuffix(".weight"): layers[key] for key, name in texts.items()})
        clip = comfy.sd.CLIP(no_init=True)
        clip.patcher, clip.cond_stage_model = ModelPatcher(encoders, CPU, CPU), encoders
        clip.tokenizer = clip.layer_idx = clip.apply_hooks_to_conds = None
        clip.tokenizer_options, clip.use_clip_schedule = {}, False
        lora = comfy.utils.load_torch_file(str(path), safe_load=True)
        patched, patched_clip = comfy.sd.load_lora_for_models(ModelPatcher(model, CPU, CPU), clip, lora, 1.0, 1.0)
        for patcher in (patched, patched_clip.patcher):
            for key in patcher.patches:
                patcher.patch_weight_to_device(key, CPU)
        return {
            key: comfy.utils.get_attr(model if key in names else encoders, name)
            for key, name in {**names, **texts}.items()
        }

    return read


def _text_name(key: str) -> str:
    part, _, path = key.partition(".")
    return f"{ENCODERS[part]}.transformer.{path}.weight"


def original_unet(base: Base) -> dict[str, Tensor]:
    """The denoiser's weights in SGM's names, norms too, as a checkpoint holds them."""
    from safetensors.torch import load_file

    return load_file(base.folder.parent / "layers" / "unet-sgm.safetensors")

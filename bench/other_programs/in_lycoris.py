"""LyCORIS: kohya.create_network_from_weights, run beside the layers or merged into their weights."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from base_models import Base
from reading import Options, Read
from torch import Tensor, nn
from trees import answer, fill, layer_with, tree


def versions(options: Options) -> dict[str, str]:
    """Of what takes part."""
    return {"lycoris": version("lycoris-lora"), "torch": version("torch")}


def reader(base: Base, options: Options) -> Read:
    """Makes the model anew for every file: the class names of diffusers' UNet decide what LyCORIS looks at."""
    from lycoris import kohya

    if options.way != "as it is":
        # with it, 4.1.3 refuses every file of a denoiser in diffusers' names: "duplicated lora name"
        classes = kohya.LycorisNetworkKohya.UNET_TARGET_REPLACE_MODULE
        wanted = [name for name in classes if name != "TimestepEmbedding"]
        kohya.LycorisNetworkKohya.apply_preset({"unet_target_module": wanted})

    def read(path: Path) -> Mapping[str, Tensor]:
        layers = {key: layer_with(weight) for key, weight in base.weights.items()}
        unet = _unet(base, layers)
        encoders = [tree(_part(layers, part)) for part in base.text_parts()]
        network, weights = kohya.create_network_from_weights(
            1.0, str(path), None, encoders if len(encoders) > 1 else encoders[0], unet, for_inference=True
        )
        if options.way == "merged":
            network.merge_to(encoders, unet, weights, torch.float32, "cpu")
            return {key: layer.weight for key, layer in layers.items()}
        modules = [*network.unet_loras, *network.text_encoder_loras]
        for module in modules:
            module.apply_to()
        changed = {module.org_module[0] for module in modules}
        return {key: answer(layer) for key, layer in layers.items() if layer in changed}

    return read


def _part(layers: Mapping[str, nn.Module], part: str) -> dict[str, nn.Module]:
    return {key.removeprefix(f"{part}."): layer for key, layer in layers.items() if key.startswith(f"{part}.")}


def _unet(base: Base, layers: Mapping[str, nn.Module]) -> nn.Module:
    """diffusers' own, or a tree with SGM's names, as sd-scripts has its model of two text encoders."""
    own = _part(layers, "unet")
    if len(base.text_parts()) > 1:
        return tree({base.sgm[f"unet.{path}"]: layer for path, layer in own.items()})
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        skeleton = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(base.folder / "unet"))
    return fill(skeleton, own)

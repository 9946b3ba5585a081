"""sd-scripts: networks.lora's create_network_from_weights on its own models, merged into their weights or run beside them.

gen_img.py runs, and merges with --network_merge; train_network.py merges --base_weights.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from base_models import Base
from reading import Options, Read
from torch import Tensor, nn
from trees import answer, fill, layer_with


def versions(options: Options) -> dict[str, str]:
    """Of what takes part; its own from the list of changes in its README."""
    assert options.checkout is not None
    readme = (options.checkout / "README.md").read_text(encoding="utf-8")
    newest = re.search(r"\*\*Version (\S+) \(", readme)
    own = newest[1] if newest else "unknown"
    return {"sd-scripts": own, **{name: version(name) for name in ("transformers", "diffusers", "torch")}}


def reader(base: Base, options: Options) -> Read:
    """Makes its own UNet and transformers' text encoders anew for every file, with the narrow layers in them."""
    options.extend_path()
    from networks import lora

    def read(path: Path) -> Mapping[str, Tensor]:
        layers = {key: layer_with(weight) for key, weight in base.weights.items()}
        unet, encoders = _unet(base, layers), [_encoder(base, layers, part) for part in base.text_parts()]
        texts = encoders if len(encoders) > 1 else encoders[0]
        network, weights = lora.create_network_from_weights(1.0, str(path), None, texts, unet, for_inference=True)
        if options.way == "merged":
            network.merge_to(texts, unet, weights, torch.float32, "cpu")
            return {key: layer.weight for key, layer in layers.items()}
        network.apply_to(texts, unet)
        network.load_state_dict(weights, False)
        changed = {module.org_module_ref[0] for module in [*network.unet_loras, *network.text_encoder_loras]}
        return {key: answer(layer) for key, layer in layers.items() if layer in changed}

    return read


def _unet(base: Base, layers: Mapping[str, nn.Module]) -> nn.Module:
    if len(base.text_parts()) > 1:
        from library.sdxl_original_unet import SdxlUNet2DConditionModel

        with torch.device("meta"):
            skeleton: nn.Module = SdxlUNet2DConditionModel()
        return fill(skeleton, {path: layers[key] for key, path in base.sgm.items()})
    from library import model_util
    from library.original_unet import UNet2DConditionModel

    with torch.device("meta"):
        skeleton = UNet2DConditionModel(**model_util.create_unet_diffusers_config(False))
    return fill(skeleton, {key.removeprefix("unet."): layers[key] for key in base.keys_of("unet")})


def _encoder(base: Base, layers: Mapping[str, nn.Module], part: str) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        skeleton = CLIPTextModel(CLIPTextConfig.from_pretrained(base.folder / part))
    return fill(skeleton, {key.removeprefix(f"{part}."): layers[key] for key in base.keys_of(part)})

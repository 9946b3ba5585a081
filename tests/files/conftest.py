"""A Stable Diffusion 1.5 with narrow channels, and a LoRA of it whose alpha is not its rank."""

import pytest
import torch

from scumble.files.lorafile import LoraFile, LoraLayer

RANK, ALPHA = 4, 3.0


@pytest.fixture(scope="session")
def narrow_unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64, 64),
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=8,
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def narrow_text_encoder():
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    return CLIPTextModel(config).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def layer_paths(narrow_unet, narrow_text_encoder):
    text = [
        "text_model." + path.removeprefix("text_model.")
        for path, layer in narrow_text_encoder.named_modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    unet = [path for path, layer in narrow_unet.named_modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
    return {"unet": unet, "text_encoder": text}


@pytest.fixture(scope="session")
def attention_paths(narrow_unet):
    from scumble.adapters.targets import find_targets

    return find_targets(narrow_unet, ["attention"])


@pytest.fixture(scope="session")
def lora(narrow_unet, attention_paths):
    return LoraFile({f"unet.{path}": random_layer(narrow_unet, path) for path in attention_paths}, {"ss_v2": "False"})


def random_layer(model, path, rank=RANK, alpha=ALPHA):
    out_features, in_features = model.get_submodule(path).weight.shape
    generator = torch.Generator().manual_seed(len(path) + rank)
    down = torch.randn(rank, in_features, generator=generator) * 0.3
    up = torch.randn(out_features, rank, generator=generator) * 0.3
    return LoraLayer("lora", {"down": down, "up": up}, rank, alpha)


@pytest.fixture
def new_layer():
    return random_layer


@pytest.fixture
def delta():
    """The change that the formula gives for a canonical layer: [out, in]."""
    return lambda layer: layer.alpha / layer.rank * (layer.tensors["up"].float() @ layer.tensors["down"].float())

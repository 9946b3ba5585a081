"""Makes the golden files of this folder: LoRAs of a tiny denoiser, written by the programs that people use.

    .venv/bin/python tests/golden/make_golden.py

`expected.safetensors` has each file's weight changes, "<file>/<layer>", as the program that wrote it computes them;
`layers.json` the denoiser's layers. Made with LyCORIS 4.1.3, diffusers 0.42.1, PEFT 0.21.2. The files of scumble
itself hold its bytes still. Made again, all bytes are the same but the order of target_modules in the settings that
diffusers-settings.safetensors holds.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from lycoris.kohya import LycorisNetworkKohya
from peft import LoraConfig
from peft.tuners.lora import LoraLayer as PeftLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora

RANK, ALPHA = 2, 3.0


def tiny_denoiser() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=4,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def by_lycoris(folder: Path) -> dict[str, torch.Tensor]:
    unet = tiny_denoiser()
    LycorisNetworkKohya.apply_preset(
        {"unet_target_module": ["Attention"], "unet_target_name": [], "enable_conv": False}
    )
    network = LycorisNetworkKohya([], unet, lora_dim=RANK, alpha=ALPHA)
    network.apply_to([], unet, False, True)
    for module in network.unet_loras:
        torch.nn.init.normal_(module.lora_up.weight, std=0.1)
    network.save_weights(folder / "lycoris-kohya.safetensors", torch.float16, {"ss_network_module": "lycoris.kohya"})
    names = {f"lora_unet_{path.replace('.', '_')}": path for path, _ in tiny_denoiser().named_modules()}
    return {names[module.lora_name]: module.get_diff_weight()[0] for module in network.unet_loras}


def by_diffusers(folder: Path, name: str, with_settings: bool) -> dict[str, torch.Tensor]:
    unet = tiny_denoiser()
    alpha = ALPHA if with_settings else RANK
    unet.add_adapter(
        LoraConfig(
            r=RANK,
            lora_alpha=alpha,
            alpha_pattern={"attn2.to_k": 1} if with_settings else {},
            init_lora_weights=False,
            target_modules=["to_q", "to_k", "to_v", "to_out.0"],
        )
    )
    state = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=state if with_settings else convert_state_dict_to_diffusers(state),
        weight_name=name,
        **(_collate_lora_metadata({"unet": unet}) if with_settings else {}),
    )
    return {
        path: module.get_delta_weight("default")
        for path, module in unet.named_modules()
        if isinstance(module, PeftLayer)
    }


def by_scumble(folder: Path, format: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    layers, changes = {}, {}
    for path, module in tiny_denoiser().named_modules():
        if ".attn" in path and isinstance(module, torch.nn.Linear):
            out_features, in_features = module.weight.shape
            down = torch.randn(RANK, in_features, generator=generator)
            up = torch.randn(out_features, RANK, generator=generator)
            layers[f"unet.{path}"] = LoraLayer("lora", {"down": down, "up": up}, RANK, ALPHA)
            changes[path] = ALPHA / RANK * (up @ down)
    metadata = {"ss_output_name": "golden 金", "ss_v2": "False"}
    write_lora(LoraFile(layers, metadata), folder / f"scumble-{format}.safetensors", format, torch.float16)
    return changes


def main(folder: Path) -> None:
    changes = {
        "lycoris-kohya": by_lycoris(folder),
        "diffusers-settings": by_diffusers(folder, "diffusers-settings.safetensors", True),
        "diffusers-lora-down": by_diffusers(folder, "diffusers-lora-down.safetensors", False),
        "scumble-kohya": by_scumble(folder, "kohya"),
        "scumble-diffusers": by_scumble(folder, "diffusers"),
    }
    expected = {
        f"{file}/{path}": change.detach().half().contiguous()
        for file, by_path in changes.items()
        for path, change in by_path.items()
    }
    save_file(expected, folder / "expected.safetensors")
    kinds = torch.nn.Linear | torch.nn.Conv2d
    paths = [path for path, module in tiny_denoiser().named_modules() if isinstance(module, kinds)]
    (folder / "layers.json").write_text(json.dumps(paths, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

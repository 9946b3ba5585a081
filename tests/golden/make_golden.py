"""Makes the golden files of this folder: LoRAs of a tiny denoiser, written by the programs that people use.

    .venv/bin/python tests/golden/make_golden.py

`expected.safetensors` has each file's weight changes, "<file>/<layer>", as the program that wrote it computes them;
`layers.json` the denoiser's layers. `expected-algorithms.safetensors` has the changed weights of those of other
algorithms, "<file>/<layer>", and the weights before, "base/<layer>". Made with LyCORIS 4.1.3, diffusers 0.42.1, PEFT
0.21.2. The files of scumble itself hold its bytes still. Made again, all bytes are the same but the order of
target_modules in the settings that diffusers-settings.safetensors holds, and of the metadata of lycoris-kohya.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from lycoris.kohya import LycorisNetworkKohya
from lycoris.modules import LoConModule, LohaModule, LokrModule
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer as PeftLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora, write_lora

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


ALGORITHM_LAYERS = [
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2",
    "down_blocks.0.attentions.0.proj_in",
    "up_blocks.0.resnets.0.conv1",
]
"""A square linear layer, another one, a 1 x 1 convolution and a 3 x 3 one."""

LYCORIS = {
    "lycoris-loha": (LohaModule, {}),
    "lycoris-loha-tucker-dora": (LohaModule, {"use_tucker": True, "weight_decompose": True}),
    "lycoris-lokr": (LokrModule, {"factor": 2}),
    "lycoris-lokr-dora-inputs": (LokrModule, {"weight_decompose": True, "wd_on_out": False}),
    "lycoris-locon-tucker": (LoConModule, {"use_tucker": True}),
    "lycoris-dora": (LoConModule, {"weight_decompose": True}),
}
PEFT = {
    "peft-dora": LoraConfig(r=RANK, lora_alpha=ALPHA, use_dora=True, use_rslora=True),
    "peft-loha": LoHaConfig(r=RANK, alpha=ALPHA, use_effective_conv2d=True, alpha_pattern={"proj_in": 1}),
    "peft-lokr": LoKrConfig(r=RANK, alpha=ALPHA, decompose_factor=2, rank_pattern={"to_q": 1}),
}


def random_numbers(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.2 + 0.5 * torch.rand(parameter.shape, generator=generator))


def weight_that_runs(layer: torch.nn.Module, module: torch.nn.Module) -> torch.Tensor:
    """The weight with which a module answers: LyCORIS's own merged weights have alpha / r twice."""
    bias = torch.zeros(layer.weight.shape[0]) if layer.bias is None else layer.bias
    if isinstance(layer, torch.nn.Linear):
        return (module(torch.eye(layer.in_features)) - bias).T
    side = layer.kernel_size[0]
    impulses = torch.zeros(layer.in_channels, layer.in_channels, side, side)
    for channel in range(layer.in_channels):
        impulses[channel, channel, side // 2, side // 2] = 1
    return (module(impulses) - bias.reshape(1, -1, 1, 1)).transpose(0, 1).flip(2, 3)


@torch.no_grad()
def by_lycoris_modules(folder: Path, name: str) -> dict[str, torch.Tensor]:
    kind, arguments = LYCORIS[name]
    unet = tiny_denoiser()
    tensors, weights = {}, {}
    for path in ALGORITHM_LAYERS:
        layer = unet.get_submodule(path)
        prefix = f"lora_unet_{path.replace('.', '_')}"
        module = kind(prefix, layer.requires_grad_(False), 1, RANK, ALPHA, **arguments)
        random_numbers(module)
        tensors |= {f"{prefix}.{key}": value.contiguous() for key, value in module.state_dict().items()}
        weights[path] = weight_that_runs(layer, module)
    save_file(tensors, folder / f"{name}.safetensors", {"ss_network_module": "lycoris.kohya"})
    return weights


def by_peft(folder: Path, name: str) -> dict[str, torch.Tensor]:
    config = copy.deepcopy(PEFT[name])
    config.target_modules = ALGORITHM_LAYERS
    model = get_peft_model(tiny_denoiser(), config)
    random_numbers(model)
    model.save_pretrained(folder / name)
    settings = folder / name / "adapter_config.json"
    text = json.loads(settings.read_text(encoding="utf-8"))
    text["target_modules"] = sorted(text["target_modules"])
    settings.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    (folder / name / "README.md").unlink()
    merged = model.merge_and_unload()
    return {path: merged.get_submodule(path).weight for path in ALGORITHM_LAYERS}


def scumble_algorithms(folder: Path) -> None:
    """What scumble makes of LyCORIS's layers, one of each kind: its bytes are held still."""
    names = ["lycoris-lokr-dora-inputs", "lycoris-loha", "lycoris-dora", "lycoris-locon-tucker"]
    layers = {}
    for name, path in zip(names, ALGORITHM_LAYERS, strict=True):
        key = f"unet.{path}"
        layers[key] = read_lora(folder / f"{name}.safetensors", {"unet": ALGORITHM_LAYERS}).layers[key]
    write_lora(LoraFile(layers, {"ss_v2": "False"}), folder / "scumble-algorithms.safetensors")


def make_algorithms(folder: Path) -> None:
    base = {f"base/{path}": tiny_denoiser().get_submodule(path).weight for path in ALGORITHM_LAYERS}
    made = {name: by_lycoris_modules(folder, name) for name in LYCORIS} | {name: by_peft(folder, name) for name in PEFT}
    weights = {f"{name}/{path}": weight for name, by_path in made.items() for path, weight in by_path.items()}
    stored = {name: weight.detach().contiguous() for name, weight in (base | weights).items()}
    save_file(stored, folder / "expected-algorithms.safetensors")
    scumble_algorithms(folder)


def main(folder: Path) -> None:
    make_algorithms(folder)
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

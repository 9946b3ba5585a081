"""A1111: the Lora extension's load_networks, and the weights after its patched layers have run once."""

import logging
import re
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from base_models import Base
from reading import Options, Read
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from trees import layer_with, put, tree


def versions(options: Options) -> dict[str, str]:
    """Of what takes part."""
    assert options.checkout is not None
    newest = re.search(r"^## (\S+)", (options.checkout / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {"A1111": newest[1] if newest else "unknown", "torch": version("torch")}


def reader(base: Base, options: Options) -> Read:
    """Makes its model's tree anew for every file; the host's modules that have no part in the reading are stand-ins."""
    model = SimpleNamespace()
    host = _stand_ins(model)
    options.extend_path("extensions-builtin/Lora")
    import lora_patches
    import network
    import networks

    networks.originals = lora_patches.LoraPatches()
    networks.extra_network_lora = SimpleNamespace(errors={})

    def read(path: Path) -> Mapping[str, Tensor]:
        vars(model).clear()
        vars(model).update(vars(_model(base)))
        host.sd_model = model
        networks.assign_network_names_to_compvis_modules(model)
        networks.networks_in_memory.clear()
        networks.loaded_networks.clear()
        networks.extra_network_lora.errors.clear()
        networks.available_network_aliases["case"] = network.NetworkOnDisk("case", str(path))
        networks.load_networks(["case"], [1.0], [1.0], [None])
        for root in model.roots:
            for layer in root.modules():
                _run(layer)
        if networks.extra_network_lora.errors:
            logging.warning("Networks with errors: %s", networks.extra_network_lora.errors)  # as its pages say it
        return {key: _weight(layer, row) for key, (layer, row) in model.places.items()}

    return read


def _run(layer: nn.Module) -> None:
    """Let a layer answer, as the host's model does; what runs inside another layer's own code is not run."""
    if type(layer) is nn.Linear:
        layer(torch.zeros(1, layer.in_features))
    elif type(layer) is nn.Conv2d:
        layer(torch.zeros(1, layer.in_channels, 4, 4))
    elif type(layer) is nn.MultiheadAttention:
        zeros = torch.zeros(1, 1, layer.embed_dim)
        layer(zeros, zeros, zeros)


def _weight(layer: Any, row: int | None) -> Tensor:
    weight: Tensor = layer.weight if row is None else layer.in_proj_weight.chunk(3)[row]
    return weight


def _model(base: Base) -> SimpleNamespace:
    """The host's model: the denoiser in SGM's names, and its text encoders, the second as open_clip has it."""
    layers = {key: layer_with(weight) for key, weight in base.weights.items()}
    model = tree({f"diffusion_model.{path}": layers[key] for key, path in base.sgm.items()})
    first = tree({_first_name(key): layers[key] for key in base.keys_of("text_encoder")})
    places = {key: (layer, None) for key, layer in layers.items() if not key.startswith("text_encoder_2.")}
    if len(base.text_parts()) == 1:
        stage = SimpleNamespace(wrapped=first)
        return SimpleNamespace(is_sdxl=False, model=model, cond_stage_model=stage, places=places, roots=[model, first])
    second, inside = _open_clip(base)
    stages = SimpleNamespace(embedders=[SimpleNamespace(wrapped=first), SimpleNamespace(wrapped=second)])
    roots = [model, first, second]
    return SimpleNamespace(is_sdxl=True, model=model, conditioner=stages, places=places | inside, roots=roots)


def _first_name(key: str) -> str:
    return f"transformer.{key.removeprefix('text_encoder.')}"


def _open_clip(base: Base) -> tuple[nn.Module, dict[str, tuple[nn.Module, int | None]]]:
    """The second text encoder, and where its layers are: (module, which third of its rows)."""
    root = nn.Module()
    places: dict[str, tuple[nn.Module, int | None]] = {}
    begin = "text_encoder_2.text_model.encoder.layers."
    for index in sorted({int(key.removeprefix(begin).split(".")[0]) for key in base.keys_of("text_encoder_2")}):
        block, keys = f"model.transformer.resblocks.{index}", f"{begin}{index}."
        thirds = [base.weights[f"{keys}self_attn.{name}_proj"] for name in "qkv"]
        attention = nn.MultiheadAttention(thirds[0].shape[0], 4)
        attention.in_proj_weight = nn.Parameter(torch.cat(thirds), requires_grad=False)
        out = base.weights[f"{keys}self_attn.out_proj"]
        attention.out_proj.weight = nn.Parameter(out.clone(), requires_grad=False)
        put(root, f"{block}.attn", attention)
        places |= {f"{keys}self_attn.{name}_proj": (attention, row) for row, name in enumerate("qkv")}
        places[f"{keys}self_attn.out_proj"] = (attention.out_proj, None)
        for name, theirs in (("fc1", "c_fc"), ("fc2", "c_proj")):
            layer = layer_with(base.weights[f"{keys}mlp.{name}"])
            put(root, f"{block}.mlp.{theirs}", layer)
            places[f"{keys}mlp.{name}"] = (layer, None)
    return root, places


def _stand_ins(model: SimpleNamespace) -> Any:
    """Put what the Lora extension imports of its host, and does not need to read a file, in its place.

    Returns:
        modules.shared, which gets `sd_model`.
    """

    def module(name: str, **contents: object) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(contents)
        sys.modules[name] = made
        return made

    def raise_it(reason: Exception, task: str) -> None:
        raise reason

    def metadata(file: str) -> dict[str, str]:
        with safe_open(file, "pt") as opened:
            return opened.metadata() or {}

    cpu = torch.device("cpu")
    module("gradio")
    module("modules.devices", cpu=cpu, device=cpu, dtype=torch.float32, torch_gc=lambda: None)
    module("modules.errors", display=raise_it)
    module("modules.scripts")
    module("modules.cache", cached_data_for_file=lambda title, key, file, make: make())
    module("modules.hashes", sha256_from_cache=lambda *_, **__: None, sha256=lambda *_, **__: "0" * 64)
    embeddings = SimpleNamespace(word_embeddings={}, skipped_embeddings={})
    module("modules.sd_hijack", model_hijack=SimpleNamespace(embedding_db=embeddings, comments=[]))
    module("modules.sd_models", read_state_dict=load_file, read_metadata_from_safetensors=metadata)
    inversion = module("modules.textual_inversion.textual_inversion")
    module("modules.textual_inversion", textual_inversion=inversion)
    options = SimpleNamespace(lora_functional=False, lora_in_memory_limit=0)
    folders = SimpleNamespace(lora_dir=tempfile.gettempdir(), lyco_dir_backcompat="")
    return module("modules.shared", sd_model=model, opts=options, cmd_opts=folders, walk_files=lambda *_, **__: [])

"""Every algorithm beside PEFT's and LyCORIS's own layer: time of a forward and backward pass, and bytes kept in between.

Layers of Stable Diffusion 1.5's sizes, each alone: its output is summed and differentiated towards the adapter and the
input. Ours and the peer take turns in one process, in the same precision, with the same rank; printed is the median of the
ratios of neighbouring turns, so that a change of the machine's speed meets both.

    python bench/adapters.py [--turns 15] [--dtype float32|bfloat16] [--threads 1]

Results go to bench/results/.
"""

import argparse
import datetime
import json
import logging
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from scumble.adapters.build import new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.recipe import AdapterRecipe

RANK, ALPHA = 16, 8.0
LAYERS = {
    "linear 640, 1024 tokens": (lambda: nn.Linear(640, 640), (1, 1024, 640)),
    "linear 1280 to 5120, 256 tokens": (lambda: nn.Linear(1280, 5120), (1, 256, 1280)),
    "conv 3x3 640, 32 x 32": (lambda: nn.Conv2d(640, 640, 3, padding=1), (1, 640, 32, 32)),
}
RECIPES = {
    "lora": AdapterRecipe("lora", RANK, ALPHA),
    "loha": AdapterRecipe("loha", RANK, ALPHA),
    "lokr": AdapterRecipe("lokr", RANK, ALPHA, factor=8),
    "dora output": AdapterRecipe("lora", RANK, ALPHA, dora="output"),
    "dora input": AdapterRecipe("lora", RANK, ALPHA, dora="input"),
}


class PeerError(Exception):
    """The peer cannot run this layer."""


class Formula(nn.Module):
    """h = W x + (alpha / r) B A x, written out."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        shape = layer.weight.shape
        self.down = nn.Parameter(torch.randn(RANK, *shape[1:]) / 100)
        self.up = nn.Parameter(torch.zeros(shape[0], RANK, *[1] * (len(shape) - 2)))

    def forward(self, x):
        """The layer and its change."""
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if self.down.ndim == 2:
            return self.layer(x) + (ALPHA / RANK) * ((x @ down.t()) @ up.t())
        thin = nn.functional.conv2d(x, down, None, self.layer.stride, self.layer.padding)
        return self.layer(x) + (ALPHA / RANK) * nn.functional.conv2d(thin, up)


def ours(layer, name):
    """The layer with our adapter."""
    model = nn.Sequential(layer)
    attach(model, "ours", {"0": new_adapter(layer, RECIPES[name], torch.Generator().manual_seed(0))})
    return model


def by_formula(layer, name):
    """The layer with the formula written out; None of another algorithm."""
    return Formula(layer) if name == "lora" else None


def by_peft(layer, name):
    """The layer with PEFT's adapter; None where PEFT has none."""
    import peft

    shared = {"target_modules": ["0"]}
    configs = {
        "lora": lambda: peft.LoraConfig(r=RANK, lora_alpha=ALPHA, **shared),
        "dora output": lambda: peft.LoraConfig(r=RANK, lora_alpha=ALPHA, use_dora=True, **shared),
        "loha": lambda: peft.LoHaConfig(r=RANK, alpha=ALPHA, use_effective_conv2d=False, **shared),
        "lokr": lambda: peft.LoKrConfig(r=RANK, alpha=ALPHA, decompose_factor=8, **shared),
    }
    if name not in configs:
        return None
    return peft.get_peft_model(nn.Sequential(layer), configs[name]()).base_model.model


def by_lycoris(layer, name):
    """The layer with LyCORIS's adapter."""
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule

    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    classes = {"loha": (LohaModule, {}), "lokr": (LokrModule, {"factor": 8})}
    options = {"dora output": {"weight_decompose": True}, "dora input": {"weight_decompose": True, "wd_on_out": False}}
    made, more = classes.get(name, (LoConModule, options.get(name, {})))
    module = made("bench", layer, 1.0, lora_dim=RANK, alpha=ALPHA, **more)
    if "dora" in name:
        module.dora_scale.requires_grad_()
    module.apply_to()
    layer.peer = module  # so that its parameters live as long as the layer
    return layer


PEERS = {"plain formula": by_formula, "PEFT": by_peft, "LyCORIS": by_lycoris}


def one_pass(model, x):
    """Seconds of a forward and backward pass."""
    x.grad = None
    for parameter in model.parameters():
        parameter.grad = None
    started = time.perf_counter()
    model(x).float().square().mean().backward()
    return time.perf_counter() - started


def kept_bytes(model, x):
    """Bytes kept for the backward pass, parameters and the input left out."""
    known = {tensor.untyped_storage().data_ptr() for tensor in [x, *model.parameters()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(x)
    del output
    return sum(kept.values())


def compare(name, kind, peer, turns, dtype):
    """Median ratio of time with its quartiles, and the ratio of kept bytes; None where the peer has no such layer."""
    make, shape = LAYERS[kind]
    models = []
    for build in (ours, PEERS[peer]):
        torch.manual_seed(0)
        models.append(build(make().to(dtype).requires_grad_(False), name))
    if models[1] is None:
        return None
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    for _ in range(2):
        one_pass(models[0], x)
        try:
            one_pass(models[1], x)
        except RuntimeError as error:
            raise PeerError(str(error).splitlines()[0]) from error
    ratios = []
    for turn in range(turns):
        first = turn % 2
        times = {which: one_pass(models[which], x) for which in (first, 1 - first)}
        ratios.append(times[0] / times[1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    mine, theirs = (kept_bytes(model, x) for model in models)
    return {
        "time": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "kept": round(mine / theirs, 3) if theirs else None,
        "kept_mib": [round(mine / 2**20, 2), round(theirs / 2**20, 2)],
    }


def main():
    """Compare everything, print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name in RECIPES:
        for kind in LAYERS:
            for peer in PEERS:
                try:
                    found = compare(name, kind, peer, args.turns, getattr(torch, args.dtype))
                except PeerError as error:
                    rows.append({"algorithm": name, "layer": kind, "peer": peer, "peer fails": str(error)})
                    print(f"{name:12} {kind:32} {peer:14} fails: {error}", flush=True)
                    continue
                if found is None:
                    continue
                rows.append({"algorithm": name, "layer": kind, "peer": peer, **found})
                kept = "-" if found["kept"] is None else f"{found['kept']:.2f}"
                print(f"{name:12} {kind:32} {peer:14} time {found['time']:.2f}x kept {kept}x", flush=True)
    write(args, rows)


def write(args, rows):
    """Write the result."""
    import lycoris
    import peft

    date = datetime.date.today().isoformat()
    result = {
        "date": date,
        "command": f"python bench/adapters.py --turns {args.turns} --dtype {args.dtype} --threads {args.threads}",
        "hardware": f"{args.threads} core(s), {platform.machine()}",
        "versions": {
            "torch": torch.__version__,
            "peft": peft.__version__,
            "lycoris": getattr(lycoris, "__version__", "4.1.3"),
        },
        "ratios, ours / peer": rows,
    }
    path = Path(__file__).parent / "results" / f"{date}-adapters-{args.dtype}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

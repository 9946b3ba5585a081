"""What does one adapted layer cost beside PEFT's and LyCORIS's own, and beside the formula written out?

Layers of Stable Diffusion 1.5's sizes, each alone: its output is summed and differentiated towards the adapter and the
input. Ours and the peer take turns in one process, in the same precision, with the same rank. Whole steps are
bench/step.py's question.

    python bench/adapters.py [--rounds 15] [--dtype float32|bfloat16]

Seconds are processor seconds, of one thread. Results go to bench/results/.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from harness.beside import goal_beside_fastest
from harness.kernels import held, kernels
from harness.peers import missing_package, versions
from harness.result import Goal, Result
from harness.turns import in_turns, ratio, spread
from sides.in_lycoris import module_for
from sides.plain import Formula
from sides.task import RECIPES
from torch import Tensor, nn

from scumble.adapters.build import new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.recipe import AdapterRecipe

LAYERS = {
    "linear 640, 1024 tokens": (lambda: nn.Linear(640, 640), (1, 1024, 640)),
    "linear 1280 to 5120, 256 tokens": (lambda: nn.Linear(1280, 5120), (1, 256, 1280)),
    "conv 3x3 640, 32 x 32": (lambda: nn.Conv2d(640, 640, 3, padding=1), (1, 640, 32, 32)),
}
MIB = 2**20


def ours(layer: nn.Module, recipe: AdapterRecipe) -> nn.Module:
    """The layer with our adapter."""
    model = nn.Sequential(layer)
    attach(model, "ours", {"0": new_adapter(layer, recipe, torch.Generator().manual_seed(0))})
    return model


def by_formula(layer: nn.Module, recipe: AdapterRecipe) -> nn.Module | None:
    """The layer with the formula written out; None of another algorithm."""
    is_lora = recipe.algorithm == "lora" and recipe.dora is None
    return Formula(layer, recipe.rank, recipe.alpha / recipe.rank) if is_lora else None


def by_peft(layer: nn.Module, recipe: AdapterRecipe) -> nn.Module | None:
    """The layer with PEFT's adapter; None where PEFT has none."""
    import peft
    from sides.in_peft import config_of

    config = config_of(recipe, ["0"], recipe.alpha)
    return None if config is None else peft.get_peft_model(nn.Sequential(layer), config).base_model.model


def by_lycoris(layer: nn.Module, recipe: AdapterRecipe) -> nn.Module:
    """The layer with LyCORIS's adapter."""
    module = module_for(layer, recipe)
    module.apply_to()
    layer.peer = module  # so that its parameters live as long as the layer
    return layer


PEERS = {"plain formula": by_formula, "PEFT": by_peft, "LyCORIS": by_lycoris}


def one_pass(model: nn.Module, x: Tensor) -> float:
    """Processor seconds of a forward and backward pass."""
    x.grad = None
    for parameter in model.parameters():
        parameter.grad = None
    started = time.process_time()
    model(x).float().square().mean().backward()
    return time.process_time() - started


def compared(name: str, kind: str, rounds: int, dtype: torch.dtype) -> tuple[list[dict[str, object]], Goal]:
    """A row for each side that has this algorithm, ours first; one that fails says why. And ours beside the fastest one."""
    make, shape = LAYERS[kind]
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    models: dict[str, nn.Module] = {}
    rows: list[dict[str, object]] = []
    for side, build in {"scumble": ours, **PEERS}.items():
        torch.manual_seed(0)
        if side in ("PEFT", "LyCORIS") and (reason := missing_package(side)) is not None:
            rows.append({"algorithm": name, "layer": kind, "side": side, "pass, ms": reason})
            continue
        try:
            model = build(make().to(dtype).requires_grad_(False), RECIPES[name])
            if model is not None:
                one_pass(model, x)
                models[side] = model
        except RuntimeError as error:  # a peer that cannot run a layer in this precision
            rows.append(
                {"algorithm": name, "layer": kind, "side": side, "pass, ms": f"fails: {str(error).splitlines()[0]}"}
            )
    takes: dict[str, Callable[[], float]] = {side: partial(one_pass, model, x) for side, model in models.items()}
    taken = in_turns(takes, rounds, warm_up=1)
    rows = [
        {
            "algorithm": name,
            "layer": kind,
            "side": side,
            "pass, ms": str(spread([1000 * value for value in taken[side]])),
            "scumble / it": str(ratio(taken["scumble"], taken[side])),
            "operations": kernels(takes[side]),
            "kept, MiB": held(partial(model, x)).kept / MIB,
        }
        for side, model in models.items()
    ] + rows
    return rows, goal_beside_fastest(f"{name}, {kind}", taken, "scumble")


def main() -> None:
    """Compare everything, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows, goals = [], []
    for name in RECIPES:
        for kind in LAYERS:
            found, goal = compared(name, kind, args.rounds, getattr(torch, args.dtype))
            rows += found
            goals.append(goal)
            print(f"{name}, {kind}: done", flush=True)
    Result(
        f"adapters-{args.dtype}",
        f"What does one adapted layer cost ({args.dtype}), beside the same layer of others?",
        rows,
        goals,
        notes=["kept: bytes that live between the forward and the backward pass, the output among them."],
        versions=versions("torch", "peft", "lycoris"),
        threads=1,
    ).write()


if __name__ == "__main__":
    main()

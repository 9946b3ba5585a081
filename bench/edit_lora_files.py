"""Merging, resizing and extracting LoRA files of Stable Diffusion 1.5's size, beside sd-scripts, PEFT and LyCORIS.

Makes two LoRAs of rank 32 for all 264 layers that sd-scripts adapts, and with --extract two checkpoints with random weights
that differ in these layers (nothing is downloaded). scumble, sd-scripts and PEFT run as processes of their own, from files
to a file; scumble and PEFT once more in this process, without imports. LyCORIS runs in this process, only on the 128 attention layers.
OMP_NUM_THREADS counts for all of them. The errors are computed here from the files alone: |result - exact| / |exact| over all layers.

    python bench/edit_lora_files.py --work FOLDER [--extract] [--sd-scripts CHECKOUT] [--sd-scripts-packages FOLDER]

FOLDER needs 6 GB with --extract. --sd-scripts-packages goes to the front of sd-scripts' path, for the older transformers
that it needs. A peer that is not there is said to be missing. Results go to bench/results/.
"""

import argparse
import datetime
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from scumble.cli.app import exit_code
from scumble.families.find import open_base
from scumble.families.layers import LayerTable, known_tables, table_of

RANK, RESIZED, MERGED, EXTRACTED = 32, 8, 16, 8
WEIGHTS = (0.7, 0.4)
TIMEOUT_SECONDS = 3000
Changes = dict[str, tuple[torch.Tensor, torch.Tensor]]


def kohya_name(key: str) -> str:
    """A layer's name in kohya's files for Stable Diffusion 1.5."""
    part, _, path = key.partition(".")
    return {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + path.replace(".", "_")


def adapted(table: LayerTable) -> dict[str, tuple[int, ...]]:
    """The layers that sd-scripts adapts -> shape."""
    return {key: shape for key, shape in table.shapes.items() if ".attentions." in key or key.startswith("text")}


def write_lora(path: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    """Random factors whose directions differ in strength, as trained ones do; alpha is half the rank."""
    generator = torch.Generator().manual_seed(seed)
    strengths = torch.arange(1, RANK + 1) ** -0.5
    tensors = {}
    for key, (out, into, *ones) in shapes.items():
        down = torch.randn(RANK, into, generator=generator) * strengths[:, None] * 0.1
        up = torch.randn(out, RANK, generator=generator) * 0.1
        tensors[f"{kohya_name(key)}.lora_down.weight"] = down.view(RANK, into, *ones)
        tensors[f"{kohya_name(key)}.lora_up.weight"] = up.view(out, RANK, *ones)
        tensors[f"{kohya_name(key)}.alpha"] = torch.tensor(RANK / 2)
    save_file(tensors, path, {"ss_base_model_version": "sd_v1", "ss_v2": "False", "ss_network_dim": str(RANK)})


def write_loras(bench: "Bench") -> None:
    """The LoRAs that everybody works on."""
    for seed, path in enumerate(bench.loras):
        write_lora(path, bench.shapes, seed)


def factors(path: Path) -> Changes:
    """Layer -> up with the scale, and down; float64."""
    tensors = load_file(path)
    found = {}
    for name, down in tensors.items():
        if name.endswith(".lora_down.weight"):
            layer = name.removesuffix(".lora_down.weight")
            scale = float(tensors[f"{layer}.alpha"]) / down.shape[0]
            up = tensors[f"{layer}.lora_up.weight"].double().flatten(1) * scale
            found[layer] = (up, down.double().flatten(1))
    return found


def error(found: Changes, exact: Callable[[str], torch.Tensor], layers: list[str]) -> float:
    """|found - exact| / |exact| over all layers; a layer that was not found counts as zeros."""
    difference = size = 0.0
    for layer in layers:
        whole = exact(layer)
        change = found[layer][0] @ found[layer][1] if layer in found else torch.zeros_like(whole)
        difference += float((change - whole).square().sum())
        size += float(whole.square().sum())
    return math.sqrt(difference / size)


Seconds = dict[str, float]


def seconds_now() -> tuple[float, float]:
    """On the clock, and of the processor: of this process and those that ended before it."""
    times = os.times()
    return time.monotonic(), times.user + times.system + times.children_user + times.children_system


def seconds_since(started: tuple[float, float]) -> Seconds:
    """What went by; the processor's seconds are the ones to compare where other programs run beside."""
    clock, processor = seconds_now()
    return {"seconds": round(clock - started[0], 1), "processor_seconds": round(processor - started[1], 1)}


def timed(command: list[str], environment: dict[str, str] | None = None) -> Seconds | str:
    """Seconds that a process takes, or why it did not end well."""
    started = seconds_now()
    try:
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"longer than {TIMEOUT_SECONDS} s"
    if done.returncode != 0:
        return "failed: " + (done.stderr.strip().splitlines() or ["without a word"])[-1][:200]
    return seconds_since(started)


class Bench:
    """The files, the peers, and the figures so far.

    Args:
        work: folder of the files.
        sd_scripts: checkout of sd-scripts, or None.
        packages: folder that goes to the front of its path, or None.
    """

    def __init__(self, work: Path, sd_scripts: Path | None, packages: Path | None) -> None:
        self.work, self.sd_scripts, self.packages = work, sd_scripts, packages
        self.table = next(table for table in known_tables() if table.name == "sd1")
        self.shapes = adapted(self.table)
        self.layers = [kohya_name(key) for key in self.shapes]
        self.figures: dict[str, dict[str, object]] = {}
        self.loras = [work / "a.safetensors", work / "b.safetensors"]

    def scumble(self, task: str, arguments: list[str], exact: Callable[[str], torch.Tensor]) -> None:
        """Run our command, and once more in this process, without imports, as PEFT and LyCORIS run."""
        out = self.work / "ours.safetensors"
        self._record(
            task,
            "scumble",
            timed([sys.executable, "-m", "scumble", *arguments, "--out", str(out), "--overwrite"]),
            out,
            exact,
        )
        line = [*arguments, "--out", str(out), "--overwrite"]
        exit_code(line)
        started = seconds_now()
        exit_code(line)
        self._record(task, "scumble, in this process", seconds_since(started), out, exact)

    def sd_script(self, task: str, script: str, arguments: list[str], exact: Callable[[str], torch.Tensor]) -> None:
        """Run a script of sd-scripts, in float32 on the CPU."""
        if self.sd_scripts is None:
            self.figures.setdefault(task, {})["sd-scripts"] = "missing: no checkout was given"
            return
        out = self.work / "theirs.safetensors"
        out.unlink(missing_ok=True)
        self._record(task, "sd-scripts", self.run_sd_script(script, [*arguments, "--save_to", str(out)]), out, exact)

    def run_sd_script(self, script: str, arguments: list[str]) -> Seconds | str:
        """Seconds of a script of the checkout that was given, or why it failed."""
        assert self.sd_scripts is not None
        path = os.pathsep.join(str(each) for each in (self.sd_scripts, self.packages) if each is not None)
        command = [sys.executable, str(self.sd_scripts / "networks" / script), *arguments]
        return timed(command, {"PYTHONPATH": path})

    def peft(self, task: str, how: str, rank: int | None, exact: Callable[[str], torch.Tensor]) -> None:
        """PEFT's add_weighted_adapter, in a process of its own, and in this one without imports."""
        if importlib.util.find_spec("peft") is None:
            self.figures.setdefault(task, {})["PEFT"] = "missing"
            return
        command = [sys.executable, __file__, "--work", str(self.work), "--peft", how]
        size = ["--peft-rank", str(rank)] if rank is not None else []
        self._record(task, "PEFT", timed([*command, *size]), self.summed_by_peft, exact)
        seconds = self.peft_sum(how, rank)
        self._record(task, "PEFT, in this process", seconds, self.summed_by_peft, exact)

    @property
    def summed_by_peft(self) -> Path:
        """PEFT's result."""
        return self.work / "peft.safetensors"

    def peft_sum(self, how: str, rank: int | None) -> Seconds:
        """Seconds of PEFT's sum, from files to a file, on linear layers of the same shapes."""
        return peft_sum(self.loras, WEIGHTS, how, rank, self.shapes, self.summed_by_peft)

    def _record(
        self, task: str, who: str, seconds: Seconds | str, out: Path, exact: Callable[[str], torch.Tensor]
    ) -> None:
        figure: object = seconds
        if not isinstance(seconds, str):
            figure = {**seconds, "error": float(f"{error(factors(out), exact, self.layers):.6g}")}
        self.figures.setdefault(task, {})[who] = figure
        print(f"{task}: {who} {figure}", flush=True)


def peft_sum(
    paths: list[Path],
    weights: tuple[float, ...],
    how: str,
    rank: int | None,
    shapes: dict[str, tuple[int, ...]],
    out: Path,
) -> Seconds:
    """Seconds of reading, adding up by PEFT and writing; the model of empty layers is made before."""
    from peft import LoraConfig, get_peft_model

    # PEFT passes over modules that have "lora_" in their names
    names = {kohya_name(key).removeprefix("lora_"): shape for key, shape in shapes.items()}
    model = torch.nn.ModuleDict(
        {name: torch.nn.Linear(shape[1], shape[0], bias=False) for name, shape in names.items()}
    )
    config = LoraConfig(r=RANK, lora_alpha=RANK // 2, target_modules=list(names))
    wrapped = get_peft_model(model, config, "0")
    for index in range(1, len(paths)):
        wrapped.add_adapter(str(index), config)
    started = seconds_now()
    layers = wrapped.base_model.model
    for index, path in enumerate(paths):
        tensors = load_file(path)
        for name in names:
            layers[name].lora_A[str(index)].weight.data = tensors[f"lora_{name}.lora_down.weight"].flatten(1)
            layers[name].lora_B[str(index)].weight.data = tensors[f"lora_{name}.lora_up.weight"].flatten(1)
    adapters = [str(index) for index in range(len(paths))]
    wrapped.add_weighted_adapter(
        adapters, list(weights), "sum", combination_type=how, svd_rank=rank, svd_full_matrices=False
    )
    result = {}
    for name in names:
        down, up = layers[name].lora_A["sum"].weight.data, layers[name].lora_B["sum"].weight.data
        result[f"lora_{name}.lora_down.weight"], result[f"lora_{name}.lora_up.weight"] = (
            down.contiguous(),
            up.contiguous(),
        )
        result[f"lora_{name}.alpha"] = torch.tensor(layers[name].scaling["sum"] * len(down))
    save_file(result, out)
    return seconds_since(started)


def write_checkpoints(base: Path, tuned: Path) -> None:
    """Two files of Stable Diffusion 1.5's size in float16; in the second the adapted layers are tuned."""
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "families")]
    import original
    from harness.bases import write_sd15

    folder = write_sd15(base.with_suffix(""))
    tensors = original.tensors_of(folder, original.SD1)
    save_file(tensors, base, {"format": "pt"})
    generator = torch.Generator().manual_seed(5)
    for name, tensor in tensors.items():
        is_text = ".encoder.layers." in name and tensor.ndim == 2
        if is_text or (".transformer_blocks." in name and tensor.ndim == 2) or (".proj_" in name and tensor.ndim == 4):
            out, into = tensor.shape[:2]
            strong = torch.randn(out, 12, generator=generator) @ torch.randn(12, into, generator=generator) / 500
            noise = torch.randn(out, into, generator=generator) / 500
            tensors[name] = (tensor.float() + (strong + noise).view(tensor.shape)).half()
    save_file(tensors, tuned, {"format": "pt"})


def lycoris_figure(difference: Callable[[str], torch.Tensor], layers: list[str]) -> object:
    """LyCORIS's extract_linear on the attention layers: seconds, and its error there."""
    if importlib.util.find_spec("lycoris") is None:
        return "missing"
    from lycoris.utils import extract_linear

    attention = [layer for layer in layers if "_attn1_" in layer or "_attn2_" in layer]
    matrices = {layer: difference(layer).float() for layer in attention}
    started = seconds_now()
    extracted = {layer: extract_linear(matrix, "fixed", EXTRACTED)[0] for layer, matrix in matrices.items()}
    seconds = seconds_since(started)
    found = {layer: (up.double(), down.double()) for layer, (down, up, _) in extracted.items()}
    return {
        **seconds,
        "error": float(f"{error(found, difference, attention):.6g}"),
        "layers": len(attention),
    }


def merging_and_resizing(bench: Bench) -> None:
    """The tasks on LoRAs."""
    one, other = (factors(path) for path in bench.loras)

    def summed(layer: str) -> torch.Tensor:
        return WEIGHTS[0] * one[layer][0] @ one[layer][1] + WEIGHTS[1] * other[layer][0] @ other[layer][1]

    def alone(layer: str) -> torch.Tensor:
        return one[layer][0] @ one[layer][1]

    # merge_lora.py multiplies both factors by its ratio, so that the weight is the ratio's square
    roots = [str(math.sqrt(weight)) for weight in WEIGHTS]
    files, weights = [str(path) for path in bench.loras], [str(weight) for weight in WEIGHTS]
    precision = ["--save_precision", "float"]
    task = "merge, ranks side by side"
    bench.scumble(task, ["merge", *files, "--weights", *weights], summed)
    merging = ["--precision", "float", *precision, "--models", *files, "--ratios"]
    bench.sd_script(task, "merge_lora.py", [*merging, *roots, "--concat"], summed)
    bench.peft(task, "cat", None, summed)
    task = f"merge to rank {MERGED}"
    bench.scumble(task, ["merge", *files, "--weights", *weights, "--rank", str(MERGED)], summed)
    bench.sd_script(
        task, "svd_merge_lora.py", [*merging, *weights, "--new_rank", str(MERGED), "--device", "cpu"], summed
    )
    bench.peft(task, "svd", MERGED, summed)
    task = f"resize from {RANK} to {RESIZED}"
    bench.scumble(task, ["resize", files[0], "--rank", str(RESIZED)], alone)
    resizing = [*precision, "--new_rank", str(RESIZED), "--model", files[0], "--device", "cpu"]
    bench.sd_script(task, "resize_lora.py", resizing, alone)
    bench.figures[task]["PEFT"] = "missing: it has no such command, and one adapter alone it copies"


def extracting(bench: Bench) -> None:
    """The task on checkpoints."""
    base, tuned = bench.work / "base.safetensors", bench.work / "tuned.safetensors"
    if not tuned.exists():
        write_checkpoints(base, tuned)
    tables = [table_of(open_base(str(path), prediction_type="epsilon")) for path in (base, tuned)]
    keys = dict(zip(bench.layers, bench.shapes, strict=True))

    def difference(layer: str) -> torch.Tensor:
        before, after = (table.weight(keys[layer]).double() for table in tables)
        return (after - before).flatten(1)

    merging_into(bench, base, tables[0])
    task = f"extract rank {EXTRACTED}"
    size = ["--save-precision", "fp32", "--rank", str(EXTRACTED)]
    bench.scumble(task, ["extract", str(base), str(tuned), *size], difference)
    figure = lycoris_figure(difference, bench.layers)
    bench.figures[task]["LyCORIS, attention only"] = figure
    print(f"{task}: LyCORIS {figure}", flush=True)
    models = ["--model_org", str(base), "--model_tuned", str(tuned), "--device", "cpu"]
    theirs = [*models, "--save_precision", "float", "--dim", str(EXTRACTED)]
    bench.sd_script(task, "extract_lora_from_models.py", theirs, difference)


def merging_into(bench: Bench, base: Path, table: LayerTable) -> None:
    """The LoRAs added to a checkpoint in float16; the error is beside the change, and mostly float16's own."""
    both = [factors(path) for path in bench.loras]
    out = {who: bench.work / f"into-{who}.safetensors" for who in ("scumble", "sd-scripts")}

    def figure(who: str, seconds: Seconds | str) -> None:
        shown: object = seconds
        if not isinstance(seconds, str):
            merged = table_of(open_base(str(out[who]), prediction_type="epsilon"))
            apart = size = 0.0
            for key, layer in zip(bench.shapes, bench.layers, strict=True):
                before, after = (each.weight(key).double().flatten(1) for each in (table, merged))
                change = sum(weight * one[layer][0] @ one[layer][1] for weight, one in zip(WEIGHTS, both, strict=True))
                apart += float((after - before - change).square().sum())
                size += float(change.square().sum())
            shown = {**seconds, "error": float(f"{math.sqrt(apart / size):.6g}")}
        bench.figures.setdefault("merge into a checkpoint", {})[who] = shown
        print(f"merge into a checkpoint: {who} {shown}", flush=True)

    files, weights = [str(path) for path in bench.loras], [str(weight) for weight in WEIGHTS]
    command = [sys.executable, "-m", "scumble", "merge", *files, "--weights", *weights, "--into", str(base)]
    figure("scumble", timed([*command, "--out", str(out["scumble"]), "--overwrite"]))
    if bench.sd_scripts is None:
        bench.figures["merge into a checkpoint"]["sd-scripts"] = "missing: no checkout was given"
        return
    models = ["--sd_model", str(base), "--models", *files, "--ratios", *weights]
    precision = ["--precision", "float", "--save_precision", "fp16", "--save_to", str(out["sd-scripts"])]
    figure("sd-scripts", bench.run_sd_script("merge_lora.py", [*models, *precision]))


def main() -> None:
    """Make the files, run everybody, record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sd-scripts", type=Path)
    parser.add_argument("--sd-scripts-packages", type=Path)
    parser.add_argument("--extract", action="store_true")
    parser.add_argument("--peft", choices=("cat", "svd"), help="only this sum by PEFT, for the bench itself")
    parser.add_argument("--peft-rank", type=int)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.work, options.sd_scripts, options.sd_scripts_packages)
    if options.peft:
        bench.peft_sum(options.peft, options.peft_rank)
        return
    write_loras(bench)
    merging_and_resizing(bench)
    if options.extract:
        extracting(bench)
    result = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/edit_lora_files.py --work FOLDER" + " --extract" * options.extract
        + " --sd-scripts CHECKOUT" * (options.sd_scripts is not None),
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "layers": len(bench.layers),
        "figures": bench.figures,
    }  # fmt: skip
    path = Path(__file__).parent / "results" / f"{result['date']}-edit-lora-files.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

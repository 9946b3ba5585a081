"""What is there by choice: each package does a small piece of the work that it is for."""

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scumble.doctor.finding import Finding, tried


def look_at_extras() -> Iterator[Finding]:
    """Every extra of pyproject.toml."""
    yield tried("4- and 8-bit weights (bitsandbytes)", _packs, _install("quantize"))
    yield tried("WD14 taggers (onnxruntime)", _runs_onnx, _install("caption"))
    yield tried("CLIP's vocabulary (open_clip_torch)", _tokenizes, _install("tokenizer"))
    yield tried("datasets of the hub (pyarrow)", _reads_parquet, _install("hub"))
    yield tried("models that enlarge pictures (spandrel)", _knows_upscalers, _install("upscale"))
    yield tried("CLIP score, FID and KID (torchmetrics)", _measures, _install("metrics"))
    yield tried("sweeps that choose the next cell (optuna)", _chooses, _install("sweep"))
    yield tried("sweeps over several machines (ray)", _imports_ray, _install("ray"))
    yield from _optimizers()
    yield tried("TensorBoard", _logs, "pip install --force-reinstall tensorboard")
    yield tried("Weights & Biases (wandb)", _begins_wandb, _install("trackers"))
    yield tried("Trackio", _imports_trackio, _install("trackers"))


def _install(extra: str) -> str:
    return f'pip install "scumble[{extra}]"'


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _packs() -> str:
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64)
    apart = float((dequantize_4bit(*quantize_4bit(weight, quant_type="nf4")) - weight).abs().max())
    if not apart < 0.2:
        raise RuntimeError(f"a weight packed in 4 bits differs by {apart:.2g} from what it was")
    return f"{_version('bitsandbytes')}, a weight packed and unpacked on {device}"


def _runs_onnx() -> str:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(_identity(), providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {"x": np.asarray(2.0, np.float32)})
    if float(said) != 2.0:
        raise RuntimeError(f"a model that says what it is told said {said}")
    used = {"CUDAExecutionProvider": "GPU", "CPUExecutionProvider": "CPU"}  # of all that it knows, what taggers run on
    providers = [used[name] for name in onnxruntime.get_available_providers() if name in used]
    return f"{onnxruntime.__version__}, on {', '.join(providers)}"


def _identity() -> bytes:
    """The smallest ONNX model, y = x, in the bytes of its protocol buffer."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def value(name: bytes) -> bytes:
        return field(1, name) + field(2, field(1, b"\x08\x01" + field(2, b"")))  # one float32

    node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"g") + field(11, value(b"x")) + field(12, value(b"y"))
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x0d")


def _tokenizes() -> str:
    import torch  # noqa: F401 - transformers looks for it

    from scumble.errors import BaseModelError
    from scumble.families.vocabulary import cached_folder, clip_tokenizer, shipped_vocabulary

    try:
        numbers = clip_tokenizer("!")("a photo of sks dog")["input_ids"]
    except BaseModelError as error:
        raise ModuleNotFoundError(str(error)) from None
    if numbers[1:4] != [320, 1125, 539]:
        raise RuntimeError(f"'a photo of' is read as {numbers[1:4]}, expected [320, 1125, 539]")
    place = cached_folder() or shipped_vocabulary()
    return f"read from {place}"


def _reads_parquet() -> str:
    import io

    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a dog"]}), buffer)
    if pyarrow.parquet.read_table(buffer).to_pydict() != {"text": ["a dog"]}:
        raise RuntimeError("a table came back as another")
    return str(pyarrow.__version__)


def _knows_upscalers() -> str:
    import spandrel  # type: ignore[import-untyped]

    return f"{spandrel.__version__}, {len(spandrel.MAIN_REGISTRY)} architectures"


def _measures() -> str:
    import torch

    from scumble.errors import MetricError
    from scumble.metrics.kid import kid

    features = torch.linspace(-1, 1, 64).view(16, 4)
    try:
        near, far = kid(features, features)[0], kid(features, features + 1)[0]
    except MetricError as error:
        raise ModuleNotFoundError(str(error)) from None
    if not near < far:
        raise RuntimeError(f"KID of equal pictures is {near:.2g}, of others {far:.2g}")
    return f"{_version('torchmetrics')}, a KID measured"


def _chooses() -> str:
    import optuna

    optuna.logging.disable_default_handler()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [0, 1]}, seed=0))
    study.optimize(lambda trial: trial.suggest_int("x", 0, 1), n_trials=2)
    if study.best_params != {"x": 0}:
        raise RuntimeError(f"the smallest of 0 and 1 is {study.best_params['x']}")
    return f"{optuna.__version__}, a choice made"


def _imports_ray() -> str:
    import ray

    return f"{ray.__version__}, imported"


def _optimizers() -> Iterator[Finding]:
    from scumble.train.optimizers import OPTIMIZERS

    for name in OPTIMIZERS:
        yield tried(f"optimizer {name}", functools.partial(_learns, name), _install("optimizers"))


def _learns(name: str) -> str:
    import torch

    from scumble.errors import ConfigError
    from scumble.train.optimizer import build_optimizer
    from scumble.train.optimizer_trial import try_out
    from scumble.train.optimizers import find_optimizer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = find_optimizer(name)
    except ConfigError as error:
        raise ModuleNotFoundError(str(error)) from None
    try_out(name, lambda groups: build_optimizer(found, groups, 1e-3, dict(found.kind.defaults)), [1.0], device)
    return f"four steps, stopped and gone on, on {device}"


def _logs() -> str:
    from torch.utils.tensorboard.writer import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        writer.add_scalar("loss", 0.5, 1)
        writer.close()
        if not any(Path(folder).iterdir()):
            raise RuntimeError("it wrote no file")
    return _version("tensorboard")


def _begins_wandb() -> str:
    import wandb

    run = wandb.init(project="scumble", mode="disabled")
    run.log({"loss": 0.5})
    run.finish()
    mode = os.environ.get("WANDB_MODE", "offline")
    return f"{wandb.__version__}, runs are kept {'here' if mode == 'offline' else f'as WANDB_MODE={mode} says'}"


def _imports_trackio() -> str:
    import trackio

    return f"{trackio.__version__}, imported"

"""Does a LoRA file mean what was trained? It is read back by a foreign reader, put on a fresh base, and compared.

Shapes: B batch, C latent channels, H W latent height and width.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from scumble.adapters.computing import computing_in
from scumble.adapters.geometry import Geometry
from scumble.adapters.pack import Storage, store
from scumble.edit.by_formula import needs_formulas, read_by_formula
from scumble.edit.independent import read_independently
from scumble.edit.independent_words import read_words
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel, TextState
from scumble.files.embeddings import Embeddings

WEIGHT_TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Largest relative error of the weight change, by precision of the file: what storing the factors in it explains."""

EFFECT_TOLERANCE = 0.01
"""Largest relative error of the effect, beyond the rounding of the denoiser itself."""

ROUNDING_STEPS = 8.0
"""How many roundings of the output's size a run through a denoiser may differ by, in the precision of its weights."""


DIFFUSERS, FORMULAS = "diffusers' own reader", "a second reader, made of the published formulas,"


@dataclass(frozen=True)
class Probe:
    """One fixed question to the denoiser, and the answers with and without the trained adapter.

    Attributes:
        noisy: [B, C, H, W].
        timesteps: [B].
        text: batched text state.
        trained: the denoiser's output with the adapter, [B, C, H, W].
        plain: its output without.
        captions: what the text state is of, where the text encoder was trained too; else empty.
        clip_skip: the text encoder's layer.
        num_chunks: chunks of each caption's text state.
        words: new words that were trained.
    """

    noisy: Tensor
    timesteps: Tensor
    text: TextState
    trained: Tensor
    plain: Tensor
    captions: tuple[str, ...] = ()
    clip_skip: int = 1
    num_chunks: int = 1
    words: Embeddings = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """How far a file is from what was trained; root mean squares, relative.

    Attributes:
        weight_error: |change in the file - trained change| / |trained change|, over all layers, in float32.
        effect_error: |file's answer - trained answer| / |trained answer - plain answer|, on a base loaded anew.
        rounding: the part of effect_error that the rounding of the denoiser's own precision can make.
        reader: whose reading of the file was compared.
    """

    weight_error: float
    effect_error: float
    rounding: float
    reader: str = DIFFUSERS

    def __str__(self) -> str:
        """What was found, in a sentence."""
        change = f"off by {self.weight_error:.0e} of it" if self.weight_error else "exactly"
        return (
            f"{self.reader} finds the trained change in the file ({change}), and on a base loaded anew it does the same "
            f"(off by {self.effect_error:.0e} of the effect, where rounding makes up to {self.rounding:.0e})"
        )


@torch.no_grad()
def prove_file(
    path: Path,
    base: BaseModel,
    probe: Probe,
    trained: Callable[[Mapping[str, nn.Module]], Iterable[tuple[str, Tensor]]],
    stored: torch.dtype,
    base_dtype: torch.dtype = torch.float32,
    storage: Storage | None = None,
) -> Proof:
    """Read a LoRA file with a reader that did not write it (diffusers' own where it can), put its change on a base loaded anew, and compare.

    Args:
        path: the LoRA file.
        base: the base it was trained on.
        probe: on the device and in the precision to compare in.
        trained: of the fresh base's layers by canonical key gives key and trained weight change, float32, of every adapted layer.
        stored: precision of the file.
        base_dtype: precision that the base's weights were rounded to in training.
        storage: how they were kept in training; None = as they were loaded.
    Raises:
        LoraFileError: the foreign reader does not understand the file, or it differs by more than rounding explains.
    """
    storage, device = storage or Storage(), probe.noisy.device
    denoiser = base.load_denoiser(base_dtype, storage.loaded_on(device))
    denoiser = store(denoiser, storage, device)
    encoder = base.load_text_encoder(probe.noisy.device) if probe.captions else None
    layers = _layers(base, {"unet": denoiser, **({} if encoder is None else encoder.modules)})
    words = read_words(path)
    _refuse_other_words(path, words, probe.words)
    by_formula = needs_formulas(path)
    changes = read_by_formula(path, layers) if by_formula else read_independently(path, denoiser.config)
    weight_error = _weight_error(path, changes, trained(layers))
    for key, change in changes.items():
        _hook_change(path, layers.get(key), key, change)
    text = probe.text
    if encoder is not None:
        encoder.words.add(path.name, words)
        encoder.words.use([path.name])
        states = encoder.encode(probe.captions, probe.clip_skip, probe.num_chunks)
        text = {**text, **{name: torch.stack([state[name] for state in states]) for name in states[0]}}
    with computing_in(denoiser, probe.noisy.dtype):
        answer = base.predict(denoiser, probe.noisy, probe.timesteps, text)
    effect = max(float(_norm(probe.trained - probe.plain)), torch.finfo(torch.float32).tiny)
    rounding = ROUNDING_STEPS * torch.finfo(probe.noisy.dtype).eps * float(_norm(probe.plain)) / effect
    reader = FORMULAS if by_formula else DIFFUSERS
    proof = Proof(weight_error, float(_norm(answer - probe.trained)) / effect, rounding, reader)
    _refuse(path, reader, "weight change", proof.weight_error, WEIGHT_TOLERANCE[stored])
    _refuse(path, reader, "effect", proof.effect_error, EFFECT_TOLERANCE + WEIGHT_TOLERANCE[stored] + rounding)
    return proof


def _refuse_other_words(path: Path, found: Embeddings, trained: Embeddings) -> None:
    """Words are stored as they are, so that they are the same to the bit."""
    if found.keys() != trained.keys():
        raise LoraFileError(f"{path}: read back, it has the words {sorted(found)}, expected {sorted(trained)}")
    for word, vectors in trained.items():
        if found[word].keys() != vectors.keys() or any(
            not torch.equal(found[word][part], tensor.cpu()) for part, tensor in vectors.items()
        ):
            raise LoraFileError(f"{path}: read back, the word '{word}' is not what was trained; do not use this file")


def _weight_error(path: Path, changes: Mapping[str, Tensor], trained: Iterable[tuple[str, Tensor]]) -> float:
    difference, size, layers = 0.0, 0.0, set()
    for layer, change in trained:
        if layer not in changes:
            raise LoraFileError(f"{path}: read back, {layer} is missing")
        layers.add(layer)
        expected = change.cpu().double()
        difference += float((changes[layer].double() - expected).square().sum())
        size += float(expected.square().sum())
    others = sorted(layer for layer, change in changes.items() if layer not in layers and change.any())
    if others:
        raise LoraFileError(f"{path}: read back, it changes {len(others)} layers that were not trained: {others[0]}")
    return math.sqrt(difference / size if size > 0 else difference)


def _refuse(path: Path, reader: str, what: str, error: float, limit: float) -> None:
    if not error <= limit:
        raise LoraFileError(
            f"{path}: read back by {reader}, its {what} differs from what was trained by {error:.2g} of itself "
            f"(limit {limit:.2g}); do not use this file, and please report it"
        )


def _layers(base: BaseModel, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Canonical key -> layer."""
    return {
        f"{part}.{path}": modules[part].get_submodule(base.module_path(part, path, modules[part]))
        for part, paths in base.layer_paths().items()
        if part in modules
        for path in paths
    }


def _hook_change(path: Path, module: nn.Module | None, key: str, change: Tensor) -> None:
    """Add x W_change^T to a layer's output: a third way of applying it, beside adapters and folding."""
    if module is None:
        raise LoraFileError(f"{path}: read back, it changes {key}, which the base does not have")

    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        (x,) = inputs
        return output + Geometry.of(module).run(x, change.to(x.device, x.dtype))

    module.register_forward_hook(add)


def _norm(difference: Tensor) -> Tensor:
    return difference.float().square().mean().sqrt()


def ask(base: BaseModel, denoiser: nn.Module, noisy: Tensor, timesteps: Tensor, text: Mapping[str, Tensor]) -> Tensor:
    """The denoiser's answer without a gradient."""
    with torch.no_grad():
        return base.predict(denoiser, noisy, timesteps, text)

"""The proof after saving: the file, read by a foreign reader, does to a fresh base what training did."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from scumble.adapters.computing import computing_in
from scumble.adapters.inject import eject, set_strength
from scumble.device import full_float32, release_memory
from scumble.edit.prove import Probe, Proof, ask, prove_file
from scumble.train.batches import Batch
from scumble.train.compiling import run_as_written
from scumble.train.parts import split
from scumble.train.session import Session
from scumble.train.start import ADAPTER_NAME


def prove(session: Session, batch: Batch, path: Path, stored: torch.dtype) -> Proof:
    """Compare the saved file with the session; the session's denoiser is given up for the fresh base's room.

    Args:
        session: a finished run; not to be used afterwards.
        batch: what the denoiser is asked about, two samples of it.
        path: the LoRA file that was written.
        stored: its precision.
    Raises:
        LoraFileError: the file is not what was trained.
    """
    run_as_written(session.denoiser)  # compiling for two passes, in another precision, takes longer than they do
    with full_float32():  # the allowance for rounding is that of the whole precision
        probe = _probe(session, _middle_of(batch))
        _give_up_models(session)
        return prove_file(path, session.base, probe, partial(_changes, session), stored, session.dtype, session.storage)


def _changes(session: Session, fresh: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    """What was trained, by canonical key, where it reads the frozen weight by that of the fresh base."""
    for key, adapter in session.adapters.items():
        adapter.stand_on(fresh[key])
        yield key, adapter.delta().detach()


def _middle_of(batch: Batch) -> Batch:
    """Two of its samples: more cost a large base seconds a pass, and prove nothing else."""
    pairs = split(batch, math.ceil(len(batch.timesteps) / 2))
    return pairs[len(pairs) // 2][1]


def _probe(session: Session, batch: Batch) -> Probe:
    """What the trained denoiser answers, and what it answers without the adapter."""
    device, dtype = session.device, torch.float32
    timesteps = batch.timesteps.to(device)
    noisy = session.objective.noisy(batch.latents.to(device), batch.noise.to(device), timesteps).to(dtype)
    answers = []
    for strength in (1.0, 0.0):
        for module in session.modules.values():
            set_strength(module, ADAPTER_NAME, strength)
        if session.text_encoder is not None:
            session.text_encoder.words.use([ADAPTER_NAME] if strength else [])
        with torch.no_grad():
            text = session.text_of(batch)
        with computing_in(session.denoiser, dtype):  # the rounding of 16 bits would hide the effect of a short run
            answers.append(ask(session.base, session.denoiser, noisy, timesteps, text))
    trained, plain = answers
    captions = () if session.text_encoder is None else batch.captions
    words = session.new_words.with_numbers(session.adapter)
    return Probe(noisy, timesteps, text, trained, plain, captions, session.clip_skip, session.num_chunks, words)


def _give_up_models(session: Session) -> None:
    for module in session.modules.values():
        eject(module)
    for adapter in session.adapters.values():
        adapter.stand_on(nn.Identity())  # or a DoRA would hold the layer's weight
    session.denoiser, session.text_encoder = nn.Identity(), None
    release_memory(session.device)

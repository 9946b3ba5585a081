"""Sample pictures while training, drawn from the file just saved: what the person would get, not what is in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

from scumble.adapters.inject import detach, set_strength
from scumble.families.apply import attach_lora
from scumble.families.base import TextState
from scumble.files.read import read_lora
from scumble.generate.draw import Settings, decode_images, draw_latents
from scumble.generate.grid import labelled_grid
from scumble.train.plan import Plan
from scumble.train.session import Session
from scumble.train.start import ADAPTER_NAME

FIRST_SEED = 1025
STEPS = 25
SAMPLER = "DPM++ 2M Karras"
FILE_NAME = "file"


def sample_prompts(plan: Plan) -> list[str]:
    """The prompts of the sample pictures."""
    return split_prompts(plan.config.validation.validation_prompt)


def split_prompts(text: str | None) -> list[str]:
    """Prompts that one setting holds, separated by '|'."""
    return [] if text is None else [prompt.strip() for prompt in text.split("|")]


def draw_samples(plan: Plan, session: Session, states: Mapping[str, TextState], lora: Path, path: Path) -> Path:
    """Draw every sample prompt with the LoRA read back from its file; a row a prompt, a column a seed.

    Args:
        plan: the run.
        session: its denoiser draws; the adapter in training rests meanwhile.
        states: prompt -> text state, the empty prompt included.
        lora: the file just saved.
        path: the picture to write.
    """
    modules = session.modules
    attach_lora(plan.base, modules, read_lora(lora, plan.base.layer_paths()), FILE_NAME)
    for module in modules.values():
        set_strength(module, ADAPTER_NAME, 0.0)
    try:
        if session.text_encoder is not None:
            states = _states(session, sample_prompts(plan))
        rows = [_row(plan, session, states, prompt) for prompt in sample_prompts(plan)]
    finally:
        for module in modules.values():
            detach(module, FILE_NAME)
            set_strength(module, ADAPTER_NAME, 1.0)
    path.parent.mkdir(exist_ok=True)
    seeds = [f"seed {FIRST_SEED + index}" for index in range(len(rows[0]))]
    title = f"{plan.name}, step {session.step}"
    labelled_grid(rows, seeds, sample_prompts(plan), title).save(path)
    return path


@torch.no_grad()
def _states(session: Session, prompts: Sequence[str]) -> dict[str, TextState]:
    """Text states of the prompts, and of the empty one, as the text encoder makes them now."""
    assert session.text_encoder is not None
    named = [*prompts, ""]
    return dict(zip(named, session.text_encoder.encode(named, session.clip_skip), strict=True))


def _row(plan: Plan, session: Session, states: Mapping[str, TextState], prompt: str) -> list[Image.Image]:
    count = plan.config.validation.num_validation_images or 1
    side = plan.config.data.resolution
    assert side is not None
    settings = Settings(side, side, STEPS, plan.base.advice.guidance_scale, SAMPLER)
    autoencoder = plan.base.load_autoencoder(session.device)  # not kept: training needs the room
    negative = plan.base.without_prompt(states[""])
    images = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        latents = draw_latents(plan.base, session.denoiser, [states[prompt]], [negative], [seed], settings)
        images += decode_images(autoencoder, latents)
    return images

"""Sample pictures while training, drawn from the file just saved: what the person would get, not what is in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

from scumble.adapters.inject import detach, set_strength
from scumble.families.apply import attach_lora
from scumble.families.base import TextEncoder, TextState
from scumble.files.read import read_lora
from scumble.generate.draw import Settings, decode_images, draw_latents
from scumble.generate.prompt import split_prompts
from scumble.generate.weighted import prompt_states
from scumble.train.compiling import as_written
from scumble.train.plan import Plan
from scumble.train.session import Session
from scumble.train.start import ADAPTER_NAME

FIRST_SEED = 1025
STEPS = 25
SAMPLER = "DPM++ 2M Karras"
FILE_NAME = "file"

SampleTexts = Mapping[str, tuple[TextState, TextState]]
"""Sample prompt -> its text state, and the empty prompt's of the same shape."""


def sample_seeds(plan: Plan) -> range:
    """The seeds of the sample pictures of each prompt."""
    return range(FIRST_SEED, FIRST_SEED + (plan.config.validation.num_validation_images or 1))


def sample_prompts(plan: Plan) -> list[str]:
    """The prompts of the sample pictures."""
    return split_prompts(plan.config.validation.validation_prompt)


@torch.no_grad()
def sample_texts(encoder: TextEncoder, prompts: Sequence[str], clip_skip: int) -> SampleTexts:
    """Read each prompt as generation does: with weights on its words, in as many chunks as it needs."""
    states = {prompt: prompt_states(encoder, [prompt, ""], clip_skip) for prompt in prompts}
    return {prompt: (state, empty) for prompt, (state, empty) in states.items()}


def draw_samples(plan: Plan, session: Session, texts: SampleTexts, lora: Path | None) -> list[list[Image.Image]]:
    """Draw every sample prompt with the LoRA read back from its file; a row a prompt, a column a seed.

    Args:
        plan: the run.
        session: its denoiser draws; the adapter in training rests meanwhile.
        texts: of every sample prompt.
        lora: the file just saved; None = the base alone.
    """
    modules, encoder = session.modules, session.text_encoder
    file = None if lora is None else read_lora(lora, plan.base.layer_paths())
    if file is not None:
        attach_lora(plan.base, modules, file, FILE_NAME)
    for module in modules.values():
        set_strength(module, ADAPTER_NAME, 0.0)
    try:
        if encoder is not None:
            encoder.words.add(FILE_NAME, {} if file is None else file.embeddings)
            with encoder.words.only([FILE_NAME]):
                texts = sample_texts(encoder, sample_prompts(plan), session.clip_skip)
        with as_written(session.denoiser):
            return [_row(plan, session, texts[prompt]) for prompt in sample_prompts(plan)]
    finally:
        for module in modules.values():
            if file is not None:
                detach(module, FILE_NAME)
            set_strength(module, ADAPTER_NAME, 1.0)
        if encoder is not None:
            encoder.words.remove(FILE_NAME)


def _row(plan: Plan, session: Session, text: tuple[TextState, TextState]) -> list[Image.Image]:
    side = plan.config.data.resolution
    assert side is not None
    settings = Settings(side, side, STEPS, plan.base.advice.guidance_scale, SAMPLER)
    autoencoder = plan.base.load_autoencoder(session.device)  # not kept: training needs the room
    positive, empty = text
    negative = plan.base.without_prompt(empty)
    images = []
    for seed in sample_seeds(plan):
        latents = draw_latents(plan.base, session.denoiser, [positive], [negative], [seed], settings)
        images += decode_images(autoencoder, latents)
    return images

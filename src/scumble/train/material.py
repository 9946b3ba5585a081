"""What a run feeds on: encoded pictures and captions, through the cache."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import Latents, PictureEncoder, encode_captions
from scumble.data.scan import Example, Scan
from scumble.families.base import TextEncoder, TextState, middle_frame
from scumble.generate.events import Noted
from scumble.train.batches import Batch, Mixture, Pool
from scumble.train.events import Prepared
from scumble.train.plan import Plan
from scumble.train.validation import validation_batches

VALIDATION_BATCH = 8


@dataclass(frozen=True)
class Material:
    """What a run feeds on, once the autoencoder and the text encoder have left memory.

    Attributes:
        mixture: the training samples.
        held_out: the validation batches.
        prompts: text state of each sample prompt, and of the empty one.
    """

    mixture: Mixture
    held_out: list[Batch]
    prompts: dict[str, TextState]


def prepare_material(
    plan: Plan, classes: Scan | None, prompts: Sequence[str]
) -> Generator[Noted | Prepared, None, Material]:
    """Encode pictures and captions, through the cache.

    Args:
        plan: the run.
        classes: the class pictures, given or drawn.
        prompts: the prompts of the sample pictures.
    """
    config = plan.config
    assert config.model.clip_skip is not None
    cache = TensorCache(config.data.cache_dir or default_cache_dir())
    examples = [*plan.scan.examples, *(classes.examples if classes is not None else ())]
    latents: list[Latents] = []
    for item in _encoder(plan, cache).encode(examples):
        latents.append(item)
        yield Prepared("latents", len(latents), len(examples))
    captions = [caption for example in examples for caption in example.captions]
    yield from _cut_captions(plan, captions)
    states = encode_captions(
        [*captions, *prompts, ""],
        config.model.clip_skip,
        cache,
        plan.base.text_shapes(),
        plan.base.hashes()["text_encoder"],
        lambda: plan.base.load_text_encoder(plan.device),
    )
    yield Prepared("text states", len(states), len(states))
    own, rest = len(plan.scan.examples), range(len(plan.scan.examples), len(examples))

    def pool(indices: Sequence[int]) -> Pool:
        frames = [_frame_state(plan, examples[index]) for index in indices]
        chosen = [latents[index] for index in indices]
        return Pool(chosen, [examples[index].captions for index in indices], states, frames)

    trained = [index for index in plan.split.training for _ in range(examples[index].repeats)]
    mixture = _mixture(plan, pool(trained), pool(rest) if classes is not None else None)
    held_out = pool(plan.split.held_out or range(own))
    batches = validation_batches(held_out, mixture.num_timesteps, VALIDATION_BATCH, mixture.seed)
    return Material(mixture, batches, {prompt: states[prompt] for prompt in [*prompts, ""]})


def _mixture(plan: Plan, own: Pool, classes: Pool | None) -> Mixture:
    config = plan.config
    return Mixture(
        own=own,
        classes=classes,
        class_share=config.prior.prior_share or 0.0,
        class_weight=config.prior.prior_loss_weight or 1.0,
        caption_dropout=config.data.caption_dropout_rate,
        noise_offset=config.training.noise_offset,
        num_timesteps=len(plan.base.noise_schedule()),
        seed=config.training.seed,
    )


def _frame_state(plan: Plan, example: Example) -> TextState:
    """What the denoiser is told of how a picture was cut."""
    side = plan.config.data.resolution
    assert side is not None
    return plan.base.frame_state(middle_frame(example.size_px, (side, side)))


def _encoder(plan: Plan, cache: TensorCache) -> PictureEncoder:
    assert plan.config.data.resolution is not None
    side = plan.config.data.resolution // plan.base.pixels_per_latent
    return PictureEncoder(
        size_px=plan.config.data.resolution,
        latent_shape=(plan.base.latent_channels, side, side),
        is_mirrored=plan.config.data.random_flip,
        cache=cache,
        autoencoder_hash=plan.base.hashes()["vae"],
        load_autoencoder=lambda: plan.base.load_autoencoder(plan.device),
        device=plan.device,
    )


def _cut_captions(plan: Plan, captions: Sequence[str]) -> Iterator[Noted]:
    """A warning for captions of which the text encoder does not see the end."""
    room = plan.base.max_tokens
    suspects = [caption for caption in dict.fromkeys(captions) if len(caption) > room]
    if not suspects:
        return
    encoder: TextEncoder = plan.base.load_text_encoder(torch.device("cpu"))
    cut = [caption for caption in suspects if encoder.count_tokens(caption) > room]
    if cut:
        yield Noted(
            f'{len(cut)} captions have more than {room} tokens; what is beyond is not seen, first: "{cut[0][:60]}…"',
            warning=True,
        )

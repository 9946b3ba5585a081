"""What a run feeds on: encoded pictures and captions, through the cache."""

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from scumble.config.train import MOST_TOKENS, TOKENS_OF_A_CHUNK
from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import Latents, PictureEncoder, encode_captions
from scumble.data.scan import Example, Scan
from scumble.families.base import TextEncoder, TextState, middle_frame
from scumble.families.chunks import COMMA_REACH
from scumble.generate.events import Noted
from scumble.generate.prompt import cut_off
from scumble.train.batches import Batch, Mixture, Pool
from scumble.train.events import Prepared
from scumble.train.plan import Plan
from scumble.train.samples import SampleTexts, sample_texts
from scumble.train.validation import validation_batches

VALIDATION_BATCH = 8


@dataclass(frozen=True)
class Material:
    """What a run feeds on, once the autoencoder and the text encoder have left memory.

    Attributes:
        mixture: the training samples.
        held_out: the validation batches.
        prompts: text states of the sample prompts.
    """

    mixture: Mixture
    held_out: list[Batch]
    prompts: SampleTexts


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
    load_encoder = functools.cache(lambda: plan.base.load_text_encoder(plan.device))
    yield from _cut_captions(plan, captions, load_encoder)
    states = encode_captions(
        [*captions, ""],
        config.model.clip_skip,
        cache,
        plan.base.text_shapes(config.data.num_chunks),
        plan.base.hashes()["text_encoder"],
        load_encoder,
        config.data.num_chunks,
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
    samples = sample_texts(load_encoder(), prompts, config.model.clip_skip) if prompts else {}
    return Material(mixture, batches, samples)


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


def _cut_captions(plan: Plan, captions: Sequence[str], load_encoder: Callable[[], TextEncoder]) -> Iterator[Noted]:
    """A warning for captions of which the text encoder does not see the end."""
    room, num_chunks = plan.base.max_tokens, plan.config.data.num_chunks
    surely_seen = room + (num_chunks - 1) * (room - COMMA_REACH)
    suspects = [
        caption for caption in dict.fromkeys(captions) if len(caption.encode()) > surely_seen or "BREAK" in caption
    ]  # a token is one byte or more
    if not suspects:
        return
    encoder = load_encoder()
    needed = {caption: encoder.count_chunks(caption) for caption in suspects}
    cut = [caption for caption in suspects if needed[caption] > num_chunks]
    if not cut:
        return
    unseen = cut_off(cut[0], lambda text: encoder.count_chunks(text) <= num_chunks)
    enough = max(needed.values()) * TOKENS_OF_A_CHUNK
    advice = f"{enough} sees all" if enough <= MOST_TOKENS else f"{MOST_TOKENS} sees most; shorten them"
    count = "1 caption does" if len(cut) == 1 else f"{len(cut)} captions do"
    yield Noted(
        f"{count} not fit into max_token_length = {plan.config.data.max_token_length}: {advice}. Of the first, "
        f"{encoder.count_tokens(cut[0])} tokens in {needed[cut[0]]} chunks, this is not seen: '{unseen}'",
        warning=True,
    )

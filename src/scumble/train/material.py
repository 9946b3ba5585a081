"""What a run feeds on: encoded pictures and captions, through the cache."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from scumble.config.data import MOST_TOKENS, TOKENS_OF_A_CHUNK
from scumble.data.buckets import Size
from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import Latents, PictureEncoder, encode_captions
from scumble.data.masks import fit_mask
from scumble.data.scan import Example, Scan
from scumble.errors import DataError
from scumble.families.base import TextEncoder, TextState, middle_frame
from scumble.families.chunks import COMMA_REACH
from scumble.generate.events import Noted
from scumble.generate.prompt import cut_off
from scumble.train.batches import Batch, Mixture, Pool
from scumble.train.cuts import Cut, class_cuts
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
    cuts = [*plan.cuts, *_class_cuts(plan, classes)]
    latents: list[Latents] = []
    for item in _encoder(plan, cache).encode(cuts):
        latents.append(item)
        yield Prepared("latents", len(latents), len(cuts))
    captions = [caption for example, _ in cuts for caption in example.captions]
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

    def pools(indices: Iterable[int]) -> dict[Size, Pool]:
        by_size: dict[Size, list[int]] = {}
        for index in indices:
            by_size.setdefault(cuts[index][1], []).append(index)
        return {
            size: _pool(plan, [(cuts[index], latents[index]) for index in by_size[size]], states)
            for size in sorted(by_size)
        }

    own = pools(index for index in plan.split.training for _ in range(cuts[index][0].repeats))
    of_classes = pools(range(len(plan.cuts), len(cuts)))
    mixture = _mixture(plan, list(own.values()), [of_classes[size] for size in own] if of_classes else [])
    held_out = pools(plan.split.held_out or range(len(plan.cuts)))
    batches = validation_batches([*held_out.values()], mixture.num_timesteps, VALIDATION_BATCH, mixture.seed)
    samples = sample_texts(load_encoder(), prompts, config.model.clip_skip) if prompts else {}
    return Material(mixture, batches, samples)


def _class_cuts(plan: Plan, classes: Scan | None) -> tuple[Cut, ...]:
    if classes is None:
        return ()
    return class_cuts(classes.examples, [plan.cuts[index][1] for index in plan.split.training])


def _pool(plan: Plan, chosen: Sequence[tuple[Cut, Latents]], states: Mapping[str, TextState]) -> Pool:
    """Pictures of one size."""
    frames = [plan.base.frame_state(middle_frame(example.size_px, size)) for (example, size), _ in chosen]
    captions = [example.captions for (example, _), _ in chosen]
    masks = [_mask(example, size, plan.base.pixels_per_latent) for (example, size), _ in chosen]
    return Pool([latents for _, latents in chosen], captions, states, frames, masks)


def _mask(example: Example, size: Size, latent_px: int) -> Tensor | None:
    if example.mask is None:
        return None
    mask = fit_mask(example.mask.read(), size, latent_px)
    if not mask.any():
        raise DataError(
            f"{example.path}: its mask is black in all that is kept of it, {size[0]} x {size[1]} px around its middle: crop the "
            "picture beforehand"
        )
    return mask


def _mixture(plan: Plan, own: Sequence[Pool], classes: Sequence[Pool]) -> Mixture:
    config = plan.config
    return Mixture(
        own=own,
        classes=classes,
        class_share=config.prior.prior_share or 0.0,
        class_weight=config.prior.prior_loss_weight or 1.0,
        caption_dropout=config.data.caption_dropout_rate,
        wording=plan.wording,
        noise_offset=config.training.noise_offset,
        num_timesteps=len(plan.base.noise_schedule()),
        seed=config.training.seed,
    )


def _encoder(plan: Plan, cache: TensorCache) -> PictureEncoder:
    return PictureEncoder(
        channels=plan.base.latent_channels,
        pixels_per_latent=plan.base.pixels_per_latent,
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

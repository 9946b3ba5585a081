"""What a run feeds on: encoded pictures and captions, through the cache."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scumble.config.data import MOST_TOKENS, TOKENS_OF_A_CHUNK
from scumble.data.buckets import Size
from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import Latents, PictureEncoder, each_caption
from scumble.data.scan import Scan
from scumble.families.base import Autoencoder, TextEncoder, TextState, frame_at
from scumble.families.chunks import surely_seen
from scumble.generate.events import Noted
from scumble.generate.prompt import cut_off
from scumble.quantities import counted
from scumble.train.batches import Batch, Mixture, Pool
from scumble.train.cuts import Cut, class_cuts
from scumble.train.events import Prepared
from scumble.train.held import ROOM, Chosen, Held
from scumble.train.new_words import first_words, more_tokens
from scumble.train.noise import noise_of
from scumble.train.plan import Plan
from scumble.train.samples import SampleTexts, sample_texts
from scumble.train.timesteps import timesteps_of
from scumble.train.validation import samples_at_once, validation_batches
from scumble.train.views import EncodedViews, RandomViews, Views, middle_mask

MOST_SHOWN = 80
"""Signs of the words that are not seen."""


@dataclass(frozen=True)
class Material:
    """What a run feeds on, once the autoencoder and the text encoder have left memory; random crops keep the former.

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
    load_autoencoder = functools.cache(lambda: plan.base.load_autoencoder(plan.device))
    is_random = not config.data.center_crop
    kept = plan.encoded if is_random else range(len(cuts))
    latents = yield from _encode_pictures(plan, cuts, kept, cache, load_autoencoder)
    load_encoder = functools.cache(lambda: plan.base.load_text_encoder(plan.device))
    states = yield from _encode_texts(plan, cuts, cache, load_encoder)
    encoded_views = _encoded_views(plan, cuts, latents)

    def pools(indices: Iterable[int], is_cut_anew: bool) -> dict[Size, Pool]:
        by_size: dict[Size, list[int]] = {}
        for index in indices:
            by_size.setdefault(cuts[index][1], []).append(index)
        return {
            size: Pool(
                random_views(plan, [cuts[index] for index in chosen], load_autoencoder())
                if is_cut_anew
                else encoded_views(chosen),
                [cuts[index][0].captions for index in chosen],
                states,
            )
            for size, chosen in sorted(by_size.items())
        }

    own = pools((index for index in plan.split.training for _ in range(cuts[index][0].repeats)), is_random)
    of_classes = pools(range(len(plan.cuts), len(cuts)), is_random)
    mixture = _mixture(plan, list(own.values()), [of_classes[size] for size in own] if of_classes else [])
    seed = config.validation.seed_for(config.training.seed)
    most = samples_at_once(config.training)
    validated = [*pools(plan.validated, False).values()]
    batches = validation_batches(validated, len(plan.base.noise_schedule()), most, seed)
    samples = sample_texts(load_encoder(), prompts, config.model.clip_skip) if prompts else {}
    return Material(mixture, batches, samples)


def _encode_pictures(
    plan: Plan,
    cuts: Sequence[Cut],
    kept: Sequence[int],
    cache: TensorCache,
    load_autoencoder: Callable[[], Autoencoder],
) -> Generator[Noted | Prepared, None, Mapping[int, Latents]]:
    """The latents of some pictures, by their places; where one goes from the cache, the autoencoder comes back for it."""

    def again(index: int) -> Latents:
        encoder = picture_encoder(plan, cache, lambda: plan.base.load_autoencoder(plan.device))
        return next(encoder.encode([cuts[index]]))

    latents: Held[int, Latents] = Held(again, lambda latents: latents.nbytes, ROOM)
    computed, made = 0, cache.num_made
    encoder = picture_encoder(plan, cache, load_autoencoder)
    for index, item in zip(kept, encoder.encode([cuts[index] for index in kept]), strict=True):
        latents.put(index, item)
        computed, made = computed + (cache.num_made > made), cache.num_made
        yield Prepared("latents", len(latents), len(kept))
    yield from _use_of_cache("latents", len(kept) - computed, len(kept))
    yield from _without_room("latents", latents)
    return latents


def _encode_texts(
    plan: Plan, cuts: Sequence[Cut], cache: TensorCache, load_encoder: Callable[[], TextEncoder]
) -> Generator[Noted | Prepared, None, Mapping[str, TextState]]:
    """The state of every caption, and of the empty one."""
    config = plan.config
    assert config.model.clip_skip is not None
    captions = [caption for example, _ in cuts for caption in example.captions]
    yield from _cut_captions(plan, captions, load_encoder)
    often = ["", *(caption for example, _ in cuts[len(plan.cuts) :] for caption in example.captions)]
    wanted = list(dict.fromkeys([*often, *captions]))  # the empty one and those of class pictures surely have room
    encode = functools.partial(
        each_caption,
        clip_skip=config.model.clip_skip,
        cache=cache,
        shapes=plan.base.text_shapes(config.data.num_chunks),
        encoder_hash=plan.base.hashes()["text_encoder"],
        num_chunks=config.data.num_chunks,
    )

    def again(caption: str) -> TextState:
        return dict(encode([caption], load_encoder=lambda: plan.base.load_text_encoder(plan.device)))[caption]

    states: Held[str, TextState] = Held(again, _bytes_of_state, ROOM)
    made = cache.num_made
    for caption, state in encode(wanted, load_encoder=load_encoder):
        states.put(caption, state)
        yield Prepared("text states", len(states), len(wanted))
    yield from _use_of_cache("text states", len(states) - (cache.num_made - made), len(states))
    yield from _without_room("text states", states)
    return states


def _bytes_of_state(state: TextState) -> int:
    return sum(tensor.nbytes for tensor in state.values())


def _without_room(what: str, items: Held[Any, Any]) -> Iterator[Noted]:
    """How many are not held, where any are not."""
    if items.num_held < len(items):
        yield Noted(
            f"{what}: {items.num_held:,} of {len(items):,} are held in memory, the others are read from the cache when a step "
            "needs them"
        )


def _use_of_cache(what: str, found: int, total: int) -> Iterator[Noted]:
    """How many came from the cache, where any did."""
    if found:
        yield Noted(f"{what}: {f'all {total:,}' if found == total else f'{found:,} of {total:,}'} from the cache")


def _class_cuts(plan: Plan, classes: Scan | None) -> tuple[Cut, ...]:
    if classes is None:
        return ()
    return class_cuts(classes.examples, [plan.cuts[index][1] for index in plan.split.training])


def _encoded_views(plan: Plan, cuts: Sequence[Cut], latents: Mapping[int, Latents]) -> Callable[[Sequence[int]], Views]:
    """What makes views of some of the pictures; each mask is read once, however often its picture is among them."""
    mask_of = functools.cache(lambda index: middle_mask(*cuts[index], plan.base.pixels_per_latent))

    def views(indices: Sequence[int]) -> Views:
        frames = [plan.base.frame_state(frame_at(cuts[index][0].size_px, cuts[index][1])) for index in indices]
        masks = [mask_of(index) for index in indices]
        return EncodedViews(Chosen(latents, indices), frames, masks, is_mirrored=plan.config.data.random_flip)

    return views


def random_views(plan: Plan, cuts: Sequence[Cut], autoencoder: Autoencoder) -> Views:
    """Pictures that are cut anew at every position.

    Args:
        plan: the run.
        cuts: pictures of one size.
        autoencoder: that of the base.
    """
    return RandomViews(
        cuts=cuts,
        is_mirrored=plan.config.data.random_flip,
        autoencoder=autoencoder,
        device=plan.device,
        pixels_per_latent=plan.base.pixels_per_latent,
        frame_state=plan.base.frame_state,
        seed=plan.config.training.seed,
    )


def _mixture(plan: Plan, own: Sequence[Pool], classes: Sequence[Pool]) -> Mixture:
    config = plan.config
    return Mixture(
        own=own,
        classes=classes,
        class_share=config.prior.prior_share or 0.0,
        class_weight=config.prior.prior_loss_weight or 1.0,
        caption_dropout=config.data.caption_dropout_rate,
        wording=plan.wording,
        noise=noise_of(config.objective),
        timesteps=timesteps_of(config.objective, plan.base.noise_schedule(), config.training.samples_a_step),
        seed=config.training.seed,
    )


def picture_encoder(plan: Plan, cache: TensorCache, load_autoencoder: Callable[[], Autoencoder]) -> PictureEncoder:
    """What encodes the pictures of a run.

    Args:
        plan: the run.
        cache: where their latents are kept.
        load_autoencoder: called once, at the first picture that is not there.
    """
    return PictureEncoder(
        channels=plan.base.latent_channels,
        pixels_per_latent=plan.base.pixels_per_latent,
        is_mirrored=plan.config.data.random_flip,
        cache=cache,
        autoencoder_hash=plan.base.hashes()["vae"],
        load_autoencoder=load_autoencoder,
        device=plan.device,
    )


def _cut_captions(plan: Plan, captions: Sequence[str], load_encoder: Callable[[], TextEncoder]) -> Iterator[Noted]:
    """A warning for captions of which the text encoder does not see the end."""
    room, num_chunks = plan.base.max_tokens, plan.config.data.num_chunks
    enough_room = surely_seen(room, num_chunks)
    suspects = [
        caption
        for caption in dict.fromkeys(captions)
        if len(caption.encode()) + more_tokens(caption, plan.new_words) > enough_room or "BREAK" in caption
    ]  # a token is one byte or more
    if not suspects:
        return
    encoder = load_encoder()
    with first_words(encoder, plan.new_words):
        yield from _cut_of(plan, suspects, encoder)


def _cut_of(plan: Plan, captions: Sequence[str], encoder: TextEncoder) -> Iterator[Noted]:
    num_chunks = plan.config.data.num_chunks
    needed = {caption: encoder.count_chunks(caption) for caption in captions}
    cut = [caption for caption in captions if needed[caption] > num_chunks]
    if not cut:
        return
    unseen = cut_off(cut[0], lambda text: encoder.count_chunks(text) <= num_chunks)
    enough = max(needed.values()) * TOKENS_OF_A_CHUNK
    advice = f"{enough} sees all" if enough <= MOST_TOKENS else f"{MOST_TOKENS} is the most that can be: shorten them"
    count = counted(len(cut), "caption does", "captions do")
    yield Noted(
        f"{count} not fit into max_token_length = {plan.config.data.max_token_length}: {advice}. Of the first, "
        f"{encoder.count_tokens(cut[0])} tokens in {needed[cut[0]]} chunks, this is not seen: {_shortened(unseen)}",
        warning=True,
    )


def _shortened(text: str) -> str:
    """Words in quotes; of many the first, and how many there are."""
    if len(text) <= MOST_SHOWN:
        return f"'{text}'"
    begin = text[:MOST_SHOWN].rsplit(" ", 1)[0]
    return f"'{begin} …' ({len(text.split()):,} words)"

"""From a plan to a session: encode the data, load the denoiser, put the adapter on it."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from scumble.adapters.base import Adapter
from scumble.adapters.build import adapter_of, new_adapter
from scumble.adapters.inject import attach
from scumble.adapters.pack import pack
from scumble.adapters.weight import weight_of
from scumble.data.cache import TensorCache, default_cache_dir
from scumble.data.encode import Latents, PictureEncoder, encode_captions
from scumble.data.scan import Scan
from scumble.families.base import TextEncoder, TextState
from scumble.files.fingerprint import fingerprint
from scumble.files.lorafile import LoraFile
from scumble.generate.events import Noted
from scumble.train import draws
from scumble.train.batches import Batch, Mixture, Pool
from scumble.train.events import Prepared
from scumble.train.optimizer import adapter_groups, build_adamw
from scumble.train.plan import Plan
from scumble.train.recipes import recipe_for
from scumble.train.session import Objective, Session
from scumble.train.validation import validation_batches

ADAPTER_NAME = "trained"
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
    cache = TensorCache(config.data.cache_dir or default_cache_dir())
    examples = [*plan.scan.examples, *(classes.examples if classes is not None else ())]
    latents: list[Latents] = []
    for item in _encoder(plan, cache).encode(examples):
        latents.append(item)
        yield Prepared("latents", len(latents), len(examples))
    captions = [example.caption for example in examples]
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
        return Pool([latents[index] for index in indices], [captions[index] for index in indices], states)

    num_timesteps = len(plan.base.noise_schedule())
    seed = config.training.seed
    mixture = Mixture(
        own=pool(plan.split.training),
        classes=pool(rest) if classes is not None else None,
        class_share=config.prior.prior_share or 0.0,
        class_weight=config.prior.prior_loss_weight or 1.0,
        caption_dropout=config.data.caption_dropout_rate,
        noise_offset=config.training.noise_offset,
        num_timesteps=num_timesteps,
        seed=seed,
    )
    held_out = pool(plan.split.held_out or range(own))
    batches = validation_batches(held_out, num_timesteps, VALIDATION_BATCH, seed)
    return Material(mixture, batches, {prompt: states[prompt] for prompt in [*prompts, ""]})


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


def start_session(plan: Plan) -> Generator[Noted, None, Session]:
    """Load the denoiser in the run's precision and put a new adapter, or the given LoRA, on it."""
    config = plan.config
    denoiser = plan.base.load_denoiser(plan.dtype, plan.device)
    if config.training.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    adapted = {path: weight_of(denoiser.get_submodule(path)) for path in plan.targets}
    base_fingerprint = fingerprint(adapted)  # of the weights as they are on the disk, before they may be packed
    if config.training.base_packing is not None:
        packed = pack(denoiser, config.training.base_packing)
        yield Noted(
            f"the frozen weights of {packed.layers} layers are packed: {packed.bytes_before / 1e6:.1f} MB before, "
            f"{packed.bytes_after / 1e6:.1f} MB after"
        )
    adapters = _new_adapters(plan, denoiser) if plan.init is None else given_adapters(plan.init, denoiser)
    attach(denoiser, ADAPTER_NAME, adapters)
    trained = {f"unet.{path}": adapter for path, adapter in adapters.items()}
    optimizer = config.optimizer
    assert optimizer.learning_rate is not None
    assert config.model.prediction_type is not None
    return Session(
        base=plan.base,
        base_fingerprint=base_fingerprint,
        denoiser=denoiser,
        adapters=trained,
        optimizer=build_adamw(
            adapter_groups(trained, optimizer.loraplus_lr_ratio),
            optimizer.learning_rate,
            (optimizer.beta1, optimizer.beta2),
            optimizer.epsilon,
            optimizer.weight_decay,
        ),
        scaler=torch.amp.GradScaler(plan.device.type, enabled=plan.dtype == torch.float16),
        objective=Objective(
            config.model.prediction_type, plan.base.noise_schedule().to(plan.device), config.training.snr_gamma
        ),
        device=plan.device,
        dtype=plan.dtype,
        packing=config.training.base_packing,
        seed=config.training.seed,
    )


def _new_adapters(plan: Plan, denoiser: torch.nn.Module) -> dict[str, Adapter]:
    source = draws.generator(plan.config.training.seed, "adapter")
    return {
        path: new_adapter(denoiser.get_submodule(path), recipe_for(path, plan.config.adapter), source)
        for path in plan.targets
    }


def given_adapters(lora: LoraFile, denoiser: torch.nn.Module) -> dict[str, Adapter]:
    """An adapter for each denoiser layer of a LoRA file, by the layer's path."""
    return {
        path: adapter_of(denoiser.get_submodule(path), layer.algorithm, layer.tensors, layer.rank, layer.alpha, path)
        for path, layer in lora.part("unet").items()
    }

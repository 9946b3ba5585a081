"""From a plan to a session: load what is trained, put the adapters on it."""

from collections.abc import Generator, Mapping

import torch
from torch import nn

from scumble.adapters.base import Adapter
from scumble.adapters.build import new_adapter
from scumble.adapters.pack import store
from scumble.adapters.weight import weight_of
from scumble.errors import ConfigError
from scumble.families.apply import attach_adapters, frozen_layer, lora_adapters
from scumble.families.base import TextEncoder
from scumble.files.fingerprint import fingerprint
from scumble.generate.events import Noted
from scumble.train import draws
from scumble.train.compiling import compile_blocks
from scumble.train.ema import Average
from scumble.train.new_words import TrainedWords, start_remarks, trained_words, word_groups
from scumble.train.objective import objective_of
from scumble.train.optimizer import adapter_groups
from scumble.train.optimizer_choice import build_chosen, text_ratio_of
from scumble.train.optimizers import is_averaging
from scumble.train.plan import Plan
from scumble.train.recipes import dropout_of, recipe_for
from scumble.train.session import Session
from scumble.train.storage import storage_in_words

ADAPTER_NAME = "trained"


def start_session(plan: Plan) -> Generator[Noted, None, Session]:
    """Load the denoiser in the run's precision, and the text encoder where captions are read anew in each step; put a
    new adapter, or the given LoRA, on them.
    """
    config = plan.config
    denoiser = plan.base.load_denoiser(plan.dtype, plan.storage.loaded_on(plan.device))
    if config.training.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    text_encoder = plan.base.load_text_encoder(plan.device) if plan.reads_captions_anew else None
    modules = {"unet": denoiser, **({} if text_encoder is None else text_encoder.modules)}
    # of the weights as they are on the disk, before they may be stored otherwise
    adapted = {path: weight_of(denoiser.get_submodule(path)) for path in plan.layers_of("unet")}
    base_fingerprint = fingerprint(adapted) if adapted else None
    del adapted  # or the weights would stay beside what they are stored as
    if not plan.storage.is_plain:
        yield Noted(storage_in_words(denoiser, plan.dtype, plan.storage, plan.device))
    store(denoiser, plan.storage, plan.device)
    adapters = _new_adapters(plan, modules) if plan.init is None else lora_adapters(plan.base, modules, plan.init, "")
    for adapter in adapters.values():
        adapter.leave_out(dropout_of(config.adapter))
    words = trained_words(config, plan.new_words, text_encoder)
    if text_encoder is not None:
        yield from start_remarks(plan.new_words, text_encoder)
        text_encoder.words.add(ADAPTER_NAME, words.vectors)
        text_encoder.words.use([ADAPTER_NAME])
    attach_adapters(plan.base, modules, adapters, ADAPTER_NAME)
    if config.training.torch_compile:
        count = compile_blocks(denoiser)
        yield Noted(f"{count} blocks are compiled as they are first used: the first steps take longer")
    return _session(plan, denoiser, text_encoder, adapters, words, base_fingerprint)


def _session(
    plan: Plan,
    denoiser: nn.Module,
    text_encoder: TextEncoder | None,
    adapters: Mapping[str, Adapter],
    words: TrainedWords,
    base_fingerprint: str | None,
) -> Session:
    config, optimizer = plan.config, plan.config.optimizer
    assert config.model.prediction_type is not None
    assert config.model.clip_skip is not None
    groups = adapter_groups(adapters, optimizer.loraplus_lr_ratio, text_ratio_of(optimizer))
    session = Session(
        base=plan.base,
        base_fingerprint=base_fingerprint,
        denoiser=denoiser,
        adapters=adapters,
        new_words=words,
        optimizer=build_chosen(optimizer, [*groups, *word_groups(words, config)]),
        scaler=torch.amp.GradScaler(plan.device.type, enabled=plan.dtype == torch.float16),
        objective=objective_of(
            config.objective, config.model.prediction_type, plan.base.noise_schedule().to(plan.device)
        ),
        device=plan.device,
        dtype=plan.dtype,
        text_encoder=text_encoder,
        clip_skip=config.model.clip_skip,
        num_chunks=config.data.num_chunks,
        storage=plan.storage,
        seed=config.training.seed,
    )
    if words.keeps_lengths and is_averaging(session.optimizer):
        raise ConfigError(
            f"keep_token_norm with {optimizer.optimizer}: it steps other numbers than those to be used, whose lengths would "
            "not be kept; leave one of them out"
        )
    if optimizer.ema_decay is not None:
        session.average = Average(session.adapter, optimizer.ema_decay)
    return session


def _new_adapters(plan: Plan, modules: Mapping[str, nn.Module]) -> dict[str, Adapter]:
    source = draws.generator(plan.config.training.seed, "adapter")
    return {
        key: new_adapter(frozen_layer(plan.base, modules, key), recipe_for(key, plan.config.adapter), source)
        for key in plan.layers
    }

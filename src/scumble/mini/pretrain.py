"""The recipe of the model in the box: autoencoder, then denoiser with text encoder, then judge, from handwriting."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scumble.errors import ConfigError
from scumble.mini.architecture import (
    LATENT_SCALE,
    MiniModel,
    build,
    build_scheduler,
    read_tokenizer,
    save_pipeline,
)
from scumble.mini.autoencoder import autoencoder_batch, autoencoder_loss, ease_the_start, fold_normalisation
from scumble.mini.captions import CaptionShares
from scumble.mini.config import PretrainConfig
from scumble.mini.denoiser import Pool, denoiser_batch, denoiser_loss, encode_chunk, join_pools, paint_scenes
from scumble.mini.examine import examine_base, examine_judge
from scumble.mini.handwriting import Handwriting, read_handwriting, split
from scumble.mini.judge import Judge, build_judge, judge_loss, save_judge
from scumble.mini.judge_data import judge_batch
from scumble.mini.stage import Stage, run_stage
from scumble.mini.tokenizer import write_tokenizer
from scumble.train.events import Event, Finished, Planned, Prepared, Saved

_POOL_CHUNK = 250  # pictures painted and encoded at a time
_NORMALISING = 512  # pictures that the latents' mean and deviation are taken from
# Offsets of the seed, so that no two streams of random numbers are the same.
_VAE, _SCENES, _STEPS, _JUDGE = 1, 2, 3, 4


def pretrain(config: PretrainConfig) -> Iterator[Event]:
    """Make the model in the box; a run that was stopped goes on from its newest checkpoint.

    Yields:
        What happens; the last is Finished with the judge's figures on the model's own pictures.
    Raises:
        ConfigError, DataError, CheckpointError, DivergedError: see their messages.
    """
    classes = parse_classes(config.classes)
    everyone = read_handwriting(config.data)
    base = split(everyone, "base").of_classes(classes)
    checkpoints, pause = config.out / "checkpoints", 60 * config.checkpoint_minutes
    yield Planned("pretrain the model in the box", _card(config, base))
    model = build(config.seed)
    work = _Work(config, model, base)
    yield from run_stage(work.autoencoder_stage(), checkpoints, pause)
    _normalise(model, base, config.seed, config.pool_fancy_share)
    pools: list[Pool] = []
    for first in range(0, config.pool_size, _POOL_CHUNK):
        count = min(_POOL_CHUNK, config.pool_size - first)
        scenes = paint_scenes(base, config.seed + _SCENES, first, count, config.pool_fancy_share)
        pools.append(encode_chunk(model.vae, *scenes))
        yield Prepared("painting and encoding", first + count, config.pool_size)
    write_tokenizer(config.out / "tokenizer")
    yield from run_stage(work.denoiser_stage(join_pools(pools)), checkpoints, pause)
    judge = build_judge(config.seed)
    judging = work.judge_stage(judge, split(everyone, "judge"))
    yield from run_stage(judging, checkpoints, pause)
    save_pipeline(model, config.out)
    save_judge(judge, config.out)
    yield Saved(config.denoiser_steps, config.out, "pipeline and judge")
    figures = examine_judge(judge, split(everyone, "demo"))
    if config.examine_rounds:
        tokenizer = read_tokenizer(config.out / "tokenizer")
        figures |= examine_base(model, tokenizer, judge, classes, config.examine_rounds)
    yield Finished(config.denoiser_steps, {"pipeline": config.out}, figures)


def parse_classes(text: str) -> range:
    """'0-8' -> range(0, 9); a single digit is a range of one.

    Raises:
        ConfigError: not one or two digits in order.
    """
    found = re.fullmatch(r"(\d)(?:-(\d))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if first > last:
        raise ConfigError(f"classes={text!r}: expected two digits in order, such as 0-8 or 0-9")
    return range(first, last + 1)


@dataclass(frozen=True)
class _Work:
    """Builds the stages of one configuration."""

    config: PretrainConfig
    model: MiniModel
    base: Handwriting

    def autoencoder_stage(self) -> Stage:
        config, vae = self.config, self.model.vae
        ease_the_start(vae)

        def loss(step: int) -> Tensor:
            pictures = autoencoder_batch(self.base, config.seed + _VAE, step, config.vae_batch_size)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                return autoencoder_loss(vae, pictures, torch.Generator().manual_seed(step), config.kl_weight)

        recipe = _recipe(config, ("vae_", "kl_"))
        return Stage("autoencoder", vae, loss, config.vae_steps, config.vae_learning_rate, 1e-4, recipe)

    def denoiser_stage(self, pool: Pool) -> Stage:
        config, model = self.config, self.model
        tokenizer, alphas, shares = read_tokenizer(config.out / "tokenizer"), _alphas(), CaptionShares()

        def loss(step: int) -> Tensor:
            batch = denoiser_batch(pool, alphas, config.seed + _STEPS, step, config.denoiser_batch_size, shares)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                return denoiser_loss(model, tokenizer, batch)

        both = nn.ModuleDict({"unet": model.unet, "text_encoder": model.text_encoder})
        recipe = _recipe(config, ("vae_", "kl_", "pool_", "denoiser_"))
        return Stage("denoiser", both, loss, config.denoiser_steps, config.denoiser_learning_rate, 1e-2, recipe)

    def judge_stage(self, judge: Judge, handwriting: Handwriting) -> Stage:
        config = self.config

        def loss(step: int) -> Tensor:
            pictures, labels = judge_batch(handwriting, config.seed + _JUDGE, step, config.judge_batch_size)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(step)  # dropout knows no explicit generator
                return judge_loss(judge, pictures, labels)

        recipe = _recipe(config, ("judge_",))
        return Stage("judge", judge, loss, config.judge_steps, config.judge_learning_rate, 2e-2, recipe)


def _normalise(model: MiniModel, base: Handwriting, seed: int, fancy_share: float) -> None:
    pictures, _ = paint_scenes(base, seed + _SCENES, 0, _NORMALISING, fancy_share)
    fold_normalisation(model.vae, 2 * pictures - 1, LATENT_SCALE)


def _alphas() -> Tensor:
    alphas: Tensor = build_scheduler().alphas_cumprod
    return alphas


def _recipe(config: PretrainConfig, prefixes: tuple[str, ...]) -> str:
    """The settings that decide a stage's weights, as text: the common ones and those with these prefixes."""
    values = config.model_dump(mode="json")
    common = ("seed", "classes", "data", "bf16")
    return ", ".join(f"{name}={value}" for name, value in values.items() if name in common or name.startswith(prefixes))


def _card(config: PretrainConfig, base: Handwriting) -> dict[str, str]:
    return {
        "handwriting": f"{len(base)} digits {config.classes} from {config.data or 'scikit-learn'}",
        "autoencoder": f"{config.vae_steps} steps of {config.vae_batch_size}",
        "denoiser": f"{config.denoiser_steps} steps of {config.denoiser_batch_size}, pool of {config.pool_size}",
        "judge": f"{config.judge_steps} steps of {config.judge_batch_size}",
        "folder": str(config.out),
    }

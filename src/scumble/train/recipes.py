"""From the settings to each layer's recipe: rank and alpha may differ from layer to layer by patterns."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from scumble.adapters.base import Dropout
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets, matching
from scumble.config import AdapterConfig, TrainConfig, parse_patterns
from scumble.errors import ConfigError
from scumble.families.apply import frozen_layer
from scumble.families.base import BaseModel


def find_layers(base: BaseModel, modules: Mapping[str, nn.Module], settings: TrainConfig) -> list[str]:
    """Canonical keys of the layers to adapt; none where new words alone are trained.

    Args:
        base: tells where a layer lies in the modules.
        modules: model part -> its module, with numbers or without.
        settings: which layers.
    Raises:
        TargetError: a target matches no layer.
    """
    if settings.tokens.tokens_only:
        return []
    config = settings.adapter
    keys = [f"unet.{path}" for path in find_targets(modules["unet"], config.targets)]
    if not config.train_text_encoder:
        return keys
    for part, paths in base.layer_paths().items():
        if part != "unet":
            layers = {path: frozen_layer(base, modules, f"{part}.{path}") for path in paths}
            keys += [f"{part}.{path}" for path in matching(layers, config.text_encoder_targets)]
    return keys


def recipe_for(key: str, config: AdapterConfig) -> AdapterRecipe:
    """What the adapter of a layer is to be.

    Args:
        key: the layer's canonical key.
        config: resolved: rank and alpha are chosen.
    """
    assert config.rank is not None
    assert config.alpha is not None
    usual_rank, usual_alpha = config.rank, config.alpha
    if config.text_encoder_rank is not None and not key.startswith("unet."):
        usual_rank, usual_alpha = config.text_encoder_rank, config.alpha * config.text_encoder_rank / config.rank
    path = key.partition(".")[2]
    rank = _by_pattern(path, config.rank_pattern)
    alpha = _by_pattern(path, config.alpha_pattern)
    assert config.dora != "auto", "the plan chose the axis"
    return AdapterRecipe(
        algorithm=config.algorithm,
        rank=usual_rank if rank is None else int(rank),
        alpha=usual_alpha if alpha is None else alpha,
        init=config.init,
        is_rank_stabilised=config.rank_stabilized,
        dora=config.dora,
        factor=config.lokr_factor,
        is_full_matrix=config.lokr_full_matrix,
        is_split_twice=config.lokr_decompose_both,
        dropout=dropout_of(config),
    )


def dropout_of(config: AdapterConfig) -> Dropout:
    """What is left out at random while training."""
    return Dropout(config.dropout, config.rank_dropout, config.module_dropout)


def refuse_idle_patterns(keys: Sequence[str], config: AdapterConfig) -> None:
    """Raise for a pattern of rank_pattern or alpha_pattern that names none of the adapted layers.

    Raises:
        ConfigError: names the pattern.
    """
    paths = [key.partition(".")[2] for key in keys]
    for setting, entries in (("rank_pattern", config.rank_pattern), ("alpha_pattern", config.alpha_pattern)):
        for pattern in parse_patterns(entries):
            if not any(fnmatchcase(path, pattern) for path in paths):
                raise ConfigError(
                    f"{setting}: '{pattern}' matches none of the {len(paths)} adapted layers, such as {paths[0]}"
                )


def _by_pattern(path: str, entries: tuple[str, ...]) -> float | None:
    """The value of the last pattern that matches; None if none does."""
    matching = [value for pattern, value in parse_patterns(entries).items() if fnmatchcase(path, pattern)]
    return matching[-1] if matching else None

"""From the settings to each layer's recipe: rank and alpha may differ from layer to layer by patterns."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from scumble.adapters.base import Dropout
from scumble.adapters.recipe import AdapterRecipe
from scumble.config import AdapterConfig, parse_patterns
from scumble.errors import ConfigError


def recipe_for(path: str, config: AdapterConfig) -> AdapterRecipe:
    """What the adapter of a layer is to be.

    Args:
        path: the layer's dotted path.
        config: resolved: rank and alpha are chosen.
    """
    assert config.rank is not None
    assert config.alpha is not None
    rank = _by_pattern(path, config.rank_pattern)
    alpha = _by_pattern(path, config.alpha_pattern)
    return AdapterRecipe(
        algorithm=config.algorithm,
        rank=config.rank if rank is None else int(rank),
        alpha=config.alpha if alpha is None else alpha,
        init=config.init,
        is_rank_stabilised=config.rank_stabilized,
        dora=config.dora,
        factor=config.lokr_factor,
        is_full_matrix=config.lokr_full_matrix,
        is_split_twice=config.lokr_decompose_both,
        dropout=Dropout(config.dropout, config.rank_dropout, config.module_dropout),
    )


def refuse_idle_patterns(paths: Sequence[str], config: AdapterConfig) -> None:
    """Raise for a pattern of rank_pattern or alpha_pattern that names none of the adapted layers.

    Raises:
        ConfigError: names the pattern.
    """
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

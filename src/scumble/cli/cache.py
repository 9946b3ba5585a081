"""The command cache: what is kept of pictures, captions and datasets, and clearing it away."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from scumble.cli.flags import flags_model, nested
from scumble.cli.show import duration
from scumble.config import from_values
from scumble.config.cache import CacheConfig, PruneConfig
from scumble.quantities import amount, counted

if TYPE_CHECKING:
    from scumble.data.cache_contents import Content

CacheFlags = flags_model(CacheConfig)
PruneFlags = flags_model(PruneConfig)

app = App(
    name="cache", help="Show what is kept of pictures, captions and datasets; scumble cache prune clears it away."
)


@app.default
def cache(
    *,
    flags: Annotated[CacheFlags, Parameter(name="*")] = CacheFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Show what is kept of pictures, captions and datasets, how large it is and when it was last used.

    scumble cache
    """
    settings = from_values(CacheConfig, nested(CacheConfig, flags))
    from scumble.data.cache_contents import contents_of

    folder = _folder(settings)
    contents = contents_of(folder)
    print(f"{folder}: {_sum(contents)}")
    for line in _by_kind(contents, time.time()):
        print(line)


@app.command
def prune(
    *,
    flags: Annotated[PruneFlags, Parameter(name="*")] = PruneFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Remove the least recently used of the cache; what is needed again is computed again. Never while a run uses it.

    scumble cache prune --max-size 5
    """
    settings = from_values(PruneConfig, nested(PruneConfig, flags))
    from scumble.data.cache_contents import Limits, contents_of, to_remove
    from scumble.data.cache_contents import prune as run

    folder, now = _folder(settings), time.time()
    max_bytes = None if settings.max_size_gb is None else int(settings.max_size_gb * 1e9)
    limits = Limits(settings.older_than_days, max_bytes, settings.everything)
    if limits == Limits():
        print("no limit is given, so only what nothing reads any more goes: --older-than DAYS, --max-size GB or --all")
    if settings.dry_run:
        gone, word = to_remove(contents_of(folder), limits, now), "would be removed"
    else:
        gone, word = run(folder, limits, now), "removed"
    print(f"{folder}: {_sum(gone)} {word}")
    for line in _by_kind(gone, now):
        print(line)
    if not settings.dry_run:
        print(f"left: {_sum(contents_of(folder))}")


def _folder(settings: CacheConfig) -> Path:
    from scumble.data.cache import default_cache_dir

    return settings.cache_dir or default_cache_dir()


def _sum(contents: Sequence["Content"]) -> str:
    return f"{counted(len(contents), 'entry', 'entries')}, {_size(contents)}"


def _size(contents: Sequence["Content"]) -> str:
    return amount(sum(content.size for content in contents))


def _by_kind(contents: Sequence["Content"], now: float) -> list[str]:
    """A line for each kind that there is, with when its least and most recently used were used."""
    from scumble.data.cache_contents import KINDS

    lines = []
    for kind in KINDS:
        own = [content for content in contents if content.kind == kind]
        if own:
            ages = sorted(max(0.0, now - content.used) for content in own)
            used = f"last used {' to '.join(dict.fromkeys(map(_age, (ages[0], ages[-1]))))} ago"
            lines.append(f"  {kind:<20}{len(own):>9,}{_size(own):>12}   {used}")
    return lines


def _age(seconds: float) -> str:
    days = int(seconds // 86_400)
    return counted(days, "day") if days else duration(seconds)

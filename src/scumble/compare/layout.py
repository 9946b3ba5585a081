"""The tables: which cell stands where, and what each is drawn from, before anything is loaded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from scumble.compare.asked import axes_of, files_of, refuse_settings_without_effect, refuse_together
from scumble.compare.axis import CHECKPOINT, LORA, NOTHING, PROMPT, REPLACED, SEED, SUBJECT, WEIGHT, Asked, Axis, Choice
from scumble.compare.choices import loras_on, read_choices
from scumble.compare.draft import Draft
from scumble.compare.shelf import named_apart
from scumble.config.compare import AXES, CompareConfig
from scumble.errors import ConfigError
from scumble.generate.prompt import FoundLora, parse_tags
from scumble.generate.samplers import find_sampler
from scumble.generate.samplers.names import find_schedule

MOST_CELLS = 4000

Spot = tuple[int, int, int]
"""Where a cell stands: its column, its row, its table."""


@dataclass(frozen=True)
class Layout:
    """Tables of cells.

    Attributes:
        x: differs from column to column.
        y: differs from row to row.
        z: differs from table to table.
        loras: all that take part anywhere.
        drafts: spot -> what the cell is drawn from.
    """

    x: Axis
    y: Axis
    z: Axis
    loras: tuple[FoundLora, ...]
    drafts: Mapping[Spot, Draft]

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """x, y, z."""
        return self.x, self.y, self.z

    def has(self, kind: str) -> bool:
        """Whether something of a kind differs."""
        return any(axis.kind == kind for axis in self.axes)


def lay_out(config: CompareConfig) -> Layout:
    """What stands where.

    Args:
        config: the settings.
    Raises:
        ConfigError: an axis that cannot be, axes that cannot vary together, or a setting without effect beside them.
    """
    asked = axes_of(config)
    refuse_together(asked)
    refuse_settings_without_effect(config, asked)
    loras = named_apart(files_of(config, asked), config.weight)
    on_axes = {lora for each in asked if each.kind in (LORA, CHECKPOINT) for some in _on(each, loras) for lora in some}
    fixed = tuple(lora for lora in loras if lora not in on_axes)
    axes = {each.flag: read_choices(each, loras, fixed) for each in asked}
    axes = _with_subjects(axes, config)
    x, y, z = (axes.get(flag, NOTHING) for flag in AXES)
    layout = Layout(x, y, z, tuple(loras), _drafts((x, y, z), _first(config, fixed)))
    _refuse_axes_without_effect(layout)
    _refuse_tags(layout)
    return layout


def _on(asked: Asked, loras: Sequence[FoundLora]) -> list[tuple[FoundLora, ...]]:
    try:
        return loras_on(asked, loras)
    except ConfigError as error:
        raise asked.wrong(error) from None


def _with_subjects(axes: Mapping[str, Axis], config: CompareConfig) -> dict[str, Axis]:
    """The axes, with prompts and seeds on the first that is free: rows, else columns, else tables."""
    kinds = {axis.kind for axis in axes.values()}
    prompts = [None] if PROMPT in kinds else list(config.prompt)
    seeds = [None] if SEED in kinds else [config.seed + index for index in range(config.n)]
    choices = [
        Choice(_subject_label(prompt, seed, len(prompts), len(seeds)), _subject(prompt, seed))
        for prompt, seed in product(prompts, seeds)
    ]
    free = next((flag for flag in ("y", "x", "z") if flag not in axes), None)
    if len(choices) > 1 and free is None:
        raise ConfigError(f"{len(choices)} prompts and seeds, but x, y and z are all taken: give one prompt, and n = 1")
    twice = next((prompt for prompt in config.prompt if config.prompt.count(prompt) > 1), None)
    if twice is not None:
        raise ConfigError(f"prompt '{twice}': given twice; each prompt has one row")
    if len(choices) > 1 or (free == "y" and REPLACED not in kinds):
        assert free is not None
        return {**axes, free: Axis(SUBJECT, "", choices)}
    return dict(axes)


def _subject(prompt: str | None, seed: int | None) -> Callable[[Draft], Draft]:
    """A prompt and a seed put into a draft; None leaves what is there."""

    def change(draft: Draft) -> Draft:
        return replace(
            draft,
            prompt=draft.prompt if prompt is None else prompt,
            seed=draft.seed if seed is None else seed,
        )

    return change


def _subject_label(prompt: str | None, seed: int | None, num_prompts: int, num_seeds: int) -> str:
    said = prompt or "(empty prompt)"
    if num_seeds == 1:
        return "" if prompt is None else said
    return f"seed {seed}" if num_prompts == 1 else f"{said}\nseed {seed}"


def _first(config: CompareConfig, fixed: tuple[FoundLora, ...]) -> Draft:
    """What every cell is before an axis changes it."""
    return Draft(
        base=config.base,
        prompt=config.prompt[0] if config.prompt else "",
        negative_prompt=config.negative_prompt,
        loras=fixed,
        steps=config.steps,
        guidance_scale=config.guidance_scale,
        sampler=find_sampler(config.sampler),
        schedule=None if config.schedule is None else find_schedule(config.schedule),
        seed=config.seed,
        clip_skip=config.clip_skip,
    )


def _drafts(axes: tuple[Axis, Axis, Axis], first: Draft) -> dict[Spot, Draft]:
    counts = [len(axis.choices) for axis in axes]
    if counts[0] * counts[1] * counts[2] > MOST_CELLS:
        raise ConfigError(f"{' x '.join(map(str, counts))} cells: at most {MOST_CELLS} can be drawn at once")
    order = sorted(range(3), key=lambda side: axes[side].kind in (WEIGHT, REPLACED))  # of what others put there
    drafts = {}
    for row, column, table in product(range(counts[1]), range(counts[0]), range(counts[2])):
        spot, draft = (column, row, table), first
        for side in order:
            draft = axes[side].choices[spot[side]].change(draft)
        drafts[spot] = draft
    return drafts


def _refuse_axes_without_effect(layout: Layout) -> None:
    for side, axis in enumerate(layout.axes):
        if len(axis.choices) > 1 and not any(_differ(layout.drafts, side)):
            raise ConfigError(f"{AXES[side]}: {axis.name} changes no cell; give the LoRAs it is about by --lora")


def _differ(drafts: Mapping[Spot, Draft], side: int) -> Iterator[bool]:
    """Of each cell, whether it differs from the first along a side."""
    for spot, draft in drafts.items():
        first = [*spot]
        first[side] = 0
        yield draft != drafts[(first[0], first[1], first[2])]


def _refuse_tags(layout: Layout) -> None:
    for prompt in dict.fromkeys(draft.prompt for draft in layout.drafts.values()):
        if parse_tags(prompt)[1]:
            raise ConfigError(
                f"prompt '{prompt}': compare takes LoRAs by --lora only, one column each; leave the tag out"
            )

"""The settings of a sweep: those of the training that every cell is, and what the cells differ in."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scumble.config.section import Also, Section, Seed
from scumble.config.sweep_numbers import NumbersConfig
from scumble.config.train import TrainConfig
from scumble.errors import ConfigError

AXES = ("ranks", "alphas", "rates", "algorithms", "target_sets", "seeds", "vary")
"""The settings that say what cells differ in."""


def parse_varied(entry: str) -> tuple[str, tuple[str, ...]]:
    """ "optimizer.weight_decay: 0, 0.01" as the setting's place and its values.

    Raises:
        ValueError: it is not SECTION.SETTING: VALUE, VALUE; inside a validator, pydantic collects it.
    """
    place, colon, text = entry.partition(":")
    values = tuple(value.strip() for value in text.split(","))
    if not colon or place.count(".") != 1 or not all(values):
        raise ValueError(
            f"found '{entry}', expected SECTION.SETTING: VALUE, VALUE such as 'optimizer.weight_decay: 0, 0.01'"
        )
    return place.strip(), values


def _varied(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        parse_varied(entry)
    return entries


class CellsConfig(Section):
    """What the cells of a sweep differ in, which of them are trained, and where."""

    ranks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1024)], ...],
        Field(
            description="ranks to try, each with alpha = 2 x rank unless alpha or alphas says another; where nothing else "
            "is varied: 4 8 16 32"
        ),
    ] = ()
    alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(description="alphas to try")] = ()
    rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(description="learning rates to try")] = ()
    algorithms: Annotated[tuple[Literal["lora", "loha", "lokr"], ...], Field(description="algorithms to try")] = ()
    target_sets: Annotated[
        tuple[str, ...],
        Also("targets"),
        Field(
            description="targets to try, in place of the targets of [adapter]; '+' joins those of one cell: attention attention+feed-forward"
        ),
    ] = ()
    seeds: Annotated[
        tuple[Seed, ...],
        Field(description="seeds to try: how far equal settings lie apart; what is held out stays the same"),
    ] = ()
    vary: Annotated[
        tuple[str, ...],
        AfterValidator(_varied),
        Field(
            description="any other setting of training to try, repeatable: SECTION.SETTING: VALUE, VALUE, such as "
            "'optimizer.weight_decay: 0, 0.01'; '+' joins several values of one cell"
        ),
    ] = ()
    strategy: Annotated[
        Literal["grid", "random", "optuna"],
        Field(
            description="which cells: all; num_cells of them by chance; or num_cells, each chosen by Optuna from what the "
            "ones before gave"
        ),
    ] = "grid"
    num_cells: Annotated[int | None, Also("cells"), Field(ge=1, description="cells to train, of random and optuna")] = (
        None
    )
    workers: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1, le=256)],
        Field(
            description="cells trained at once; auto = as many as there are cores, and memory for what one cell was measured "
            "to take"
        ),
    ] = "auto"
    engine: Annotated[
        Literal["local", "ray"], Field(description="where cells are trained: in processes here, or on a Ray cluster")
    ] = "local"
    ray_address: Annotated[
        str | None, Field(description="address of the Ray cluster; none = one that is started here")
    ] = None
    prompts: Annotated[
        tuple[str, ...],
        Also("prompt"),
        Field(
            description="prompts that are drawn with each cell's LoRA, side by side and to measure, repeatable; none = the "
            "first two different captions"
        ),
    ] = ()
    pictures: Annotated[
        int,
        Field(ge=0, le=16, description="pictures per prompt side by side, with seeds counting up from 1025; 0 = none"),
    ] = 2

    @model_validator(mode="after")
    def _refuse_what_contradicts(self) -> Self:
        is_whole = self.strategy == "grid"
        if is_whole and self.num_cells is not None:
            raise ConfigError(
                "num_cells would have no effect: a grid is trained whole; it needs strategy random or optuna"
            )
        if not is_whole and self.num_cells is None:
            raise ConfigError(f"strategy={self.strategy}: num_cells must say how many cells to train")
        if self.ray_address is not None and self.engine != "ray":
            raise ConfigError("ray_address would have no effect: it needs engine = 'ray'")
        for name in AXES[:-1]:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}={' '.join(map(str, values))}: a value is there twice")
        return self


class SweepConfig(TrainConfig):
    """Everything `sweep` needs: all settings of `train`, for every cell, and what the cells differ in."""

    cells: CellsConfig = CellsConfig()
    numbers: NumbersConfig = NumbersConfig()

    @model_validator(mode="after")
    def _refuse_what_a_sweep_decides(self) -> Self:
        if self.output.resume:
            raise ConfigError("resume would have no effect: the same command of a sweep always goes on; leave it out")
        if self.cells.prompts and not self.cells.pictures and not self.numbers.metric_pictures:
            raise ConfigError("prompts would have no effect: pictures and metric_pictures are 0")
        if self.output.init_lora is not None and (self.cells.algorithms or self.cells.target_sets):
            raise ConfigError("algorithms and target_sets cannot be varied with init_lora, which has its own")
        return self

    def training_settings(self) -> TrainConfig:
        """The settings of training alone."""
        return TrainConfig.model_validate(self.model_dump(exclude={"cells", "numbers"}))

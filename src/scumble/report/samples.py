"""The sample pictures of a run as they lie in its folder: by prompt, seed and step, with their nearest training pictures."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.generate.prompt import split_prompts
from scumble.report.told import Told
from scumble.train.runfolder import RunFolder

STEP = re.compile(r"\d{6}")
SINGLE = re.compile(r"(\d{2,})-(\d+)\.png")
BASE_STEP = 0
"""Under this number the pictures of the base alone are kept."""


@dataclass(frozen=True)
class Row:
    """The sample pictures of one prompt and seed.

    Attributes:
        prompt: as it was asked for.
        seed: of the noise.
        pictures: step -> file; step 0 is the base alone.
    """

    prompt: str
    seed: int
    pictures: Mapping[int, Path]


@dataclass(frozen=True)
class Nearest:
    """The training picture that a sample picture of the last step is nearest to.

    Attributes:
        sample: its file; None where only the distance was kept.
        picture: the training picture's file.
        distance: root-mean-square difference of the worst tile, 0..1.
        usual: the same between training pictures; None = there is only one.
        is_copy: whether the sample is much nearer than that.
    """

    sample: Path | None
    picture: Path
    distance: float
    usual: float | None
    is_copy: bool


@dataclass(frozen=True)
class Samples:
    """All of them.

    Attributes:
        rows: a prompt and seed each.
        sheets: step -> the labelled picture of all of its samples, for runs that kept no single ones.
        nearest: of the samples of the last step.
    """

    rows: tuple[Row, ...]
    sheets: Mapping[int, Path]
    nearest: tuple[Nearest, ...]

    @property
    def steps(self) -> Sequence[int]:
        """Of which there are single pictures, in order."""
        return sorted({step for row in self.rows for step in row.pictures})


def find_samples(told: Told) -> Samples:
    """The sample pictures of a run."""
    prompts = split_prompts(told.setting("validation", "validation_prompt"))
    folder = told.folder.path / "samples"
    found: dict[tuple[int, int], dict[int, Path]] = {}
    for place in sorted(folder.glob("*/*.png")):
        match = SINGLE.fullmatch(place.name)
        if match and STEP.fullmatch(place.parent.name):
            found.setdefault((int(match[1]), int(match[2])), {})[int(place.parent.name)] = place
    rows = tuple(
        Row(prompts[prompt] if prompt < len(prompts) else f"prompt {prompt + 1}", seed, pictures)
        for (prompt, seed), pictures in sorted(found.items())
    )
    sheets = {int(path.stem): path for path in sorted(folder.glob("*.png")) if STEP.fullmatch(path.stem)}
    return Samples(rows, sheets, _nearest(told.folder, rows, max(sheets, default=None)))


def _nearest(run: RunFolder, rows: Sequence[Row], step: int | None) -> tuple[Nearest, ...]:
    if step is None:
        return ()
    try:
        told = json.loads(run.nearest_at(step).with_suffix(".json").read_bytes())["nearest"]
        samples = [row.pictures.get(step) for row in rows]
        return tuple(
            Nearest(
                samples[index] if index < len(samples) else None,
                Path(each["picture"]),
                float(each["distance"]),
                None if each["usual"] is None else float(each["usual"]),
                bool(each["is_copy"]),
            )
            for index, each in enumerate(told)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()

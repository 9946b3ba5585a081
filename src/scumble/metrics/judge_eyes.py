"""The judge of the model in the box as eyes: its last features before the questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from scumble.data.content import hash_file
from scumble.families.base import BaseModel
from scumble.families.hub import IN_THE_BOX
from scumble.metrics.album import HASH_SIGNS
from scumble.mini.exam import as_tensor
from scumble.mini.judge import JUDGE_FILE, Judge, load_judge
from scumble.mini.paint import SIZE_PX

WEIGHTS = Path(str(resources.files("scumble.mini"))) / "weights"


def is_in_the_box(base: BaseModel) -> bool:
    """Whether a base is the one in the box, whose pictures the judge knows."""
    return base.name in IN_THE_BOX


@dataclass(frozen=True)
class JudgeEyes:
    """The judge's 112 features of handwritten digits, in whatever ink and look."""

    @cached_property
    def judge(self) -> Judge:
        """The judge in the package."""
        return load_judge()

    @cached_property
    def said(self) -> str:
        """Its name and hash."""
        return f"the judge's features (judge {hash_file(WEIGHTS / JUDGE_FILE)[:HASH_SIGNS]})"

    @torch.no_grad()
    def see(self, images: Sequence[Image.Image]) -> Tensor:
        """Features [N, 112] of pictures, looked at in 64 x 64 px."""
        features: Tensor = self.judge.features(2 * judged_pixels(images) - 1)
        return features


def judged_pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pictures as the judge takes them: [N, 3, 64, 64] in 0..1."""
    side = (SIZE_PX, SIZE_PX)
    return as_tensor(
        [image if image.size == side else image.resize(side, Image.Resampling.LANCZOS) for image in images]
    )

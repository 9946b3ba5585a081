"""What looks at pictures: a network that makes numbers of them, which are near where pictures are alike."""

from collections.abc import Sequence
from typing import Protocol

from PIL import Image
from torch import Tensor


class Eyes(Protocol):
    """A network that looks at pictures."""

    @property
    def said(self) -> str:
        """What it is, and the hash of its weights, for people."""
        ...

    def see(self, images: Sequence[Image.Image]) -> Tensor:
        """Features [N, D] of pictures of any size, float32, on the CPU."""
        ...

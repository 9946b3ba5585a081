"""Captions that are lists of tags, in another wording each time: tags in another order, and some left out."""

from dataclasses import dataclass

import torch
from torch import Generator


@dataclass(frozen=True)
class Wording:
    """How a caption varies.

    Attributes:
        is_shuffled: tags come in another order each time.
        kept: so many tags stay first, in their order, and are never left out.
        dropout: probability that one of the others is left out.
        separator: between tags.
    """

    is_shuffled: bool
    kept: int
    dropout: float
    separator: str

    @property
    def varies(self) -> bool:
        """Whether it changes anything."""
        return self.is_shuffled or self.dropout > 0

    def of(self, caption: str, source: Generator) -> str:
        """A caption as it is worded this time.

        Args:
            caption: tags with the separator between.
            source: of chance.
        """
        if not self.varies:
            return caption
        tags = [tag for tag in (piece.strip() for piece in caption.split(self.separator)) if tag]
        first, others = tags[: self.kept], tags[self.kept :]
        is_left_out = (torch.rand(len(others), generator=source) < self.dropout).tolist()
        order = torch.randperm(len(others), generator=source).tolist()
        places = order if self.is_shuffled else range(len(others))
        return f"{self.separator} ".join([*first, *(others[place] for place in places if not is_left_out[place])])


AS_WRITTEN = Wording(False, 0, 0.0, ",")
"""Captions stay as they are."""

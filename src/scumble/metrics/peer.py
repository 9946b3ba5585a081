"""torchmetrics, which has the formulas that everybody compares with; it comes with the extra "metrics"."""

import importlib
from typing import Any

from torch import Tensor, nn

from scumble.errors import MetricError


def peer(module: str) -> Any:
    """A module of torchmetrics.

    Raises:
        MetricError: it is not installed.
    """
    try:
        return importlib.import_module(f"torchmetrics.{module}")
    except ModuleNotFoundError as error:
        raise MetricError("it takes torchmetrics: pip install 'scumble[metrics]'") from error


class AlreadySeen(nn.Module):
    """A feature extractor for features that are there already: what is given in comes out.

    Args:
        num_features: D of the features [N, D].
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features_ND: Tensor) -> Tensor:
        """The same."""
        return features_ND

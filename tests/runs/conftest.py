"""The settings of a small run, for a real one to look at."""

from tests.train.conftest import common

__all__ = ["common"]

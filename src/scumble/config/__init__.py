"""The settings: one frozen schema that is the TOML file, the flags, the Python arguments and the reference page."""

from scumble.config.adapter import AdapterConfig, parse_patterns
from scumble.config.base import ModelConfig
from scumble.config.caption import CaptionConfig
from scumble.config.check import CheckConfig
from scumble.config.compare import CompareConfig
from scumble.config.data import DataConfig
from scumble.config.generate import GenerateConfig
from scumble.config.objective import ObjectiveConfig
from scumble.config.optimizer import OptimizerConfig
from scumble.config.output import OutputConfig
from scumble.config.prior import PriorConfig
from scumble.config.section import Also, Place, Section, from_values, in_words, merged, read_toml, write_toml
from scumble.config.tokens import TokensConfig, parse_new_tokens
from scumble.config.train import TrainConfig
from scumble.config.training import TrainingConfig
from scumble.config.validation import ValidationConfig

__all__ = [
    "AdapterConfig",
    "Also",
    "CaptionConfig",
    "CheckConfig",
    "CompareConfig",
    "DataConfig",
    "GenerateConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "OutputConfig",
    "Place",
    "PriorConfig",
    "Section",
    "TokensConfig",
    "TrainConfig",
    "TrainingConfig",
    "ValidationConfig",
    "from_values",
    "in_words",
    "merged",
    "parse_new_tokens",
    "parse_patterns",
    "read_toml",
    "write_toml",
]

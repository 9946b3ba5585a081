"""Everything `train` needs. What is left open (None) is chosen by the plan, which writes what it chose into the run folder."""

from typing import Self

from pydantic import model_validator

from scumble.config.adapter import AdapterConfig, idle_adapter_settings
from scumble.config.base import ModelConfig
from scumble.config.data import DataConfig, idle_data_settings
from scumble.config.objective import ObjectiveConfig, idle_objective_settings
from scumble.config.optimizer import OptimizerConfig, idle_optimizer_settings
from scumble.config.output import OutputConfig, idle_output_settings
from scumble.config.prior import PriorConfig, idle_prior_settings
from scumble.config.section import Rule, Section
from scumble.config.tokens import TokensConfig, idle_token_settings
from scumble.config.training import TrainingConfig
from scumble.config.validation import ValidationConfig, idle_validation_settings
from scumble.errors import ConfigError


class TrainConfig(Section):
    """Everything `train` needs."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    adapter: AdapterConfig = AdapterConfig()
    tokens: TokensConfig = TokensConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    prior: PriorConfig = PriorConfig()
    validation: ValidationConfig = ValidationConfig()
    output: OutputConfig = OutputConfig()

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        refuse_idle_settings(self)
        return self


def refuse_idle_settings(config: TrainConfig) -> None:
    """Raise for a combination in which a given setting would do nothing, or two say the same thing.

    Raises:
        ConfigError: names the setting and what it needs.
    """
    train, output = config.training, config.output
    has_init = output.init_lora is not None
    rules: list[Rule] = [
        *idle_optimizer_settings(config.optimizer, config.adapter.train_text_encoder or has_init),
        *idle_prior_settings(config.prior),
        *idle_token_settings(config.tokens, has_init, _of_adapter(config), config.data.caption_dropout_rate == 1),
        *idle_validation_settings(config.validation),
        *idle_data_settings(config.data),
        *idle_adapter_settings(config.adapter, has_init),
        *idle_output_settings(output),
        *idle_objective_settings(config.objective, train.samples_a_step),
        (output.resume and output.overwrite, "overwrite", "resume left out"),
        (output.allow_partial and not has_init, "allow_partial", "init_lora"),
        (
            train.purpose is not None and (config.adapter.rank is not None or has_init),
            "purpose (--for)",
            "rank left out, because it sets the rank",
        ),
    ]
    for is_idle, setting, needs in rules:
        if is_idle:
            raise ConfigError(f"{setting} would have no effect: it needs {needs}; change that or leave {setting} out")
    if train.max_train_steps is not None and train.num_train_epochs is not None:
        raise ConfigError("max_train_steps and num_train_epochs both say how long to train: give one of them")


def _of_adapter(config: TrainConfig) -> list[str]:
    """The settings that were given and say something of the adapter."""
    plain = AdapterConfig()
    given = [name for name in AdapterConfig.model_fields if getattr(config.adapter, name) != getattr(plain, name)]
    given += ["loraplus_lr_ratio"] if config.optimizer.loraplus_lr_ratio is not None else []
    return given + (["purpose"] if config.training.purpose is not None else [])

"""Pictures of the class beside the own ones, where they are given: prior preservation learns from both."""

from dataclasses import replace

from scumble.config import PriorConfig, TrainConfig
from scumble.data.captions import CaptionRule
from scumble.data.scan import Scan, ScanRule, scan_folder
from scumble.errors import ConfigError, DataError
from scumble.train.pictures import scan_rule


def scan_classes(config: TrainConfig, own: Scan) -> Scan | None:
    """The given class pictures; the same words are their captions where they have none of their own."""
    prior = config.prior
    if own.classes:
        return _classes_beside(prior, own)
    if prior.class_data_dir is None:
        _refuse_idle_prior(prior)
        return None
    rule = scan_rule(config.data)
    rule = ScanRule(CaptionRule(given=prior.class_prompt), rule.pictures)
    try:
        scan = scan_folder(prior.class_data_dir, rule, "give class_prompt, which is then their caption")
    except DataError as error:
        raise DataError(f"class pictures: {error}") from None
    if prior.class_prompt is not None and all(example.source != "given" for example in scan.examples):
        raise ConfigError(
            "class_prompt would have no effect: every class picture has a caption of its own; leave class_prompt out"
        )
    return scan


def _classes_beside(prior: PriorConfig, own: Scan) -> Scan:
    """The class pictures that the layout of the own pictures tells apart."""
    for name in ("class_data_dir", "class_prompt"):
        if getattr(prior, name) is not None:
            raise ConfigError(
                f"{name} would have no effect: {own.folder} has {len(own.classes)} class pictures of its own; leave "
                f"{name} out"
            )
    return replace(own, examples=own.classes, classes=(), rejected=(), notes=())


def _refuse_idle_prior(prior: PriorConfig) -> None:
    for name in ("prior_share", "prior_loss_weight"):
        if prior.class_prompt is None and getattr(prior, name) is not None:
            raise ConfigError(
                f"{name} would have no effect: it needs class_prompt, class_data_dir or class pictures in the folder; "
                f"change that or leave {name} out"
            )

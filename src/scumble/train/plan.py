"""What a run will do, decided before anything heavy is loaded: every setting that was left open is chosen here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import ImageColor
from torch import nn

from scumble.adapters.pack import Storage
from scumble.config import DataConfig, ModelConfig, PriorConfig, TrainConfig
from scumble.data.captions import CaptionRule
from scumble.data.duplicates import kin
from scumble.data.masks import MaskRule
from scumble.data.pictures import PictureRule
from scumble.data.scan import Scan, ScanRule, scan_folder
from scumble.device import choose_dtype, device_of
from scumble.errors import ConfigError, DataError, TargetError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX
from scumble.generate.events import Noted
from scumble.processes import Share, share_of
from scumble.train.cuts import Cut, bucket_rule, cuts_of
from scumble.train.going_on import read_init
from scumble.train.lint_remarks import lint_remarks
from scumble.train.naming import count_numbers, planned_layers, refuse_unsayable
from scumble.train.new_words import PlannedWord, empty_words, planned_words
from scumble.train.pictures import scan_pictures
from scumble.train.recipes import find_layers, refuse_idle_patterns
from scumble.train.remarks import prompt_remarks, remarks
from scumble.train.resolve import TrainingSize, Where, resolve
from scumble.train.schedule import Rates
from scumble.train.storage import refuse_idle_storage
from scumble.train.validation import Split, count_samples, split_pictures
from scumble.train.wording import Wording


@dataclass(frozen=True)
class Plan:
    """A run, decided.

    Attributes:
        config: the settings with nothing left open: it starts the same run again.
        base: the opened base model.
        scan: the own pictures.
        classes: given class pictures, or None.
        split: which own pictures train and which are held out.
        cuts: the own pictures, and the size that each is cut to.
        layers: canonical keys of the layers that are adapted.
        device: where the denoiser runs.
        share: which process of how many this is.
        dtype: precision of the frozen weights.
        trainable: numbers in the adapter.
        total: numbers in the denoiser.
        init: the LoRA to start from, or None.
        given: what was asked for that is not the usual, as section -> setting -> value.
        notes: what the person should know.
    """

    config: TrainConfig
    base: BaseModel
    scan: Scan
    classes: Scan | None
    split: Split
    cuts: tuple[Cut, ...]
    layers: tuple[str, ...]
    device: torch.device
    share: Share
    dtype: torch.dtype
    trainable: int
    total: int
    init: LoraFile | None
    given: Mapping[str, Mapping[str, Any]]
    notes: tuple[Noted, ...]

    @property
    def name(self) -> str:
        """Name of the run and of the LoRA."""
        assert self.config.output.name is not None
        return self.config.output.name

    @property
    def trains_text(self) -> bool:
        """Whether the text encoder is adapted too."""
        return any(not key.startswith("unet.") for key in self.layers)

    @property
    def encoded(self) -> Sequence[int]:
        """The own pictures that are encoded once, in their middle; where crops are random, only those of validation."""
        pictures = range(len(self.cuts))
        return pictures if self.config.data.center_crop else self.validated

    @property
    def validated(self) -> Sequence[int]:
        """The own pictures of the validation loss: those held out, else all."""
        return self.split.held_out or range(len(self.cuts))

    @property
    def wording(self) -> Wording:
        """How captions vary."""
        data = self.config.data
        return Wording(data.shuffle_caption, data.keep_tokens, data.caption_tag_dropout_rate, data.caption_separator)

    @property
    def reads_captions_anew(self) -> bool:
        """Whether the text encoder stays, because its states are other ones in each step."""
        return self.trains_text or self.wording.varies or bool(self.new_words)

    @property
    def new_words(self) -> tuple[PlannedWord, ...]:
        """The words that are taught."""
        return planned_words(self.config.tokens, self.init)

    def layers_of(self, part: str) -> list[str]:
        """The adapted layers of one model part, by their path in it."""
        return [key.removeprefix(f"{part}.") for key in self.layers if key.startswith(f"{part}.")]

    @property
    def storage(self) -> Storage:
        """How the frozen weights are kept."""
        return Storage(self.config.training.base_packing, self.config.training.group_offload)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.config.output.output_dir / self.name

    @property
    def lora_suffix(self) -> str:
        """How the names of the run's LoRAs end."""
        return PEFT_SUFFIX if self.config.output.format == "peft" else FILE_SUFFIX

    @property
    def rates(self) -> Rates:
        """How the learning rate moves."""
        opt = self.config.optimizer
        assert opt.learning_rate is not None
        assert opt.lr_scheduler is not None
        return Rates(
            opt.learning_rate,
            self.num_steps,
            opt.lr_scheduler,
            opt.lr_warmup_steps,
            opt.lr_min or 0.0,
            opt.lr_scheduler_num_cycles or 1,
            opt.lr_scheduler_power or 1.0,
        )

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        assert self.config.training.max_train_steps is not None
        return self.config.training.max_train_steps


def make_plan(config: TrainConfig, scan: Scan | None = None) -> Plan:
    """Open the base, look at the data, choose what was left open.

    Args:
        config: the settings.
        scan: of their data folder, where that was looked at already.
    Raises:
        ConfigError: no data folder, or settings that do not fit each other.
        BaseModelError, DataError, TargetError, LoraFileError: the base, the data, the targets or the LoRA to start
            from cannot be used.
    """
    if scan is None:
        scan, data = scan_pictures(config.data, scan_rule(config.data))
        config = config.model_copy(update={"data": data})
    classes = _scan_classes(config, scan)
    base = _open_base(config.model)
    outline = base.outline()
    modules = outline.modules
    init = _init(config, base)
    layers = _layers(base, modules, config) if init is None else list(init.layers)
    val = config.validation
    split = split_pictures(_kin(scan), val.validation_split, val.seed_for(config.training.seed))
    share = share_of()
    device = device_of(share, config.training.device)
    sizes = TrainingSize(
        pictures=len(split.training),
        samples=sum(scan.examples[index].repeats for index in split.training),
        validated=count_samples(len(split.held_out or scan.examples)),
        has_classes=classes is not None,
    )
    resolved = resolve(config, base, sizes, Where(device, share), init)
    refuse_idle_patterns(layers, resolved.adapter)
    cuts = cuts_of(scan.examples, bucket_rule(resolved.data, base.pixels_per_latent))
    refuse_idle_storage(resolved, base, [size for _, size in cuts], device)
    planned = planned_layers(base, modules, layers, resolved.adapter) if init is None else init.layers
    words = empty_words(planned_words(config.tokens, init), modules)
    refuse_unsayable(resolved.output.format, planned, base, words)
    return Plan(
        config=resolved,
        base=base.with_tiles() if resolved.training.vae_tiling else base,
        scan=scan,
        classes=classes,
        split=split,
        cuts=cuts,
        layers=tuple(layers),
        device=device,
        share=share,
        dtype=choose_dtype(resolved.training.mixed_precision, device),
        trainable=count_numbers(planned, words),
        total=outline.num_parameters,
        init=init,
        given=config.model_dump(mode="json", exclude_defaults=True),
        notes=(*remarks(config, base, scan, split, init), *lint_remarks(scan), *prompt_remarks(config)),
    )


def _layers(base: BaseModel, modules: Mapping[str, nn.Module], config: TrainConfig) -> list[str]:
    try:
        return find_layers(base, modules, config)
    except TargetError:  # the whole denoiser also knows what cannot be adapted, and that a target means it
        return find_layers(base, {**modules, "unet": base.empty_denoiser()}, config)


def _init(config: TrainConfig, base: BaseModel) -> LoraFile | None:
    output = config.output
    return None if output.init_lora is None else read_init(output.init_lora, base, output.allow_partial)


def _kin(scan: Scan) -> list[str]:
    return kin([example.content for example in scan.examples], [example.look for example in scan.examples])


def _open_base(model: ModelConfig) -> BaseModel:
    base = open_base(
        model.base,
        model.revision,
        model.variant,
        model.prediction_type,
        zero_terminal_snr=model.zero_terminal_snr,
        vae=model.vae,
        preset=model.preset,
    )
    check_clip_skip(base, model.clip_skip or base.advice.clip_skip)
    return base


def scan_rule(data: DataConfig) -> ScanRule:
    """How the settings say that a folder is read.

    Raises:
        ConfigError: the background is no colour.
    """
    try:
        background = ImageColor.getrgb(data.background)[:3]
    except ValueError:
        raise ConfigError(
            f"background={data.background!r}: expected a colour by name, such as white, or as #rrggbb"
        ) from None
    captions = CaptionRule(data.trigger, data.caption, data.caption_per_line, data.caption_prefix, data.caption_suffix)
    if data.mask_dir is not None and not data.mask_dir.is_dir():
        raise ConfigError(f"mask_dir={data.mask_dir}: no such folder")
    return ScanRule(
        captions,
        PictureRule((background[0], background[1], background[2]), data.first_frame),
        data.caption_column,
        masks=MaskRule(data.mask_dir, data.alpha_mask),
    )


def _scan_classes(config: TrainConfig, own: Scan) -> Scan | None:
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
        scan = scan_folder(prior.class_data_dir, rule)
    except DataError as error:
        raise DataError(f"class pictures: {error}; class_prompt is their caption where they have none") from None
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

"""What a run will do, decided before anything heavy is loaded: every setting that was left open is chosen here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scumble.adapters.pack import Storage
from scumble.config import ModelConfig, TrainConfig
from scumble.data.duplicates import kin
from scumble.data.scan import Scan
from scumble.device import choose_dtype, device_of
from scumble.errors import TargetError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.families.find import open_base
from scumble.families.outline import Outline
from scumble.files.lorafile import LoraFile
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX
from scumble.generate.events import Noted
from scumble.generate.prepare import precision_notes
from scumble.processes import Share, share_of
from scumble.train.class_pictures import scan_classes
from scumble.train.cuts import Cut, bucket_rule, cuts_of
from scumble.train.deterministic import ask_for_workspace
from scumble.train.going_on import read_init
from scumble.train.lint_remarks import lint_remarks
from scumble.train.naming import count_numbers, planned_layers, refuse_unsayable
from scumble.train.new_words import PlannedWord, empty_words, planned_words
from scumble.train.pictures import scan_pictures, scan_rule
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
        BaseModelError, DataError, TargetError, LoraFileError: the base, data, targets or init_lora cannot be used.
    """
    ask_for_workspace(
        config.training.deterministic
    )  # before a base is asked what it predicts, on a GPU if there is one
    if scan is None:
        scan, data = scan_pictures(config.data, scan_rule(config.data))
        config = config.model_copy(update={"data": data})
    classes = scan_classes(config, scan)
    base = base_of(config.model)
    outline = base.outline()
    init = _init(config, base)
    layers = _layers(base, outline, config) if init is None else list(init.layers)
    split = _split(config, scan)
    share = share_of()
    device = device_of(share, config.training.device)
    resolved = resolve(config, base, _size_of(scan, split, classes), Where(device, share), init)
    refuse_idle_patterns(layers, resolved.adapter)
    cuts = cuts_of(scan.examples, bucket_rule(resolved.data, base.pixels_per_latent))
    refuse_idle_storage(resolved, base, [size for _, size in cuts], device)
    planned = planned_layers(base, outline.modules, layers, resolved.adapter) if init is None else init.layers
    words = empty_words(planned_words(config.tokens, init), outline.modules)
    refuse_unsayable(resolved.output.format, planned, base, words)
    dtype = choose_dtype(resolved.training.mixed_precision, device)
    said = [*precision_notes(dtype, device), *remarks(config, base, scan, split, init)]
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
        dtype=dtype,
        trainable=count_numbers(planned, words),
        total=outline.num_parameters,
        init=init,
        given=config.model_dump(mode="json", exclude_defaults=True),
        notes=(*said, *lint_remarks(scan), *prompt_remarks(config)),
    )


def _layers(base: BaseModel, outline: Outline, config: TrainConfig) -> list[str]:
    try:
        return find_layers(base, outline.modules, config)
    except TargetError:  # the whole denoiser also knows what cannot be adapted, and that a target means it
        return find_layers(base, {**outline.modules, "unet": base.empty_denoiser()}, config)


def _size_of(scan: Scan, split: Split, classes: Scan | None) -> TrainingSize:
    return TrainingSize(
        pictures=len(split.training),
        samples=sum(scan.examples[index].repeats for index in split.training),
        validated=count_samples(len(split.held_out or scan.examples)),
        has_classes=classes is not None,
    )


def _init(config: TrainConfig, base: BaseModel) -> LoraFile | None:
    output = config.output
    return None if output.init_lora is None else read_init(output.init_lora, base, output.allow_partial)


def _split(config: TrainConfig, scan: Scan) -> Split:
    val = config.validation
    alike = kin([example.content for example in scan.examples], [example.look for example in scan.examples])
    return split_pictures(alike, val.validation_split, val.seed_for(config.training.seed))


def base_of(model: ModelConfig) -> BaseModel:
    """The base that the settings of a model mean, opened; no weights are loaded.

    Raises:
        BaseModelError: it cannot be found or read.
        ConfigError: settings that it cannot be used with.
    """
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

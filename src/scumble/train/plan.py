"""What a run will do, decided before anything heavy is loaded: every setting that was left open is chosen here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from scumble.adapters.base import weight_of
from scumble.adapters.targets import find_targets
from scumble.config import PriorConfig, TrainConfig, from_values, merged
from scumble.data.scan import Scan, scan_folder
from scumble.errors import ConfigError, DataError
from scumble.families.base import BaseModel
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora
from scumble.generate.device import choose_device, choose_dtype
from scumble.generate.events import Noted
from scumble.train.validation import Split, split_pictures

RANK_FOR = {"style": 4, "person": 16, "object": 8}
DEFAULT_RANK = 16
DEFAULT_RATE = 1e-4
STEPS_PER_PICTURE = 50
FEWEST_STEPS, MOST_STEPS = 800, 2000
GOOD_PICTURES = (15, 30)
NUM_CLASS_IMAGES = 36
PRIOR_SHARE = 0.3


@dataclass(frozen=True)
class Plan:
    """A run, decided.

    Attributes:
        config: the settings with nothing left open: it starts the same run again.
        base: the opened base model.
        scan: the own pictures.
        classes: given class pictures, or None.
        split: which own pictures train and which are held out.
        targets: dotted paths of the layers that are adapted.
        device: where the denoiser runs.
        dtype: precision of the frozen weights.
        trainable: numbers in the adapter.
        total: numbers in the denoiser.
        init: the LoRA to start from, or None.
        notes: what the person should know.
    """

    config: TrainConfig
    base: BaseModel
    scan: Scan
    classes: Scan | None
    split: Split
    targets: tuple[str, ...]
    device: torch.device
    dtype: torch.dtype
    trainable: int
    total: int
    init: LoraFile | None
    notes: tuple[Noted, ...]

    @property
    def name(self) -> str:
        """Name of the run and of the LoRA."""
        assert self.config.output.name is not None
        return self.config.output.name

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.config.output.output_dir / self.name

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        assert self.config.training.max_train_steps is not None
        return self.config.training.max_train_steps


def make_plan(config: TrainConfig) -> Plan:
    """Open the base, look at the data, choose what was left open.

    Raises:
        ConfigError: no data folder, or settings that do not fit each other.
        BaseModelError, DataError, TargetError, LoraFileError: the base, the data, the targets or the LoRA to start
            from cannot be used.
    """
    data = config.data
    if data.folder is None:
        raise ConfigError("no folder of pictures: scumble train FOLDER (or --train_data_dir FOLDER)")
    scan = scan_folder(data.folder, data.trigger, data.caption)
    classes = _scan_classes(config)
    base = open_base(config.model.base, config.model.revision, config.model.variant, config.model.prediction_type)
    denoiser = base.empty_denoiser()
    init = None if config.output.init_lora is None else _read_init(config.output.init_lora, base)
    targets = find_targets(denoiser, config.adapter.targets) if init is None else list(init.part("unet"))
    split = split_pictures(
        [example.content for example in scan.examples], config.validation.validation_split, config.training.seed
    )
    device = choose_device(config.training.device)
    resolved = _resolve(config, base, len(split.training), device, init)
    assert resolved.adapter.rank is not None
    sizes = {path: sum(weight_of(denoiser.get_submodule(path)).shape) for path in targets}
    trainable = sum(resolved.adapter.rank * size for size in sizes.values())
    if init is not None:
        trainable = sum(tensor.numel() for layer in init.layers.values() for tensor in layer.tensors.values())
    return Plan(
        config=resolved,
        base=base,
        scan=scan,
        classes=classes,
        split=split,
        targets=tuple(targets),
        device=device,
        dtype=choose_dtype(resolved.training.mixed_precision, device),
        trainable=trainable,
        total=sum(parameter.numel() for parameter in denoiser.parameters()),
        init=init,
        notes=tuple(_notes(config, base, scan, split)),
    )


def _scan_classes(config: TrainConfig) -> Scan | None:
    """The given class pictures; the same words are their captions where they have none of their own."""
    prior = config.prior
    if prior.class_data_dir is None:
        return None
    try:
        return scan_folder(prior.class_data_dir, caption=prior.class_prompt)
    except DataError as error:
        raise DataError(f"class pictures: {error}; class_prompt is their caption where they have none") from None


def _read_init(path: Path, base: BaseModel) -> LoraFile:
    lora = read_lora(path, base.layer_paths())
    other = sorted(key for key in lora.layers if not key.startswith("unet."))
    if other:
        raise ConfigError(
            f"init_lora {path} also changes {len(other)} text layers ({other[0]}, ...), and training those is not there yet"
        )
    return lora


def _resolve(
    config: TrainConfig, base: BaseModel, num_training: int, device: torch.device, init: LoraFile | None
) -> TrainConfig:
    """The same settings with every open one chosen."""
    train, optimizer, prior, val, output = (
        config.training, config.optimizer, config.prior, config.validation, config.output,
    )  # fmt: skip
    per_step = train.train_batch_size * train.gradient_accumulation_steps
    steps = train.max_train_steps or _default_steps(train.num_train_epochs, num_training, per_step)
    rank, alpha = _rank_and_alpha(config, init)
    rate = optimizer.learning_rate or base.advice.learning_rate or DEFAULT_RATE
    rate *= per_step if optimizer.scale_lr else 1
    assert config.data.folder is not None
    chosen: dict[str, Mapping[str, object]] = {
        "model": {"base": _from_anywhere(base.name), "prediction_type": base.prediction_type},
        "data": {
            "folder": config.data.folder.resolve(),
            "cache_dir": config.data.cache_dir and config.data.cache_dir.resolve(),
            "resolution": _resolution(config.data.resolution, base),
        },
        "adapter": {"rank": rank, "alpha": alpha},
        "optimizer": {"learning_rate": rate, "scale_lr": False},
        "training": {
            "purpose": None,  # it has said its word: the rank
            "max_train_steps": steps,
            "num_train_epochs": None,
            "mixed_precision": train.mixed_precision or default_precision(device),
            "device": str(device),
        },
        "validation": {"validation_steps": val.validation_steps or max(1, steps // 20)},
        "output": {
            "name": output.name or config.data.folder.resolve().name,
            "output_dir": output.output_dir.resolve(),
            "init_lora": output.init_lora and output.init_lora.resolve(),
            "checkpointing_steps": output.checkpointing_steps or max(1, -(-steps // 4)),
        },
    }
    if optimizer.lr_scheduler == "cosine":
        floor = rate / 100 if optimizer.lr_min is None else optimizer.lr_min
        chosen["optimizer"] = {**chosen["optimizer"], "lr_min": floor}
    if prior.class_prompt is not None or prior.class_data_dir is not None:
        chosen["prior"] = _resolved_prior(prior)
    if val.validation_prompt is not None:
        chosen["validation"] = {
            **chosen["validation"],
            "num_validation_images": val.num_validation_images or 1,
            "sample_steps": val.sample_steps or max(1, -(-steps // 4)),
        }
    return from_values(TrainConfig, merged(config.model_dump(), chosen))


def _resolved_prior(prior: PriorConfig) -> dict[str, object]:
    drawn = prior.class_data_dir is None
    return {
        "prior_share": prior.prior_share or PRIOR_SHARE,
        "prior_loss_weight": prior.prior_loss_weight or 1.0,
        "class_data_dir": prior.class_data_dir and prior.class_data_dir.resolve(),
        "num_class_images": (prior.num_class_images or NUM_CLASS_IMAGES) if drawn else None,
    }


def _from_anywhere(base_name: str) -> str:
    """The base's name so that the resolved settings find it from any working directory."""
    folder = Path(base_name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else base_name


def default_precision(device: torch.device) -> str:
    """bf16 on a GPU that has it, else fp16 on a GPU, else fp32."""
    if device.type == "cpu":
        return "no"
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp16"


def _default_steps(epochs: int | None, num_training: int, per_step: int) -> int:
    if epochs is not None:
        return max(1, epochs * -(-num_training // per_step))
    return min(MOST_STEPS, max(FEWEST_STEPS, STEPS_PER_PICTURE * num_training))


def _rank_and_alpha(config: TrainConfig, init: LoraFile | None) -> tuple[int, float]:
    adapter = config.adapter
    if init is not None:
        layer = next(iter(init.layers.values()))
        if adapter.rank not in (None, layer.rank) or adapter.alpha not in (None, layer.alpha):
            raise ConfigError(
                f"rank={adapter.rank} alpha={adapter.alpha}: init_lora has rank {layer.rank} and alpha {layer.alpha:g}, "
                "which are kept; leave rank and alpha out"
            )
        return layer.rank, layer.alpha
    rank = adapter.rank or RANK_FOR.get(config.training.purpose or "", DEFAULT_RANK)
    return rank, adapter.alpha or float(rank)


def _resolution(asked: int | None, base: BaseModel) -> int:
    resolution = asked or base.resolution
    step = base.pixels_per_latent
    if resolution % step:
        near = max(step, round(resolution / step) * step)
        raise ConfigError(
            f"resolution={resolution} in [data]: this base needs a multiple of {step}; {near} is the nearest"
        )
    return resolution


def _notes(config: TrainConfig, base: BaseModel, scan: Scan, split: Split) -> list[Noted]:
    notes = [Noted(text) for text in base.notes]
    notes += [Noted(f"{item.path.name} is left out: {item.reason}", warning=True) for item in scan.rejected]
    count = len(scan.examples)
    if count < GOOD_PICTURES[0]:
        notes.append(
            Noted(
                f"{count} pictures are few: {GOOD_PICTURES[0]}-{GOOD_PICTURES[1]} good pictures is the field's advice",
                warning=True,
            )
        )
    if not split.held_out:
        notes.append(
            Noted(
                "no picture is held out: the validation loss is measured on the training pictures, and cannot show overfitting",
                warning=True,
            )
        )
    trigger = config.data.trigger
    without = [example for example in scan.examples if trigger and trigger.casefold() not in example.caption.casefold()]
    if without:
        notes.append(
            Noted(
                f"the trigger '{trigger}' is missing from {len(without)} of {count} captions, first {without[0].path.name}",
                warning=True,
            )
        )
    if config.data.caption is not None and all(example.source == "sidecar" for example in scan.examples):
        raise ConfigError(
            "caption would have no effect: every picture has a .txt caption of its own; leave caption out"
        )
    return notes

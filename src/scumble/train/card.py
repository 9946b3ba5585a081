"""The start-up card: what was understood and chosen, before anything starts."""

from collections import Counter
from collections.abc import Iterable

from scumble.config import AdapterConfig
from scumble.edit.look import algorithm_of
from scumble.files.lorafile import LoraFile
from scumble.quantities import counted
from scumble.train.cuts import buckets_in_words, enlarged
from scumble.train.events import Planned
from scumble.train.new_words import words_on_card
from scumble.train.objective_choice import objective_in_words
from scumble.train.optimizer_choice import average_in_words, in_words
from scumble.train.plan import Plan
from scumble.train.results import OTHER
from scumble.train.storage import storage_in_words

PRECISION = {"no": "fp32", "fp16": "fp16 with loss scaling", "bf16": "bf16"}


def planned(plan: Plan) -> Planned:
    """The card of a plan."""
    config, base = plan.config, plan.base
    train, optimizer = config.training, config.optimizer
    card = {
        "base": f"{base.name} ({base.family}, {base.resolution} px, predicts {config.model.prediction_type}"
        + (" on zero-terminal SNR)" if base.zero_terminal_snr else ")"),
        "folder": plan.scan.said,
        "pictures": _pictures(plan),
        "captions": _captions(plan),
        "adapter": _adapter(plan),
        "parameters": f"{plan.trainable:,} trainable of {plan.total + plan.trainable:,} "
        f"({100 * plan.trainable / (plan.total + plan.trainable):.2f} %)",
        "optimizer": in_words(optimizer),
        "rate": _rate(plan),
        "steps": f"{plan.num_steps}, {_pictures_a_step(plan)} a step, {_epochs(plan):.1f} epochs",
        "resolution": f"{config.data.resolution} px: {buckets_in_words(plan.cuts)}"
        + (", mirrored at random" if config.data.random_flip else "")
        + ("" if config.data.center_crop else "; cut at random: encoded anew each time, latents are not kept")
        + (f"; encoded in tiles of {base.tile_px} px" if train.vae_tiling else ""),
        "precision": f"{_weights(plan)} weights, fp32 adapter, on {plan.device}"
        + (", deterministic kernels alone" if train.deterministic else ""),
        "seed": str(train.seed),
        "files": ", ".join(_files(plan)),
    }
    if not plan.storage.is_plain:
        card["memory"] = storage_in_words(base.empty_denoiser(), plan.dtype, plan.storage, plan.device)
    if config.data.mask_dir is not None or config.data.alpha_mask:
        masked = sum(example.mask is not None for example in plan.scan.examples)
        card["masks"] = f"{masked} of {len(plan.scan.examples)} pictures; of the others all counts"
    if optimizer.ema_decay is not None:
        card["average"] = average_in_words(plan.name, optimizer)
    if plan.new_words:
        card["new words"] = words_on_card(plan.new_words, config)
    if config.prior.prior_share is not None:
        card["prior"] = _prior(plan)
    if objective := objective_in_words(config.objective):
        card["objective"] = objective
    return Planned(f"{plan.name}: {plan.scan.folder} -> {plan.folder}", card, plan.folder)


def _rate(plan: Plan) -> str:
    optimizer = plan.config.optimizer
    return (
        f"{optimizer.learning_rate:g}, {optimizer.lr_scheduler}"
        + (f" of {optimizer.lr_scheduler_num_cycles} cycles" if optimizer.lr_scheduler_num_cycles is not None else "")
        + (f" of power {optimizer.lr_scheduler_power:g}" if optimizer.lr_scheduler_power is not None else "")
        + (f" to {optimizer.lr_min:g}" if optimizer.lr_min is not None else "")
        + (f", {optimizer.lr_warmup_steps} warm-up steps" if optimizer.lr_warmup_steps else "")
        + "".join(f"; UNUSUAL: {each}" for each in plan.rates.unusual)
    )


def _adapter(plan: Plan) -> str:
    if not plan.layers:
        return "none: new words alone are trained"
    return _new_adapter(plan) if plan.init is None else _adapter_of(plan.init, plan)


def _new_adapter(plan: Plan) -> str:
    """The algorithm, what modifies it, and its size: "lora, DoRA on output, rank 8, alpha 8, on 128 layers"."""
    adapter, plain = plan.config.adapter, AdapterConfig()
    also = [] if adapter.dora is None else [f"DoRA on {adapter.dora}"]
    also += ["rank-stabilised"] if adapter.rank_stabilized else []
    also += [f"{adapter.init} start"] if adapter.init != plain.init else []
    also += ["other ranks or alphas by pattern"] if adapter.rank_pattern or adapter.alpha_pattern else []
    size = (
        ["both factors whole (rank and alpha have no effect)"]
        if adapter.lokr_full_matrix
        else [f"rank {adapter.rank}", f"alpha {adapter.alpha:g}"]
    )
    return ", ".join([adapter.algorithm, *also, *_dropout(adapter), *size, f"on {len(plan.layers)} layers"])


def _adapter_of(init: LoraFile, plan: Plan) -> str:
    """The same of a LoRA that was given: "lora (60), lokr (4), rank 4 to 16, alpha 8, on 64 layers, going on from FILE"."""
    counts = Counter(map(algorithm_of, init.layers.values()))
    algorithms = (
        [f"{algorithm} ({count})" for algorithm, count in counts.most_common()] if len(counts) > 1 else [*counts]
    )
    size = [
        f"rank {_range(layer.rank for layer in init.layers.values())}",
        f"alpha {_range(layer.alpha for layer in init.layers.values())}",
        f"on {len(plan.layers)} layers",
    ]
    from_where = f"going on from {plan.config.output.init_lora}"
    return ", ".join([*algorithms, *_dropout(plan.config.adapter), *size, from_where])


def _dropout(adapter: AdapterConfig) -> list[str]:
    shares = (adapter.dropout, adapter.rank_dropout, adapter.module_dropout)
    return [f"dropout {'/'.join(f'{share:g}' for share in shares)}"] if any(shares) else []


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{found[0]:g}" if found[0] == found[-1] else f"{found[0]:g} to {found[-1]:g}"


def _weights(plan: Plan) -> str:
    train = plan.config.training
    computed = PRECISION[train.mixed_precision or "no"]
    return computed if train.base_packing is None else f"{train.base_packing} (computed in {computed})"


def _pictures(plan: Plan) -> str:
    sizes = [size for example in plan.scan.examples for size in example.size_px]
    held, small = len(plan.split.held_out), len(enlarged(plan.cuts))
    return (
        f"{len(plan.scan.examples)} used, {len(plan.scan.rejected)} left out; sides {min(sizes)} to {max(sizes)} px; "
        + (f"{held} held out for validation" if held else "none held out")
        + (f"; {small} smaller than their cut, and enlarged" if small else "")
    )


def _pictures_a_step(plan: Plan) -> str:
    train = plan.config.training
    if train.batches_a_step > 1:
        processes = f" in {train.num_processes} processes" if train.num_processes != 1 else ""
        return f"{train.train_batch_size} x {train.batches_a_step} pictures{processes}"
    return counted(train.train_batch_size, "picture")


def _captions(plan: Plan) -> str:
    examples = plan.scan.examples
    sources = Counter(example.source for example in examples)
    words = {
        "sidecar": "from files beside",
        "table": "from a table",
        "words": "from folder names",
        "trigger": "by trigger",
        "given": "as given",
    }
    parts = [f"{count} {words[source]}" for source, count in sources.items()]
    first = examples[0].caption
    anew = "; shuffled or shortened each time, so text states are not kept" if plan.wording.varies else ""
    return ", ".join(parts) + anew + f'; first: "{first if len(first) <= 60 else first[:59] + "…"}"'


def _prior(plan: Plan) -> str:
    prior = plan.config.prior
    source = (
        f"{len(plan.classes.examples)} class pictures from {prior.class_data_dir or plan.scan.folder}"
        if plan.classes is not None
        else f"{prior.num_class_images} class pictures drawn by the base"
    )
    return f"{source}; {100 * (prior.prior_share or 0):.0f} % of the samples, loss weight {prior.prior_loss_weight:g}"


def _epochs(plan: Plan) -> float:
    train = plan.config.training
    own = 1 - (plan.config.prior.prior_share or 0)
    samples = plan.num_steps * train.samples_a_step
    return samples * own / sum(plan.scan.examples[index].repeats for index in plan.split.training)


def _files(plan: Plan) -> list[str]:
    end = "/" if plan.config.output.format == "peft" else ""
    ends = ["", "-best", *([f"-{OTHER[export]}"] if (export := plan.config.optimizer.ema_export) else [])]
    loras = [f"{plan.name}{each}{plan.lora_suffix}{end}" for each in ends]
    output, val = plan.config.output, plan.config.validation
    folders = [f"{plan.name}{each}-words" for each in ends] if plan.new_words else []
    folders += ["checkpoints"]
    folders += ["samples"] if val.sample_steps is not None else []
    folders += [name for name in ("tensorboard", "wandb") if name in output.report_to]
    folders += ["class_pictures"] if plan.classes is None and plan.config.prior.class_prompt is not None else []
    return [*loras, "curves.png", "config.toml", "history.json", "sheet.png", *(f"{name}/" for name in folders)]

"""The start-up card: what was understood and chosen, before anything starts."""

from collections import Counter

from scumble.config import AdapterConfig
from scumble.train.events import Planned
from scumble.train.plan import Plan

PRECISION = {"no": "fp32", "fp16": "fp16 with loss scaling", "bf16": "bf16"}


def planned(plan: Plan) -> Planned:
    """The card of a plan."""
    config, base = plan.config, plan.base
    train, optimizer, adapter = config.training, config.optimizer, config.adapter
    rank_of_init = "" if plan.init is None else f", started from {config.output.init_lora}"
    card = {
        "base": f"{base.name} ({base.family}, {base.resolution} px, predicts {config.model.prediction_type}"
        + (" on zero-terminal SNR)" if base.zero_terminal_snr else ")"),
        "pictures": _pictures(plan),
        "captions": _captions(plan),
        "adapter": f"{_algorithm(plan)}, rank {adapter.rank}, alpha {adapter.alpha:g}, on {len(plan.layers)} layers{rank_of_init}",
        "parameters": f"{plan.trainable:,} trainable of {plan.total + plan.trainable:,} "
        f"({100 * plan.trainable / (plan.total + plan.trainable):.2f} %)",
        "rate": f"{optimizer.learning_rate:g}, {optimizer.lr_scheduler}"
        + (f" to {optimizer.lr_min:g}" if optimizer.lr_min is not None else "")
        + (f", {optimizer.lr_warmup_steps} warm-up steps" if optimizer.lr_warmup_steps else ""),
        "steps": f"{plan.num_steps}, {_pictures_a_step(plan)} a step, {_epochs(plan):.1f} epochs",
        "resolution": f"{config.data.resolution} px" + (", mirrored at random" if config.data.random_flip else ""),
        "precision": f"{_weights(plan)} weights, fp32 adapter, on {plan.device}",
        "seed": str(train.seed),
        "files": ", ".join(_files(plan)),
    }
    if config.prior.prior_share is not None:
        card["prior"] = _prior(plan)
    return Planned(f"{plan.name}: {plan.scan.folder} -> {plan.folder}", card)


def _algorithm(plan: Plan) -> str:
    """The algorithm and what modifies it: "lora, DoRA on output"."""
    adapter, plain = plan.config.adapter, AdapterConfig()
    also = [] if adapter.dora is None else [f"DoRA on {adapter.dora}"]
    also += ["rank-stabilised"] if adapter.rank_stabilized else []
    also += [f"{adapter.init} start"] if adapter.init != plain.init else []
    also += ["other ranks or alphas by pattern"] if adapter.rank_pattern or adapter.alpha_pattern else []
    dropouts = (adapter.dropout, adapter.rank_dropout, adapter.module_dropout)
    also += [f"dropout {'/'.join(f'{share:g}' for share in dropouts)}"] if any(dropouts) else []
    return ", ".join([adapter.algorithm, *also])


def _weights(plan: Plan) -> str:
    train = plan.config.training
    computed = PRECISION[train.mixed_precision or "no"]
    return computed if train.base_packing is None else f"{train.base_packing} (computed in {computed})"


def _pictures(plan: Plan) -> str:
    sizes = [size for example in plan.scan.examples for size in example.size_px]
    held = len(plan.split.held_out)
    return (
        f"{len(plan.scan.examples)} used, {len(plan.scan.rejected)} left out; sides {min(sizes)} to {max(sizes)} px; "
        + (f"{held} held out for validation" if held else "none held out")
    )


def _pictures_a_step(plan: Plan) -> str:
    train = plan.config.training
    if train.gradient_accumulation_steps > 1:
        return f"{train.train_batch_size} x {train.gradient_accumulation_steps} pictures"
    return "1 picture" if train.train_batch_size == 1 else f"{train.train_batch_size} pictures"


def _captions(plan: Plan) -> str:
    examples = plan.scan.examples
    sources = Counter(example.source for example in examples)
    words = {"sidecar": "from .txt files", "trigger": "by trigger", "given": "as given"}
    parts = [f"{count} {words[source]}" for source, count in sources.items()]
    first = examples[0].caption
    return ", ".join(parts) + f'; first: "{first if len(first) <= 60 else first[:59] + "…"}"'


def _prior(plan: Plan) -> str:
    prior = plan.config.prior
    source = (
        f"{len(plan.classes.examples)} class pictures from {prior.class_data_dir}"
        if plan.classes is not None
        else f"{prior.num_class_images} class pictures drawn by the base"
    )
    return f"{source}; {100 * (prior.prior_share or 0):.0f} % of the samples, loss weight {prior.prior_loss_weight:g}"


def _epochs(plan: Plan) -> float:
    train = plan.config.training
    own = 1 - (plan.config.prior.prior_share or 0)
    samples = plan.num_steps * train.train_batch_size * train.gradient_accumulation_steps
    return samples * own / len(plan.split.training)


def _files(plan: Plan) -> list[str]:
    loras = [f"{plan.name}.safetensors", f"{plan.name}-best.safetensors"]
    output, val = plan.config.output, plan.config.validation
    folders = ["checkpoints"]
    folders += ["samples"] if val.sample_steps is not None else []
    folders += ["tensorboard"] if output.report_to == "tensorboard" else []
    folders += ["class_pictures"] if plan.classes is None and plan.config.prior.class_prompt is not None else []
    return [*loras, "curves.png", "config.toml", "history.json", "sheet.png", *(f"{name}/" for name in folders)]

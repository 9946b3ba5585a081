"""What makes two runs the same run: the settings that decide the weights, the pictures and the captions."""

import hashlib
from collections.abc import Mapping
from typing import Any

from scumble.errors import CheckpointError
from scumble.files.lorafile import LoraFile
from scumble.train.plan import Plan

WITHOUT_WEIGHT: dict[str, Any] = {
    "output": True,
    "data": {
        "folder", "cache_dir", "dataset_name", "dataset_config_name", "dataset_split", "dataset_revision", "image_column",
    },
    "training": {"on_nan", "dataloader_num_workers", "group_offload", "process_timeout", "torch_compile"},
    "validation": {"validation_prompt", "num_validation_images", "sample_steps"},
}  # fmt: skip
"""Settings that change where things go and what is drawn, but no number of a LoRA whose training goes well. Compiling rounds
otherwise, but whether and when it begins depends on the machine."""

LEFT_OPEN = repr(None)
"""What a setting was that there was not yet when a checkpoint was written."""


def identity(plan: Plan) -> dict[str, str]:
    """What must be the same for a resumed run to be the same run: setting -> value, and the data."""
    config = plan.config.model_dump(mode="json", exclude=WITHOUT_WEIGHT)
    settings = {f"{section}.{key}": repr(value) for section, values in config.items() for key, value in values.items()}
    start = {} if plan.init is None else {"layers of init_lora": _layers(plan.init)}
    return {**settings, **start, "pictures and captions": plan.scan.fingerprint()}


def _layers(init: LoraFile) -> str:
    """What the layers of a LoRA are, its numbers aside: a checkpoint holds those of the same layers."""
    described = "".join(
        f"{key} {layer.algorithm} {layer.alpha!r} {sorted((name, *tensor.shape) for name, tensor in layer.tensors.items())}\n"
        for key, layer in sorted(init.layers.items())
    ) + "".join(f"{word} {len(vectors['text_encoder'])}\n" for word, vectors in sorted(init.embeddings.items()))
    return f"{len(init.layers)} layers, {hashlib.sha256(described.encode()).hexdigest()[:12]}"


def refuse_another_run(plan: Plan, before: Mapping[str, str]) -> None:
    """Raise if a checkpoint is of a run that would have become another file.

    Args:
        plan: the run to go on with.
        before: the identity that the checkpoint was written with.
    Raises:
        CheckpointError: names every difference.
    """
    now = identity(plan)
    changed = [
        f"{key} was {before.get(key)} and is {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key, LEFT_OPEN) != now.get(key, LEFT_OPEN)
    ]
    if changed:
        config_file = plan.folder / "config.toml"
        raise CheckpointError(
            f"cannot resume {plan.folder}: {'; '.join(changed)}. Resume with what the run was started with "
            f'(scumble train --config "{config_file}" --resume), or choose another --name'
        )

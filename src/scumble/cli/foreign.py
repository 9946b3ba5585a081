"""Flags of the diffusers LoRA script that mean something else here, or nothing yet: each is said, none is dropped."""

from scumble.errors import ConfigError

NOT_THERE_YET = {
    "push_to_hub": "after training: scumble publish runs/NAME/NAME.safetensors --push OWNER/REPOSITORY",
    "hub_token": "after training: scumble publish runs/NAME/NAME.safetensors --push OWNER/REPOSITORY",
    "hub_model_id": "after training: scumble publish runs/NAME/NAME.safetensors --push OWNER/REPOSITORY",
    "use_8bit_adam": "give --optimizer AdamW8bit",
    "enable_xformers_memory_efficient_attention": "not needed: PyTorch's own fused attention is always used; leave it out",
    "non_ema_revision": "a second revision is not there yet: give --revision",
    "with_prior_preservation": "--class_prompt or --class_data_dir alone turns it on; leave it out",
    "use_dora": "give --dora auto for what the programs read that the file is for, or --dora output for what PEFT trains",
    "image_interpolation_mode": "pictures are always resized with Lanczos; leave it out",
    "max_train_samples": "choosing some of the pictures is not there yet: train on a folder with fewer pictures",
    "validation_epochs": "validation goes by steps here: give --sample_steps",
    "local_rank": "torchrun tells each process its number; leave it out",
    "logging_dir": "logs lie in the run's folder; leave it out",
}
"""Flag -> why it is refused, and what to do instead."""

CALLED_HERE = {
    "instance_data_dir": "train_data_dir",
    "instance_prompt": "caption",
    "output_name": "name",
    "network_weights": "init_lora",
    "max_train_epochs": "num_train_epochs",
    "save_every_n_steps": "checkpointing_steps",
    "min_snr_gamma": "snr_gamma",
    "random_crop": "no-center-crop",
    "log_with": "report_to",
    "wandb_run_name": "name",
    "conditioning_data_dir": "mask_dir",
}
"""Flags of diffusers' DreamBooth script and of kohya's scripts -> what the same thing is called here."""

VALUES_NOT_THERE_YET = {
    "lr_scheduler": ("piecewise_constant",),
    "report_to": ("comet_ml", "clearml"),
}
"""Flag -> values of the diffusers script that are refused by name."""

WITHOUT_EFFECT = {
    "allow_tf32": "matrices are multiplied in the precision of --mixed_precision",
}
"""Flag -> why it changes nothing here; said, and accepted, because the result is the same."""

MEANS_ELSE = {
    "--cache_dir": "is the folder of cached latents and text states here; downloads go where HF_HOME says",
}
"""Flag as the diffusers script spells it -> what it means here; said, because it is another thing there."""

SWITCHES = {
    "allow_tf32", "push_to_hub", "use_8bit_adam", "enable_xformers_memory_efficient_attention",
    "with_prior_preservation", "use_dora",
}  # fmt: skip
"""Those of the flags above that take no value."""

RESUME = "resume_from_checkpoint"


def translate(arguments: list[str]) -> list[str]:
    """The same command line in our own flags, `_` as `-`.

    Raises:
        ConfigError: a flag or value that diffusers has and we do not, with what to do instead.
    """
    translated: list[str] = []
    refused: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, is_joined, value = argument.partition("=")
        if not name.startswith("--"):
            translated.append(argument)
            continue
        key = _key(name)
        if not is_joined and key not in SWITCHES and rest and not rest[0].startswith("--"):
            value = rest[0]
        reason = _not_there_yet(key, value)
        if reason is not None:
            refused.append(reason)
            if value and not is_joined:
                rest.pop(0)
            continue
        if key in WITHOUT_EFFECT or key == RESUME:
            if value and not is_joined:
                rest.pop(0)
            translated += [_resume_flag(value)] if key == RESUME else []
            continue
        if not is_joined and rest and rest[0].startswith("-") and " " in rest[0]:  # text, not a flag: "-5 dogs"
            is_joined, value = "=", rest.pop(0)
        translated.append("--" + key.replace("_", "-") + is_joined + (value if is_joined else ""))
    if refused:
        raise ConfigError("\n".join(refused))
    return translated


def notes_on(arguments: list[str]) -> list[str]:
    """What to say of the flags that change nothing here, or mean something else than in the diffusers script."""
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    keys = [_key(flag) for flag in flags]
    notes = [f"--{key} is not needed: {WITHOUT_EFFECT[key]}" for key in keys if key in WITHOUT_EFFECT]
    return notes + [f"{flag} {MEANS_ELSE[flag]}" for flag in flags if flag in MEANS_ELSE]


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _not_there_yet(key: str, value: str) -> str | None:
    """Why a flag or its value is refused; None where it is not."""
    if key in NOT_THERE_YET:
        return f"--{key}: {NOT_THERE_YET[key]}"
    if key in CALLED_HERE:
        return f"--{key}: it is called --{CALLED_HERE[key]} here"
    if value in VALUES_NOT_THERE_YET.get(key, ()):
        return f"--{key}={value} is not there yet; 'scumble train --help' lists what is"
    return None


def _resume_flag(value: str) -> str:
    if value in {"", "latest"}:
        return "--resume"
    raise ConfigError(f"--{RESUME}={value}: the newest whole checkpoint of the run is taken; give --resume")

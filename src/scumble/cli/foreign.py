"""Flags of the diffusers LoRA script that mean something else here, or nothing yet: each is said, none is dropped."""

from scumble.errors import ConfigError

NOT_THERE_YET = {
    "dataset_name": "datasets from the hub are not there yet: save the pictures as a folder and give --train_data_dir",
    "dataset_config_name": "datasets from the hub are not there yet: save the pictures as a folder",
    "caption_column": "caption columns are not there yet: write a .txt caption beside each picture",
    "image_column": "image columns are not there yet: save the pictures as a folder",
    "push_to_hub": "sending to the hub is not there yet: 'hf upload' sends the file",
    "hub_token": "sending to the hub is not there yet",
    "hub_model_id": "sending to the hub is not there yet",
    "use_8bit_adam": "8-bit AdamW is not there yet: leave it out",
    "enable_xformers_memory_efficient_attention": "not needed: PyTorch's own fused attention is always used; leave it out",
    "non_ema_revision": "not there yet: give --revision",
    "image_interpolation_mode": "pictures are always resized with Lanczos; leave it out",
    "max_train_samples": "not there yet: train on a folder with fewer pictures",
    "validation_epochs": "validation goes by steps here: give --sample_steps",
    "local_rank": "several processes are not there yet",
    "logging_dir": "logs lie in the run's folder; leave it out",
}
"""Flag -> why it is refused, and what to do instead."""

WITHOUT_EFFECT = {
    "dataloader_num_workers": "pictures are encoded once and kept: there is no loader to give workers to",
    "allow_tf32": "matrices are multiplied in the precision of --mixed_precision",
}
"""Flag -> why it changes nothing here; said, and accepted, because the result is the same."""


RESUME = "resume_from_checkpoint"


def translate(arguments: list[str]) -> list[str]:
    """The same command line in our own flags, `_` as `-`.

    Raises:
        ConfigError: a flag that diffusers has and we do not, with what to do instead.
    """
    translated: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, is_joined, value = argument.partition("=")
        if not name.startswith("--"):
            translated.append(argument)
            continue
        key = name.removeprefix("--").replace("-", "_")
        if key in NOT_THERE_YET:
            raise ConfigError(f"--{key}: {NOT_THERE_YET[key]}")
        if key in WITHOUT_EFFECT or key == RESUME:
            if not is_joined and rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            translated += [_resume_flag(value)] if key == RESUME else []
        else:
            translated.append("--" + key.replace("_", "-") + is_joined + value)
    return translated


def notes_on(arguments: list[str]) -> list[str]:
    """What to say of the flags that change nothing here."""
    keys = [
        argument.partition("=")[0].removeprefix("--").replace("-", "_")
        for argument in arguments
        if argument.startswith("--")
    ]
    return [f"--{key} is not needed: {WITHOUT_EFFECT[key]}" for key in keys if key in WITHOUT_EFFECT]


def _resume_flag(value: str) -> str:
    if value in {"", "latest"}:
        return "--resume"
    raise ConfigError(f"--{RESUME}={value}: the newest whole checkpoint of the run is taken; give --resume")

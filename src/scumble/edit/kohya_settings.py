"""Settings of kohya's train_network.py here: what its keys are called, and what holds there when nobody says."""

from collections.abc import Mapping
from typing import Any

from scumble.edit.foreign_settings import Account, Table, as_flag, as_number
from scumble.edit.kohya_network import network
from scumble.edit.kohya_objective import objective
from scumble.edit.kohya_optimizer import optimizer
from scumble.edit.kohya_trackers import trackers

TABLE = Table(
    program="kohya's scripts",
    same={
        "pretrained_model_name_or_path": "model.base",
        "vae": "model.vae",
        "clip_skip": "model.clip_skip",
        "flip_aug": "data.random_flip",
        "caption_prefix": "data.caption_prefix",
        "caption_suffix": "data.caption_suffix",
        "caption_dropout_rate": "data.caption_dropout_rate",
        "max_token_length": "data.max_token_length",
        "train_batch_size": "training.train_batch_size",
        "gradient_accumulation_steps": "training.gradient_accumulation_steps",
        "gradient_checkpointing": "training.gradient_checkpointing",
        "seed": "training.seed",
        "max_grad_norm": "optimizer.max_grad_norm",
        "reg_data_dir": "prior.class_data_dir",
        "output_dir": "output.output_dir",
        "output_name": "output.name",
        "save_every_n_steps": "output.checkpointing_steps",
        "zero_terminal_snr": "model.zero_terminal_snr",
    },
    without={
        "datasets": (None, "give the folder of pictures with --folder"),
        "in_json": (None, "write a .txt caption beside each picture"),
        "dataset_repeats": (1, "all pictures are seen equally often; give max_train_steps"),
        "caption_extension": (".txt", "captions are .txt or .caption files here: rename others"),
        "caption_extention": (".txt", "captions are .txt or .caption files here: rename others"),
        "caption_dropout_every_n_epochs": (0, "caption_dropout_rate leaves captions out at random"),
        "weighted_captions": (False, "weights on words are taken as plain text"),
        "face_crop_aug_range": (None, "crop the pictures beforehand"),
        "color_aug": (False, "change copies of the pictures beforehand"),
        "adaptive_noise_scale": (None, "give a fixed noise_offset"),
        "noise_offset_random_strength": (False, "noise_offset is fixed"),
        "ip_noise_gamma_random_strength": (False, "input_perturbation is fixed"),
        "huber_scale": (1.0, "multiply it into objective.huber_c; with huber_schedule = 'constant' that is the same"),
        "scale_weight_norms": (None, "weight_decay keeps the weights small"),
        "base_weights": (None, "merge them into the base first: 'scumble merge --into'"),
        "base_weights_multiplier": (None, "merge them into the base first: 'scumble merge --into'"),
        "network_train_text_encoder_only": (False, "the denoiser is always trained too"),
        "full_fp16": (False, "adapter weights are float32: mixed_precision packs the base alone"),
        "full_bf16": (False, "adapter weights are float32: mixed_precision packs the base alone"),
        "fp8_base": (False, "training.base_packing = 'int8' or 'nf4' saves more memory"),
        "save_model_as": ("safetensors", "files are .safetensors"),
        "save_every_n_epochs": (None, "give output.checkpointing_steps, in optimizer steps"),
        "save_n_epoch_ratio": (None, "give output.checkpointing_steps, in optimizer steps"),
        "resume": (None, "its state is no checkpoint here: start anew, or from its LoRA with output.init_lora"),
        "initial_epoch": (None, "a run starts at its first step"),
        "initial_step": (None, "a run starts at its first step"),
        "sample_prompts": (None, "give the prompts in validation.validation_prompt, separated by '|'"),
        "sample_every_n_steps": (None, "give validation.validation_prompt and validation.sample_steps"),
        "sample_every_n_epochs": (None, "give validation.validation_prompt and validation.sample_steps"),
        "huggingface_repo_id": (None, "send the result with 'scumble publish --push'"),
        "training_comment": (None, "write it into the model card of 'scumble publish'"),
        "lr_scheduler_type": (None, "schedules of one's own are not there: choose an lr_scheduler"),
        "lr_scheduler_args": (None, "schedules of one's own are not there: choose an lr_scheduler"),
        "lr_decay_steps": (0, "a rate falls over the whole run"),
        "deepspeed": (
            False,
            "every process holds the whole base: start them with torchrun, and see training.group_offload",
        ),
        "config_file": (None, "import that file as well"),
    },
    idle=(
        "v2 cache_latents cache_latents_to_disk cache_text_encoder_outputs cache_text_encoder_outputs_to_disk vae_batch_size "
        "no_half_vae xformers mem_eff_attn sdpa max_data_loader_n_workers persistent_data_loader_workers logging_dir "
        "log_prefix log_config lowram highvram no_metadata save_state save_state_on_train_end save_last_n_epochs save_last_n_epochs_state save_last_n_steps "
        "save_last_n_steps_state min_bucket_reso max_bucket_reso debug_dataset "
        "tokenizer_cache_dir console_log_level console_log_file console_log_simple torch_compile dynamo_backend "
        "sample_sampler sample_at_first output_config skip_cache_check ddp_timeout prior_loss_weight "
        "ddp_gradient_as_bucket_view ddp_static_graph skip_until_initial_step secondary_separator metadata_title "
        "metadata_author metadata_description metadata_license metadata_tags disable_mmap_load_safetensors "
        "training_started_at skip_image_resolution"
    ),
)

MASKED_MEAN = (
    "taken; the loss of a picture is the mean over what its mask shows here, over the whole picture there, where a small "
    "mask weighs less"
)


def read_kohya(values: Mapping[str, Any]) -> Account:
    """What a TOML file of train_network.py means here.

    Args:
        values: its keys, in sections or not; sections are only for the eye.
    """
    account = Account(_flat(values))
    _folder(account)
    _wording(account)
    _resolution(account)
    _length(account)
    _precision(account)
    _prediction(account)
    objective(account)
    _views(account)
    network(account)
    optimizer(account)
    trackers(account)
    if account.values.get("reg_data_dir"):
        account.put("prior.prior_loss_weight", account.take("prior_loss_weight", 1.0))
    if account.take("scale_lr", False):
        account.put("optimizer.scale_lr", True)
    account.settle(TABLE)
    return account


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(value if isinstance(value, Mapping) else {key: value})
    return flat


def _folder(account: Account) -> None:
    """Folders such as 10_dog, and dataset files, are understood as they are."""
    dataset, folder = account.take("dataset_config"), account.take("train_data_dir")
    account.put("data.folder", dataset or folder)
    is_on = as_flag(account.take("enable_bucket", False))
    account.put("data.enable_bucket", is_on)
    step, no_upscale = account.take("bucket_reso_steps"), account.take("bucket_no_upscale", False)
    if is_on:
        account.put("data.bucket_reso_steps", step)
        account.put("data.bucket_no_upscale", as_flag(no_upscale))


def _views(account: Account) -> None:
    """Where pictures are cut, and what of them counts."""
    if as_flag(account.take("random_crop", False)):
        account.put("data.center_crop", False)
    has_alpha = as_flag(account.take("alpha_mask", False))
    if has_alpha:
        account.put("data.alpha_mask", True)
    is_masked, masks = as_flag(account.take("masked_loss", False)), account.take("conditioning_data_dir")
    if has_alpha or is_masked:
        account.refuse("alpha_mask" if has_alpha else "masked_loss", True, MASKED_MEAN)
    if is_masked:
        account.put("data.mask_dir", masks)
    elif masks is not None:
        account.idle.append("conditioning_data_dir")


def _wording(account: Account) -> None:
    """Of captions that are lists of tags."""
    is_shuffled = as_flag(account.take("shuffle_caption", False))
    dropout = account.take("caption_tag_dropout_rate", 0.0)
    kept, separator = account.take("keep_tokens", 0), account.take("caption_separator", ",")
    if is_shuffled or dropout:
        account.put("data.shuffle_caption", is_shuffled)
        account.put("data.caption_tag_dropout_rate", dropout)
        account.put("data.keep_tokens", kept)
        account.put("data.caption_separator", separator)


def _resolution(account: Account) -> None:
    value = account.take("resolution")
    sides = [as_number(side) for side in (value if isinstance(value, list) else str(value or "").split(","))]
    if value is None:
        return
    if None not in sides and len(set(sides)) == 1:
        account.put("data.resolution", int(sides[0] or 0))
    else:
        account.refuse("resolution", value, "pictures are square here: give data.resolution one side")


def _length(account: Account) -> None:
    steps, epochs = account.take("max_train_steps", 1600), account.take("max_train_epochs")
    if epochs is None:
        account.put("training.max_train_steps", steps)
        return
    account.put("training.num_train_epochs", epochs)


def _precision(account: Account) -> None:
    account.put("training.mixed_precision", account.take("mixed_precision", "no"))
    precision = account.take("save_precision", "float")
    account.put("output.save_precision", {"float": "fp32"}.get(precision, precision))


def _prediction(account: Account) -> None:
    is_v2, predicts_v = (as_flag(account.values.get("v2", False)), as_flag(account.take("v_parameterization", False)))
    if predicts_v:
        account.put("model.prediction_type", "v_prediction")
    elif is_v2:
        account.put("model.prediction_type", "epsilon")

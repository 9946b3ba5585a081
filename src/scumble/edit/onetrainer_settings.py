"""Settings of OneTrainer here: what its keys are called, and what holds there when nobody says."""

from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from scumble.edit.foreign_settings import Account, Table, as_number
from scumble.edit.onetrainer_objective import objective

OFF = "NEVER"

TABLE = Table(
    program="OneTrainer",
    same={
        "base_model_name": "model.base",
        "batch_size": "training.train_batch_size",
        "gradient_accumulation_steps": "training.gradient_accumulation_steps",
        "dropout_probability": "adapter.dropout",
        "aspect_ratio_bucketing": "data.enable_bucket",
        "seed": "training.seed",
        "lora_model_name": "output.init_lora",
        "workspace_dir": "output.output_dir",
    },
    without={
        "training_method": ("LORA", "LoRAs alone are trained; 'scumble extract' makes one of a tuned model"),
        "concept_file_name": ("training_concepts/concepts.json", "give the folder of pictures with --folder"),
        "output_model_format": ("SAFETENSORS", "files are in kohya's naming, or diffusers' with output.format"),
        "custom_learning_rate_scheduler": (None, "schedules of one's own are not there: choose an lr_scheduler"),
        "scheduler_params": ([], "schedules of one's own are not there: choose an lr_scheduler"),
        "learning_rate_cycles": (
            1.0,
            "lr_scheduler = 'cosine_with_restarts' has lr_scheduler_num_cycles; a cosine falls once",
        ),
        "learning_rate_scaler": ("NONE", "multiply learning_rate yourself, or give optimizer.scale_lr"),
        "ema": ("OFF", "optimizer.ema_decay keeps an average: 0.999 is usual"),
        "generalized_offset_noise": (False, "noise_offset is the plain one"),
        "perturbation_noise_weight": (0.0, "it is asked for too there; objective.input_perturbation is shown only"),
        "timestep_shift": (1.0, "all timesteps are drawn equally often"),
        "force_circular_padding": (False, "seamless pictures are not trained for"),
        "masked_training": (False, "give the folder of masks with data.mask_dir"),
        "custom_conditioning_image": (False, "pictures have captions only"),
        "additional_embeddings": ([], "tokens.new_tokens trains words, from new vectors"),
        "lokr_use_tucker": (False, "lokr is written without Tucker form, which few programs read"),
        "lora_decompose_norm_epsilon": (True, "DoRA divides by the exact norm"),
        "samples": (None, "give the prompts in validation.validation_prompt, separated by '|'"),
        "sample_definition_file_name": (
            "training_samples/samples.json",
            "give the prompts in validation.validation_prompt, separated by '|'",
        ),
        "save_every": (0, "give output.checkpointing_steps, in optimizer steps"),
        "validation": (False, "validation.validation_split holds pictures out of the folder itself"),
        "multi_gpu": (False, "start the processes with torchrun: see the page on several GPUs"),
        "quantization": ({}, "training.base_packing = 'int8' or 'nf4'"),
    },
    idle=(
        "__version model_type debug_mode debug_dir cache_dir tensorboard tensorboard_expose tensorboard_always_on "
        "tensorboard_port validate_after validate_after_unit continue_last_backup prevent_overwrites include_train_config "
        "device_indexes gradient_reduce_precision fused_gradient_reduce async_gradient_reduce async_gradient_reduce_buffer "
        "async_offloading compile image_caching text_caching latent_caching clear_cache_before_training ema_decay "
        "ema_update_step_interval caching_threads dataloader_threads prefetch_next_batch train_device temp_device "
        "fallback_train_dtype enable_autocast_cache only_cache frames attention_mechanism huber_delta vb_loss_strength "
        "loss_scaler dynamic_timestep_shifting cep_gamma prior transformer unconditional_transformer text_encoder_3 "
        "text_encoder_4 text_encoder_3_layer_skip text_encoder_4_layer_skip text_encoder_sequence_length "
        "text_encoder_2_sequence_length effnet_encoder decoder decoder_text_encoder decoder_vqgan unmasked_probability "
        "unmasked_weight normalize_masked_area_loss masked_prior_preservation_weight embedding_learning_rate "
        "preserve_embedding_norm embedding embedding_weight_dtype bundle_additional_embeddings lora_weight_dtype "
        "oft_block_size oft_block_share dora_oft oft_scaled oft_clipped_norm oft_cans lokr_vec_trick optimizer_defaults "
        "sample_after sample_after_unit sample_skip_first sample_image_format sample_video_format sample_audio_format "
        "samples_to_tensorboard non_ema_sampling cloud backup_after backup_after_unit rolling_backup rolling_backup_count "
        "backup_before_save save_every_unit save_skip_first save_filename_prefix secrets offload_fraction "
        "layer_offload_fraction enable_activation_offloading lora_layers gradient_reduce_prevision"
    ),
)
PRECISIONS = {"FLOAT_32": "no", "FLOAT_16": "fp16", "BFLOAT_16": "bf16", "TFLOAT_32": "no"}
OUTPUT_PRECISIONS = {"FLOAT_32": "fp32", "FLOAT_16": "fp16", "BFLOAT_16": "bf16"}
FILTERS = {
    "full": ("all-linear", "all-conv"),
    "attn-mlp": ("*attentions*",),
    "attn-only": ("attention",),
}
"""Its presets of layers -> targets here."""
ALGORITHMS = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}
OPTIMIZERS = {"ADAMW": "AdamW", "ADAM": "Adam", "ADAMW_8BIT": "AdamW8bit", "SCHEDULE_FREE_ADAMW": "AdamWScheduleFree"}
SCHEDULES = {"CONSTANT": "constant", "LINEAR": "linear", "COSINE": "cosine"}
"""Its optimizers and schedules -> ours."""
OTHER_OPTIMIZER = (
    "training is with AdamW: rates and schedule were left out, 1e-4 is usual; see --optimizer for the others"
)
OPTIMIZER_SETTINGS = {
    "beta1": "optimizer.beta1",
    "beta2": "optimizer.beta2",
    "eps": "optimizer.epsilon",
    "weight_decay": "optimizer.weight_decay",
}
TEXT_TARGETS = ("attention", "feed-forward")
OF_A_PART = {
    "model_name", "include", "weight_dtype", "train_embedding", "attention_mask", "guidance_scale", "offload_fraction",
    "activation_offloading", "gradient_checkpointing", "stop_training_after_unit",
}  # fmt: skip
"""Keys of a model part that need no more than the settings of the whole."""


def read_onetrainer(values: Mapping[str, Any]) -> Account:
    """What a JSON file of OneTrainer means here.

    Args:
        values: its keys; a preset names only those that are not as usual.
    """
    account = Account(dict(values))
    _base(account)
    _resolution(account)
    _adapter(account)
    _layers(account)
    _optimizer(account)
    objective(account)
    _output(account)
    _concepts(account)
    account.put("training.num_train_epochs", account.take("epochs", 100))
    account.settle(TABLE)
    return account


def _base(account: Account) -> None:
    dtype = account.take("train_dtype", "FLOAT_16")
    if dtype not in PRECISIONS:
        account.refuse("train_dtype", dtype, "taken as float32; there are no, fp16 and bf16")
    account.put("training.mixed_precision", PRECISIONS.get(dtype, "no"))
    autoencoder = account.take("vae", {}).get("model_name")
    account.put("model.vae", autoencoder or None)
    skipped, second = account.take("text_encoder_layer_skip", 0), account.take("text_encoder_2_layer_skip", 0)
    has_two = "XL" in str(account.values.get("model_type", ""))
    if skipped:
        account.put("model.clip_skip", skipped + (2 if has_two else 1))  # two encoders start at the last but one
    if has_two and second != skipped:
        account.refuse("text_encoder_2_layer_skip", second, "both text encoders have one clip_skip here")
    if account.take("rescale_noise_scheduler_to_zero_terminal_snr", False):
        account.put("model.zero_terminal_snr", True)
    for key, kind in (("force_v_prediction", "v_prediction"), ("force_epsilon_prediction", "epsilon")):
        account.put("model.prediction_type", kind if account.take(key, False) else None)


def _resolution(account: Account) -> None:
    value = account.take("resolution", "512")
    side = as_number(value)
    if side is not None:
        account.put("data.resolution", int(side))
    else:
        account.refuse("resolution", value, "pictures are square here, of one size: give data.resolution one side")


def _adapter(account: Account) -> None:
    kind = account.take("peft_type", "LORA")
    if kind not in ALGORITHMS:
        account.refuse("peft_type", kind, "taken as lora; there are lora, loha and lokr")
    algorithm = ALGORITHMS.get(kind, "lora")
    is_lokr = algorithm == "lokr"
    plain, of_lokr = account.take("lora_rank", 16), account.take("lokr_dim", 16)
    account.put("adapter.algorithm", algorithm)
    account.put("adapter.rank", of_lokr if is_lokr else plain)
    account.put("adapter.alpha", account.take("lora_alpha", 1.0))
    dora = account.take("lora_decompose", False), account.take("lora_decompose_output_axis", False)
    dora_of_lokr = account.take("lokr_weight_decompose", False), account.take("lokr_dora_on_output", True)
    has_dora, on_output = dora_of_lokr if is_lokr else dora
    account.put("adapter.dora", ("output" if on_output else "input") if has_dora else None)
    settings = {
        "lokr_factor": account.take("lokr_decompose_factor", -1),
        "lokr_decompose_both": account.take("lokr_decompose_both", False),
        "lokr_full_matrix": account.take("lokr_full_matrix", False),
    }
    for name, value in settings.items() if is_lokr else ():
        account.put(f"adapter.{name}", value)


def _layers(account: Account) -> None:
    preset, text = account.take("layer_filter_preset", "full"), account.take("layer_filter", "")
    is_pattern = account.take("layer_filter_regex", False)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if preset in FILTERS:
        account.put("adapter.targets", FILTERS[preset])
    elif parts and not is_pattern:
        account.put("adapter.targets", tuple(f"*{part}*" for part in parts))
    else:
        account.refuse("layer_filter", text or preset, "say the layers in adapter.targets")
    denoiser = account.take("unet", {})
    checkpointing = denoiser.get("gradient_checkpointing", account.take("gradient_checkpointing", True))
    account.put("training.gradient_checkpointing", checkpointing not in (False, "OFF"))
    _part(account, "unet", denoiser)
    account.put("optimizer.learning_rate", denoiser.get("learning_rate"))
    encoders = {name: account.take(name, {}) for name in ("text_encoder", "text_encoder_2")}
    if encoders["text_encoder"].get("train", True):
        account.put("adapter.train_text_encoder", True)
        account.put("adapter.text_encoder_targets", TEXT_TARGETS)
        rate = encoders["text_encoder"].get("learning_rate")
        account.put("optimizer.text_encoder_lr", account.values.get("learning_rate") if rate is None else rate)
    for name, part in encoders.items():
        _part(account, name, part)
    if "XL" in str(account.values.get("model_type", "")):
        own, other = (part.get("train", True) for part in encoders.values())
        if own != other:
            account.refuse("text_encoder_2.train", other, "both text encoders are trained, or neither")


def _part(account: Account, name: str, part: Mapping[str, Any]) -> None:
    """Name what a model part has of its own and no counterpart here."""
    usual = {"train": True, "stop_training_after": None, "learning_rate": None, "dropout_probability": 0.0}
    for key, value in part.items():
        is_known = key in OF_A_PART or value in (usual.get(key), None)
        if is_known or (key == "train" and name != "unet") or (key == "learning_rate" and name != "text_encoder_2"):
            continue
        if key == "stop_training_after" and not (
            value and part.get("train", True) and part.get("stop_training_after_unit", OFF) != OFF
        ):
            continue
        account.refuse(f"{name}.{key}", value, "parts are trained alike, from the first step to the last")


def _optimizer(account: Account) -> None:
    given = account.take("optimizer", {})
    given = {"optimizer": given} if isinstance(given, str) else dict(given)
    name = given.pop("optimizer", "ADAMW")
    rate, warmup = account.take("learning_rate", 3e-6), account.take("learning_rate_warmup_steps", 200.0)
    scheduler, floor = (
        account.take("learning_rate_scheduler", "CONSTANT"),
        account.take("learning_rate_min_factor", 0.0),
    )
    if name not in OPTIMIZERS:
        for setting in ("learning_rate", "text_encoder_lr"):
            account.settings.pop(f"optimizer.{setting}", None)
        account.refuse("optimizer.optimizer", name, OTHER_OPTIMIZER)
        return
    if name != "ADAMW":
        account.put("optimizer.optimizer", OPTIMIZERS[name])
    account.settings.setdefault("optimizer.learning_rate", rate)
    for key, setting in OPTIMIZER_SETTINGS.items():
        account.put(setting, given.pop(key, None))
    account.idle += [f"optimizer.{key}" for key in given]
    account.put("optimizer.max_grad_norm", account.take("clip_grad_norm", 1.0))
    if scheduler not in SCHEDULES:
        account.refuse("learning_rate_scheduler", scheduler, "taken as cosine; see --lr-scheduler for the others")
    if scheduler == "CONSTANT":
        account.put("optimizer.lr_scheduler", "constant_with_warmup" if warmup else "constant")
    else:
        account.put("optimizer.lr_scheduler", SCHEDULES.get(scheduler, "cosine"))
        account.put("optimizer.lr_min", account.settings["optimizer.learning_rate"] * floor)
    if 0 < warmup <= 1:
        account.refuse("learning_rate_warmup_steps", warmup, "a share of the steps: give optimizer.lr_warmup_steps")
    elif warmup:
        account.put("optimizer.lr_warmup_steps", int(warmup))


def _output(account: Account) -> None:
    destination = account.take("output_model_destination")
    if destination is not None:
        path = PureWindowsPath(destination) if "\\" in destination else PurePath(destination)
        account.put("output.name", path.stem)
    dtype = account.take("output_dtype", "FLOAT_32")
    if dtype in OUTPUT_PRECISIONS:
        account.put("output.save_precision", OUTPUT_PRECISIONS[dtype])
    else:
        account.refuse("output_dtype", dtype, "files are fp32, fp16 or bf16")


def _concepts(account: Account) -> None:
    concepts = [concept for concept in account.take("concepts", []) if concept.get("enabled", True)]
    if not concepts:
        return
    first = concepts[0]
    account.put("data.folder", first.get("path") or None)
    if len(concepts) > 1:
        others = ", ".join(str(concept.get("path")) for concept in concepts[1:])
        account.refuse("concepts", others, "one folder of pictures is trained on: put these pictures into it")
    source = first.get("text", {}).get("prompt_source", "sample")
    if source != "sample":
        account.refuse("concepts text.prompt_source", source, "write a .txt caption beside each picture")
    image = first.get("image", {})
    account.put("data.random_flip", image.get("enable_random_flip"))
    for key, value in {**image, **first.get("text", {})}.items():
        is_setting = isinstance(value, bool) and value and key not in ("enable_random_flip", "enable_crop_jitter")
        if is_setting:
            account.refuse(
                f"concepts {key}", value, "pictures and captions are taken as they are, cropped to the middle"
            )

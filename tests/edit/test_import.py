"""Settings of kohya's scripts and of OneTrainer mean the same here, and nothing in them is dropped unseen."""

import json

import pytest
import tomli_w

from scumble.config import TrainConfig, from_values, read_toml
from scumble.config.publish import ImportConfig
from scumble.edit.import_settings import import_settings
from scumble.errors import ConfigError


@pytest.fixture
def imported(tmp_path):
    """Import values as a file of a kind: the training settings, and what was said about them."""

    def run(values, suffix=".toml"):
        file, out = tmp_path / f"other{suffix}", tmp_path / "scumble.toml"
        file.write_text(tomli_w.dumps(values) if suffix == ".toml" else json.dumps(values), encoding="utf-8")
        done = import_settings(ImportConfig(file=file, out=out, overwrite=True))
        return from_values(TrainConfig, read_toml(out)), done

    return run


KOHYA = {
    "pretrained_model_name_or_path": "models/base.safetensors",
    "train_data_dir": "photos",
    "network_module": "networks.lora",
    "network_dim": 32,
    "network_alpha": 16,
    "learning_rate": 1e-4,
    "unet_lr": 2e-4,
    "text_encoder_lr": 5e-5,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 100,
    "max_train_steps": 2000,
    "train_batch_size": 2,
    "mixed_precision": "bf16",
    "save_precision": "fp16",
    "seed": 42,
    "clip_skip": 2,
    "resolution": "512,512",
    "min_snr_gamma": 5,
    "noise_offset": 0.05,
    "optimizer_type": "AdamW",
    "optimizer_args": ["weight_decay=0.1", "betas=0.9,0.99"],
    "output_dir": "out",
    "output_name": "dog",
    "xformers": True,
    "shuffle_caption": False,
}


def names(done):
    return {unmatched.key for unmatched in done.unmatched}


def test_kohyas_settings_become_ours(imported):
    settings, done = imported(KOHYA)
    assert (settings.adapter.rank, settings.adapter.alpha) == (32, 16)
    assert settings.adapter.train_text_encoder
    assert (settings.optimizer.learning_rate, settings.optimizer.text_encoder_lr) == (2e-4, 5e-5)
    assert (settings.optimizer.lr_scheduler, settings.optimizer.lr_min) == ("cosine", 0.0)
    assert (settings.optimizer.weight_decay, settings.optimizer.beta2) == (0.1, 0.99)
    assert (settings.training.max_train_steps, settings.training.train_batch_size) == (2000, 2)
    assert (settings.objective.snr_gamma, settings.objective.noise_offset, settings.training.seed) == (5, 0.05, 42)
    assert (settings.data.resolution, settings.model.clip_skip) == (512, 2)
    assert (settings.output.name, settings.output.save_precision) == ("dog", "fp16")
    assert done.unmatched == ()
    assert set(done.idle) == {"xformers"}


def test_kohyas_length_of_captions_is_ours(imported):
    settings, done = imported({**KOHYA, "max_token_length": 225})
    assert settings.data.num_chunks == 3
    assert done.unmatched == ()


def test_the_shuffling_of_tags_is_kohyas(imported):
    settings, done = imported({**KOHYA, "shuffle_caption": True, "keep_tokens": 2, "caption_tag_dropout_rate": 0.1})
    data = settings.data
    assert (data.shuffle_caption, data.keep_tokens, data.caption_tag_dropout_rate) == (True, 2, 0.1)
    assert done.unmatched == ()


def test_folders_dataset_files_and_buckets_are_kohyas(imported):
    settings, done = imported({**KOHYA, "enable_bucket": True, "bucket_reso_steps": 32, "caption_prefix": "oil,"})
    data = settings.data
    assert (data.folder.name, data.enable_bucket, data.bucket_reso_steps, data.caption_prefix) == (
        "photos", True, 32, "oil,",
    )  # fmt: skip
    assert not data.bucket_no_upscale  # it enlarges where nobody says otherwise
    assert done.unmatched == ()
    settings, _ = imported({**KOHYA, "dataset_config": "set.toml", "bucket_no_upscale": True})
    assert (settings.data.folder.name, settings.data.enable_bucket) == ("set.toml", False)


def test_sections_of_a_kohya_file_are_only_for_the_eye(imported):
    flat, _ = imported(KOHYA)
    keys = list(KOHYA)
    sections = {"model": {key: KOHYA[key] for key in keys[:9]}, "rest": {key: KOHYA[key] for key in keys[9:]}}
    assert imported(sections)[0] == flat


def test_what_a_kohya_file_leaves_unsaid_has_kohyas_value(imported):
    settings, _ = imported({"pretrained_model_name_or_path": "base", "train_data_dir": "photos"})
    assert (settings.adapter.rank, settings.adapter.alpha) == (4, 1)
    assert settings.adapter.targets == ("attention", "feed-forward", "proj")
    assert settings.adapter.train_text_encoder
    assert (settings.optimizer.learning_rate, settings.optimizer.lr_scheduler) == (2e-6, "constant")
    assert (settings.training.max_train_steps, settings.training.mixed_precision) == (1600, "no")


def test_convolutions_get_their_own_rank_and_alpha(imported):
    settings, done = imported({**KOHYA, "network_args": ["conv_dim=8", "conv_alpha=4"]})
    assert "conv" in settings.adapter.targets
    assert settings.adapter.rank_pattern == ("*.resnets.*.conv[12]=8", "*samplers.*.conv=8")
    assert settings.adapter.alpha_pattern == ("*.resnets.*.conv[12]=4", "*samplers.*.conv=4")
    assert done.unmatched == ()


def test_lycoris_algorithms_and_their_arguments_are_understood(imported):
    arguments = ["algo=lokr", "factor=8", "decompose_both=True", "preset=attn-mlp", "dora_wd=True", "train_norm=True"]
    settings, done = imported({**KOHYA, "network_module": "lycoris.kohya", "network_args": arguments})
    assert (settings.adapter.algorithm, settings.adapter.lokr_factor) == ("lokr", 8)
    assert (settings.adapter.lokr_decompose_both, settings.adapter.dora) == (True, "output")
    assert settings.adapter.targets == ("attention", "feed-forward")
    assert names(done) == {"network_args train_norm"}


@pytest.mark.parametrize("off", [{"network_train_unet_only": True}, {"text_encoder_lr": 0}])
def test_a_text_encoder_that_is_not_trained_there_is_not_trained_here(imported, off):
    settings, done = imported({**KOHYA, "text_encoder_lr": 1e-5, **off})
    assert not settings.adapter.train_text_encoder
    assert settings.optimizer.text_encoder_lr is None
    assert done.unmatched == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"color_aug": True}, "color_aug"),
        ({"min_snr_gamma": 5, "debiased_estimation_loss": True}, "debiased_estimation_loss"),
        ({"huber_scale": 0.5}, "huber_scale"),
        ({"resolution": "512,768"}, "resolution"),
        ({"optimizer_type": "DAdaptation"}, "optimizer_type"),
        ({"optimizer_type": "PagedAdamW8bit"}, "optimizer_type"),
        ({"lr_scheduler": "inverse_sqrt"}, "lr_scheduler"),
        ({"network_module": "networks.oft"}, "network_module"),
        ({"never_heard_of": 3}, "never_heard_of"),
    ],
)
def test_what_kohya_would_do_otherwise_is_named_with_its_value(imported, changes, named):
    _, done = imported({**KOHYA, **changes})
    unmatched = next(each for each in done.unmatched if each.key == named)
    assert unmatched.advice
    assert unmatched.value == changes[named]
    assert f"# {' ' * 2}{named} = " in done.path.read_text(encoding="utf-8")


def test_kohyas_objective_is_ours(imported):
    theirs = {
        "loss_type": "huber", "huber_c": 0.2, "huber_schedule": "exponential", "ip_noise_gamma": 0.1,
        "multires_noise_iterations": 6, "multires_noise_discount": 0.4, "min_timestep": 100, "max_timestep": 900,
    }  # fmt: skip
    settings, done = imported({**KOHYA, **theirs})
    found = settings.objective
    assert (found.loss_type, found.huber_c, found.huber_schedule) == ("huber", 0.2, "exponential")
    assert (found.multires_noise_iterations, found.multires_noise_discount) == (6, 0.4)
    assert (found.input_perturbation, found.min_timestep, found.max_timestep) == (0.1, 100, 900)
    assert done.unmatched == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [("debiased_estimation_loss", True), ("v_pred_like_loss", 0.5), ("scale_v_pred_loss_like_noise_pred", True)],
)
def test_kohyas_weightings_are_ours(imported, key, value):
    settings, done = imported({**KOHYA, "min_snr_gamma": 0, key: value})
    assert getattr(settings.objective, key) == value
    assert settings.objective.snr_gamma is None
    assert [each.key for each in done.unmatched] == [key]
    assert "1000" in done.unmatched[0].advice  # there the SNR is limited
    assert "min_snr_gamma" in done.idle


def test_the_debiased_loss_of_v_is_the_papers_and_that_is_said(imported):
    settings, done = imported(
        {**KOHYA, "min_snr_gamma": 0, "debiased_estimation_loss": True, "v_parameterization": True}
    )
    assert settings.objective.debiased_estimation_loss
    assert names(done) == {"debiased_estimation_loss"}


def test_what_changes_nothing_in_kohyas_objective_is_idle(imported):
    settings, done = imported({**KOHYA, "huber_c": 0.1, "multires_noise_discount": 0.3, "multires_noise_iterations": 0})
    assert settings.objective.multires_noise_iterations is None
    assert done.unmatched == ()
    assert {"huber_c", "multires_noise_discount", "multires_noise_iterations"} <= set(done.idle)


def test_random_crops_and_masks_are_kohyas(imported):
    theirs = {"random_crop": True, "alpha_mask": True, "masked_loss": True, "conditioning_data_dir": "masks"}
    settings, done = imported({**KOHYA, **theirs})
    assert (settings.data.center_crop, settings.data.alpha_mask, settings.data.mask_dir.name) == (False, True, "masks")
    assert names(done) == {"alpha_mask"}
    assert "whole picture there" in done.unmatched[0].advice
    _, done = imported({**KOHYA, "masked_loss": True, "conditioning_data_dir": "masks"})
    assert names(done) == {"masked_loss"}
    settings, done = imported({**KOHYA, "conditioning_data_dir": "masks"})
    assert settings.data.mask_dir is None
    assert "conditioning_data_dir" in done.idle


@pytest.mark.parametrize(
    ("chosen", "project"), [("tensorboard", None), ("wandb", "network_train"), ("all", "network_train")]
)
def test_kohyas_trackers_are_ours(imported, chosen, project):
    settings, done = imported({**KOHYA, "log_with": chosen, "logging_dir": "logs", "wandb_run_name": "dog"})
    assert settings.output.report_to == (chosen,)
    assert settings.output.tracker_project_name == project
    assert ("wandb_run_name" in done.idle) == (project is None)
    assert names(done) == ({"log_with", "wandb_run_name"} if project else set())


def test_the_key_of_an_account_is_not_written_down(imported):
    theirs = {"log_with": "wandb", "log_tracker_name": "dogs", "wandb_api_key": "0123456789abcdef"}
    settings, done = imported({**KOHYA, **theirs})
    assert settings.output.tracker_project_name == "dogs"
    assert "wandb_api_key" in names(done)
    assert "0123456789abcdef" not in done.path.read_text(encoding="utf-8") + str(done)


def test_a_tracker_that_kohyas_scripts_have_not_is_named(imported):
    settings, done = imported({**KOHYA, "log_with": "comet_ml", "log_tracker_name": "dogs"})
    assert settings.output.report_to == ("tensorboard",)
    assert (names(done), "log_tracker_name" in done.idle) == ({"log_with"}, True)


def test_rates_of_another_optimizer_are_left_out(imported):
    settings, _ = imported({**KOHYA, "optimizer_type": "DAdaptation", "learning_rate": 1.0, "unet_lr": 1.0})
    assert settings.optimizer.learning_rate is None
    assert settings.optimizer.lr_scheduler == TrainConfig().optimizer.lr_scheduler


def test_a_cosine_with_one_cycle_is_a_cosine(imported):
    settings, done = imported({**KOHYA, "lr_scheduler": "cosine_with_restarts"})
    assert settings.optimizer.lr_scheduler == "cosine"
    assert done.unmatched == ()


def test_a_start_from_a_file_keeps_the_files_layers(imported):
    settings, _ = imported({**KOHYA, "network_weights": "old.safetensors"})
    assert settings.output.init_lora.name == "old.safetensors"
    assert settings.adapter.targets == TrainConfig().adapter.targets


ONETRAINER = {
    "base_model_name": "models/base.safetensors",
    "model_type": "SD",
    "training_method": "LORA",
    "resolution": "768",
    "batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 3e-4,
    "learning_rate_scheduler": "COSINE",
    "learning_rate_warmup_steps": 50,
    "learning_rate_min_factor": 0.1,
    "epochs": 20,
    "peft_type": "LOHA",
    "lora_rank": 8,
    "lora_alpha": 4.0,
    "layer_filter_preset": "attn-only",
    "output_model_destination": "models/dog.safetensors",
    "output_dtype": "BFLOAT_16",
    "train_dtype": "BFLOAT_16",
    "seed": 7,
    "text_encoder_layer_skip": 1,
    "loss_weight_fn": "MIN_SNR_GAMMA",
    "loss_weight_strength": 4.0,
    "optimizer": {"optimizer": "ADAMW", "weight_decay": 0.02, "beta2": 0.95, "fused": False},
    "unet": {"train": True, "gradient_checkpointing": False, "weight_dtype": "FLOAT_16"},
    "text_encoder": {"train": False},
    "concepts": [{"path": "photos", "image": {"enable_random_flip": True}, "text": {"prompt_source": "sample"}}],
    "aspect_ratio_bucketing": False,
}


def test_onetrainers_settings_become_ours(imported):
    settings, done = imported(ONETRAINER, ".json")
    assert (settings.adapter.algorithm, settings.adapter.rank, settings.adapter.alpha) == ("loha", 8, 4)
    assert settings.adapter.targets == ("attention",)
    assert not settings.adapter.train_text_encoder
    assert (settings.optimizer.learning_rate, settings.optimizer.lr_min) == (3e-4, pytest.approx(3e-5))
    assert (settings.optimizer.lr_warmup_steps, settings.optimizer.weight_decay) == (50, 0.02)
    assert (settings.training.num_train_epochs, settings.training.train_batch_size) == (20, 4)
    assert (settings.objective.snr_gamma, settings.training.gradient_checkpointing) == (4, False)
    assert (settings.data.folder.name, settings.data.random_flip) == ("photos", True)
    assert (settings.output.name, settings.output.save_precision) == ("dog", "bf16")
    assert settings.model.clip_skip == 2
    assert done.unmatched == ()


def test_onetrainers_objective_is_ours(imported):
    theirs = {
        "mse_strength": 0.0, "mae_strength": 1.0, "loss_weight_fn": "DEBIASED_ESTIMATION", "offset_noise_weight": 0.05,
        "min_noising_strength": 0.1, "max_noising_strength": 0.9, "timestep_distribution": "LOGIT_NORMAL",
        "noising_bias": 0.5, "noising_weight": -0.2,
    }  # fmt: skip
    settings, done = imported({**ONETRAINER, **theirs}, ".json")
    found = settings.objective
    assert (found.loss_type, found.debiased_estimation_loss, found.noise_offset) == ("l1", True, 0.05)
    assert (found.min_timestep, found.max_timestep) == (100, 900)
    assert (found.timestep_sampling, found.logit_mean, found.logit_std) == ("logit_normal", 0.5, 0.8)
    assert done.unmatched == ()


def test_parts_of_onetrainer_have_rates_of_their_own(imported):
    parts = {"unet": {"learning_rate": 2e-4}, "text_encoder": {"learning_rate": 1e-5}}
    settings, done = imported({**ONETRAINER, **parts}, ".json")
    assert (settings.optimizer.learning_rate, settings.optimizer.text_encoder_lr) == (2e-4, 1e-5)
    assert done.unmatched == ()
    settings, _ = imported({**ONETRAINER, **parts, "text_encoder": {}}, ".json")
    assert settings.optimizer.text_encoder_lr == ONETRAINER["learning_rate"]


def test_what_a_onetrainer_preset_leaves_unsaid_has_its_value(imported):
    settings, _ = imported({"base_model_name": "base", "training_method": "LORA"}, ".json")
    assert (settings.adapter.rank, settings.adapter.alpha) == (16, 1)
    assert settings.adapter.targets == ("all-linear", "all-conv")
    assert settings.adapter.train_text_encoder
    assert (settings.optimizer.lr_scheduler, settings.optimizer.lr_warmup_steps) == ("constant_with_warmup", 200)
    assert (settings.training.num_train_epochs, settings.training.mixed_precision) == (100, "fp16")
    assert settings.training.gradient_checkpointing


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ema": "GPU"}, "ema"),
        ({"huber_strength": 1.0, "mse_strength": 0.0}, "huber_strength"),
        ({"perturbation_noise_weight": 0.1}, "perturbation_noise_weight"),
        ({"timestep_distribution": "SIGMOID"}, "timestep_distribution"),
        ({"loss_weight_fn": "P2"}, "loss_weight_fn"),
        ({"loss_weight_fn": "DEBIASED_ESTIMATION", "force_v_prediction": True}, "loss_weight_fn"),
        ({"masked_training": True}, "masked_training"),
        ({"optimizer": {"optimizer": "PRODIGY"}}, "optimizer.optimizer"),
        ({"learning_rate_scheduler": "REX"}, "learning_rate_scheduler"),
        ({"peft_type": "OFT_2"}, "peft_type"),
        ({"resolution": "512,768"}, "resolution"),
        ({"concepts": [{"path": "a"}, {"path": "b"}]}, "concepts"),
        ({"never_heard_of": 3}, "never_heard_of"),
        (
            {"text_encoder": {"train": True, "stop_training_after": 5, "stop_training_after_unit": "EPOCH"}},
            "text_encoder.stop_training_after",
        ),
    ],
)
def test_what_onetrainer_would_do_otherwise_is_named(imported, changes, named):
    _, done = imported({**ONETRAINER, **changes}, ".json")
    assert named in names(done)


def test_onetrainer_always_writes_for_tensorboard_whether_or_not_it_shows_it(imported):
    settings, done = imported({**ONETRAINER, "tensorboard": False, "tensorboard_expose": True}, ".json")
    assert settings.output.report_to == ("tensorboard",)
    assert {"tensorboard", "tensorboard_expose"} <= set(done.idle)


@pytest.mark.parametrize(("values", "suffix"), [(KOHYA, ".toml"), (ONETRAINER, ".json")])
def test_every_key_of_a_file_is_accounted_for(imported, values, suffix):
    """A key is a setting, idle or named: leaving any one out changes one of the three."""
    settings, done = imported({**values, "output_name": "other", "odd_key": [1]}, suffix)
    assert "odd_key" in names(done)
    for key in (key for key in values if key in done.idle):
        assert key not in names(imported({k: v for k, v in values.items() if k != key}, suffix)[1])
        assert imported({k: v for k, v in values.items() if k != key}, suffix)[0].adapter == settings.adapter


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("other.toml", "a = 1", "found none of"),
        ("other.toml", "a =", "is not TOML"),
        ("other.json", "{", "is not JSON"),
        ("other.json", "[1]", "expected a JSON object"),
        ("other.toml", "network_dim = 5000", "rank"),
        ("other.toml", "network_dim = 8\nnetwork_args = 5", "another kind"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path, name, text, complaint):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        import_settings(ImportConfig(file=tmp_path / name, out=tmp_path / "scumble.toml"))
    assert not (tmp_path / "scumble.toml").exists()


def test_settings_that_are_there_are_kept_unless_one_says_otherwise(tmp_path):
    (tmp_path / "other.toml").write_text("network_dim = 8", encoding="utf-8")
    out = tmp_path / "scumble.toml"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="--overwrite"):
        import_settings(ImportConfig(file=tmp_path / "other.toml", out=out))
    assert out.read_text(encoding="utf-8") == "mine"
    import_settings(ImportConfig(file=tmp_path / "other.toml", out=out, overwrite=True))
    assert read_toml(out)["adapter"]["rank"] == 8

"""What people type, and what they are told: flags, files of settings, exit codes, no traceback."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from scumble.cli.flags import flag_names, leaves, nested
from scumble.cli.foreign import NOT_THERE_YET, WITHOUT_EFFECT, translate
from scumble.cli.parser import app
from scumble.cli.train import TrainFlags
from scumble.config import TrainConfig, from_values
from scumble.errors import ConfigError


def given(*arguments):
    """What a training command line says, laid out as the settings are."""
    _, bound, _ = app.parse_args(translate(["train", *arguments]), exit_on_error=False, print_error=False)
    values = nested(TrainConfig, bound.arguments.get("flags", TrainFlags()))
    if "folder" in bound.arguments:
        values.setdefault("data", {})["folder"] = bound.arguments["folder"]
    return values


def parsed(*arguments):
    """The training settings that a command line means."""
    return from_values(TrainConfig, given(*arguments))


@pytest.fixture
def dry_run(scumble, tiny_base, photos):
    """A dry run of training on the photos."""
    return lambda *arguments: scumble("train", photos, "--base", tiny_base, "--dry-run", "--no-probe", *arguments)


def files_under(folder):
    """All but the cache, where it is noted which pictures have been looked at, if they are older than two seconds."""
    return sorted(path for path in folder.rglob("*") if folder / "cache" not in (path, *path.parents))


DIFFUSERS_FLAGS = {
    "adam_beta1": "0.9",
    "adam_beta2": "0.99",
    "adam_epsilon": "1e-08",
    "adam_weight_decay": "1e-2",
    "allow_tf32": None,
    "cache_dir": "somewhere",
    "caption_column": "text",
    "center_crop": None,
    "checkpointing_steps": "500",
    "checkpoints_total_limit": "3",
    "dataloader_num_workers": "8",
    "dataset_config_name": "default",
    "dataset_name": "lambdalabs/naruto",
    "enable_xformers_memory_efficient_attention": None,
    "gradient_accumulation_steps": "4",
    "gradient_checkpointing": None,
    "hub_model_id": "me/lora",
    "hub_token": "x",
    "image_column": "image",
    "image_interpolation_mode": "lanczos",
    "learning_rate": "1e-04",
    "local_rank": "-1",
    "logging_dir": "logs",
    "lr_scheduler": "cosine",
    "lr_warmup_steps": "0",
    "max_grad_norm": "1",
    "max_train_samples": "100",
    "max_train_steps": "15000",
    "mixed_precision": "fp16",
    "noise_offset": "0.1",
    "num_train_epochs": "100",
    "num_validation_images": "4",
    "output_dir": "out",
    "prediction_type": "epsilon",
    "pretrained_model_name_or_path": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "push_to_hub": None,
    "random_flip": None,
    "rank": "4",
    "report_to": "tensorboard",
    "resolution": "512",
    "resume_from_checkpoint": "latest",
    "revision": "main",
    "scale_lr": None,
    "seed": "1337",
    "snr_gamma": "5.0",
    "train_batch_size": "1",
    "train_data_dir": "photos",
    "use_8bit_adam": None,
    "validation_epochs": "1",
    "validation_prompt": "A naruto with blue eyes.",
    "variant": "fp16",
}
"""Every flag of diffusers' train_text_to_image_lora.py (0.36) with a value; None where it takes none."""


@pytest.mark.parametrize("flag", DIFFUSERS_FLAGS)
@pytest.mark.parametrize("style", ["--a_b v", "--a-b v", "--a_b=v"])
def test_every_flag_of_the_diffusers_script_is_taken_or_says_why_not(flag, style):
    value = DIFFUSERS_FLAGS[flag]
    name = "--" + (flag.replace("_", "-") if style == "--a-b v" else flag)
    words = [name] if value is None else [f"{name}={value}"] if style == "--a_b=v" else [name, value]
    if flag in NOT_THERE_YET:
        with pytest.raises(ConfigError, match=f"^--{flag}: \\w"):
            translate(["train", *words])
    elif flag in WITHOUT_EFFECT:
        assert given(*words) == {}
    else:
        (section,) = given(*words).values()
        assert len(section) == 1


README = shlex.split("""
  --pretrained_model_name_or_path=stable-diffusion-v1-5/stable-diffusion-v1-5
  --train_data_dir=photos --dataloader_num_workers=8
  --resolution=512 --center_crop --random_flip
  --train_batch_size=1 --gradient_accumulation_steps=4 --max_train_steps=15000
  --learning_rate=1e-04 --max_grad_norm=1 --lr_scheduler=cosine --lr_warmup_steps=0
  --output_dir=sd-naruto --rank=4 --scale_lr --gradient_checkpointing --snr_gamma=5.0 --noise_offset=0.1
  --mixed_precision=fp16 --report_to=tensorboard
  --checkpointing_steps=500 --checkpoints_total_limit=3 --resume_from_checkpoint=latest
  --num_validation_images=4 --seed=1337
""")


def test_a_whole_diffusers_command_line_is_understood():
    config = parsed(*README, "--validation_prompt", "A naruto with blue eyes.")
    assert config.model.base == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert (str(config.data.folder), config.data.resolution) == ("photos", 512)
    assert (config.data.center_crop, config.data.random_flip) == (True, True)
    assert (config.training.train_batch_size, config.training.gradient_accumulation_steps) == (1, 4)
    assert (config.training.max_train_steps, config.training.seed) == (15000, 1337)
    assert (config.training.mixed_precision, config.training.gradient_checkpointing) == ("fp16", True)
    assert (config.objective.snr_gamma, config.objective.noise_offset) == (5.0, 0.1)
    assert (config.optimizer.learning_rate, config.optimizer.max_grad_norm) == (1e-4, 1.0)
    assert (config.optimizer.lr_scheduler, config.optimizer.lr_warmup_steps) == ("cosine", 0)
    assert config.optimizer.scale_lr
    assert config.adapter.rank == 4
    assert (str(config.output.output_dir), config.output.resume) == ("sd-naruto", True)
    assert (config.output.checkpointing_steps, config.output.checkpoints_total_limit) == (500, 3)
    assert config.validation.validation_prompt == "A naruto with blue eyes."
    assert (config.validation.num_validation_images, config.output.report_to) == (4, ("tensorboard",))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--report_to", "comet_ml"), "--report_to=comet_ml is not there yet"),
        (("--lr_scheduler=piecewise_constant",), "--lr_scheduler=piecewise_constant is not there yet"),
        (("--resume_from_checkpoint", "checkpoint-500"), "--resume_from_checkpoint=checkpoint-500: the newest"),
        (("--instance_data_dir", "x"), "--instance_data_dir: it is called --train_data_dir here"),
        (("--output_name", "x"), "--output_name: it is called --name here"),
    ],
)
def test_what_is_not_there_yet_or_called_otherwise_says_so(scumble, words, said):
    code, _, errors = scumble("train", "photos", *words)
    assert code == 2
    assert errors.startswith(f"error: {said}")


def test_all_that_is_not_there_yet_is_said_at_once(scumble):
    code, _, errors = scumble(
        "train", "--max_train_samples", "9", "--push_to_hub", "--report_to=clearml", "--rank", "4"
    )
    assert code == 2
    assert [
        flag for flag in ("--max_train_samples:", "--push_to_hub:", "--report_to=clearml") if flag not in errors
    ] == []


def test_a_flag_that_means_something_else_here_says_so(dry_run, scumble, photos, tiny_base, tmp_path):
    words = ("--base", tiny_base, "--dry-run", "--no-probe")
    _, out, _ = scumble("train", photos, *words, "--cache_dir", tmp_path)
    assert "--cache_dir is the folder of cached latents" in out
    _, out, _ = scumble("train", photos, *words, "--cache-dir", tmp_path)
    assert "is the folder of cached latents" not in out


def test_a_flag_without_effect_is_said_and_swallows_nothing(dry_run, scumble, photos, tiny_base):
    code, out, _ = scumble(
        "train", "--allow_tf32", photos, "--base", tiny_base, "--dataloader_num_workers", 8, "--dry-run", "--no-probe"
    )
    assert code == 0
    assert "--allow_tf32 is not needed" in out
    assert "dataloader_num_workers" not in out  # it is a setting
    assert "12 used" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "photos", "--rnak", "4"), "Unknown option: --rnak. Did you mean --rank?"),
        (("train", "photos", "--learning_rat", "4"), "Did you mean --learning-rate?"),
        (("trian", "photos"), 'Did you mean "train"?'),
        (("train", "photos", "--rank", "four"), "rank='four': must be a whole number"),
        (("train", "photos", "--rank", "0"), "rank=0 in [adapter]: must be 1 or more"),
        (("train", "photos", "--alpha", "-8"), "alpha=-8.0 in [adapter]: must be above 0"),
        (("train", "photos", "--seed=-1"), "seed=-1 in [training]: must be 0 or more"),
        (("train", "photos", "--lr_scheduler", "cosin"), "'polynomial', 'rex' or 'one_cycle'"),
        (("train", "photos", "--rank"), "--rank requires an argument"),
        (("train", "my", "photos"), "Put a value with spaces in quotes"),
        (("train", "photos", "--random_flip", "true"), 'a switch takes none, or one after "="'),
        (("train",), "no folder of pictures: scumble train FOLDER"),
        (("train", "photos", "--config", "nothing.toml"), "no settings file at nothing.toml"),
        (("check", "photos", "--", "--trigger", "sks"), 'After "--" nothing is a flag: leave it out.'),
        (("compare",), "must be given"),
    ],
)
def test_a_command_line_that_cannot_be_understood_ends_with_2_and_helps(scumble, words, said):
    code, out, errors = scumble(*words)
    assert code == 2
    assert errors.startswith("error: ")
    assert said in errors.replace("\n", " ")
    assert "Traceback" not in errors + out and "pydantic" not in errors


@pytest.mark.parametrize("arguments", [("train", "nowhere", "--trigger", "x"), ("train", ".", "--trigger", "x")])
def test_what_cannot_be_done_ends_with_1(scumble, arguments):
    code, _, errors = scumble(*arguments)
    assert code == 1
    assert errors.startswith("error: ")


def test_a_folder_that_cannot_be_written_is_an_error_not_a_traceback(scumble, tiny_base, photos, tmp_path):
    (tmp_path / "a file").write_text("")
    code, _, errors = scumble("train", photos, "--base", tiny_base, "--output_dir", tmp_path / "a file" / "runs")
    assert code == 1
    assert "a file" in errors and "Traceback" not in errors


def test_a_dry_run_shows_the_card_and_writes_nothing(dry_run, tmp_path):
    before = files_under(tmp_path)
    code, out, errors = dry_run("--rank", 4, "--alpha", 3)
    assert (code, errors) == (0, "")
    for word in ("base", "pictures", "captions", "rank 4, alpha 3", "parameters", "%", "rate", "steps", "resolution",
                 "precision", "cpu", "photos.safetensors"):  # fmt: skip
        assert word in out
    assert files_under(tmp_path) == before


def test_underscore_and_hyphen_are_the_same(dry_run):
    assert dry_run("--max_train_steps", 7)[1] == dry_run("--max-train-steps", 7)[1]
    assert "7, 1 picture a step" in dry_run("--max_train-steps=7")[1]


def test_flags_win_over_the_file_key_by_key(dry_run, tmp_path):
    (tmp_path / "my settings.toml").write_text("[adapter]\nrank = 4\nalpha = 3.0\n", encoding="utf-8")
    assert "rank 4, alpha 3," in dry_run("--config", tmp_path / "my settings.toml")[1]
    assert "rank 8, alpha 3," in dry_run("--config", tmp_path / "my settings.toml", "--rank", 8)[1]


def test_the_folder_may_be_in_the_file(scumble, photos, tiny_base, tmp_path):
    (tmp_path / "run.toml").write_text(
        f"[data]\nfolder = '{photos}'\n[model]\nbase = '{tiny_base}'\n", encoding="utf-8"
    )
    code, out, _ = scumble("train", "--config", "run.toml", "--dry-run", "--no-probe")
    assert code == 0 and "12 used" in out


def test_an_unknown_key_in_the_file_ends_with_2_and_the_nearest_name(dry_run, tmp_path):
    (tmp_path / "a.toml").write_text("[adapter]\nrnk = 4\n", encoding="utf-8")
    code, _, errors = dry_run("--config", tmp_path / "a.toml")
    assert (code, errors) == (2, "error: unknown setting 'rnk' in [adapter]: did you mean 'rank'?\n")


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        (("--caption", ""), "data.caption", ""),
        (("--caption=",), "data.caption", ""),
        (("--caption", "-5 dogs"), "data.caption", "-5 dogs"),
        (("--caption=-5 dogs",), "data.caption", "-5 dogs"),
        (("--caption", "--very good dogs"), "data.caption", "--very good dogs"),
        (("--trigger=sks dog",), "data.trigger", "sks dog"),
        (("--trigger", "一只猫"), "data.trigger", "一只猫"),
        (("--alpha=8",), "adapter.alpha", 8.0),
        (("--learning-rate", "1e-4"), "optimizer.learning_rate", 1e-4),
        (("--targets", "*.attn2.to_q", "--targets", "mid_block.*"), "adapter.targets", ("*.attn2.to_q", "mid_block.*")),
        (("--for", "style"), "training.purpose", "style"),
        (("--steps", "10"), "training.max_train_steps", 10),
        (("--random_flip=true",), "data.random_flip", True),
        (("--random_flip",), "data.random_flip", True),
        (("--no-random_flip",), "data.random_flip", False),
        (("--name", "my lora"), "output.name", "my lora"),
    ],
)
def test_odd_values_arrive_as_they_were_typed(words, path, value):
    section, key = path.split(".")
    assert getattr(getattr(parsed("photos", *words), section), key) == value


def test_an_empty_caption_and_a_chinese_folder_reach_the_card(scumble, photos, tiny_base, tmp_path):
    for path in photos.glob("*.txt"):
        path.unlink()
    folder = photos.rename(tmp_path / "我的 照片")
    code, out, _ = scumble("train", folder, "--base", tiny_base, "--caption", "", "--dry-run", "--no-probe")
    assert code == 0
    assert '12 as given; first: ""' in out
    assert "我的 照片.safetensors" in out


def test_help_names_every_setting_of_training():
    # in a process of its own: the width of the terminal is asked for only once
    command = [sys.executable, "-m", "scumble", "train", "--help"]
    shown = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True, env=os.environ | {"COLUMNS": "300"}, timeout=60
    )
    text = re.sub(r"[\s│]+", "", shown.stdout)
    missing = [path[-1] for path, field in leaves(TrainConfig) if flag_names(path[-1], field)[0] not in text]
    assert missing == []


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


HEAVY = ("torch", "diffusers", "transformers", "peft", "numpy", "PIL", "matplotlib", "sklearn", "accelerate")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "photos", "--rnak", "4"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    result = run_python(
        "import sys\nfrom scumble.cli.app import exit_code\n"
        f"code = exit_code({arguments!r})\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    assert result.stdout.splitlines()[-1] == f"LOADED [] {2 if '--rnak' in arguments else 0}", result.stderr


def test_the_module_is_the_command():
    result = subprocess.run([sys.executable, "-m", "scumble", "--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert "train" in result.stdout and "generate" in result.stdout and "compare" in result.stdout


def test_importing_scumble_imports_nothing_heavy():
    result = run_python(f"import sys, scumble\nprint([name for name in {HEAVY!r} if name in sys.modules])")
    assert result.stdout == "[]\n", result.stderr


def test_the_python_names_of_the_readme_are_there():
    result = run_python(
        "from scumble import CompareConfig, GenerateConfig, TrainConfig, compare, generate, pictures, train"
    )
    assert result.returncode == 0, result.stderr


def test_help_shows_the_brackets_of_a_lora(scumble):
    _, out, _ = scumble("generate", "--help")
    assert 'the moon <lora:photos:0.8>" --n 4' in out
    assert "<lora:name:weight> applies a LoRA" in out


def test_a_command_that_a_command_has_not_is_refused_with_the_nearest(scumble):
    code, _, errors = scumble("cache", "purge")
    assert (code, errors) == (2, "error: scumble cache has no command 'purge': did you mean 'prune'?\n")

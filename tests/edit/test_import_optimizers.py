"""Optimizers and schedules of kohya's scripts and of OneTrainer: theirs here, with the arguments that hold there."""

import pytest
import torch

from scumble.config import OptimizerConfig, from_values
from scumble.edit.kohya_settings import read_kohya
from scumble.edit.onetrainer_settings import read_onetrainer
from scumble.train.optimizer_choice import build_chosen, choose_optimizer


def kohyas(**changes):
    """The optimizer's settings of a file of kohya's, and the account of its keys."""
    values = {
        "pretrained_model_name_or_path": "base",
        "learning_rate": 1e-4,
        "network_train_unet_only": True,
        **changes,
    }
    account = read_kohya(values)
    return from_values(OptimizerConfig, account.nested()["optimizer"]), account


def built(opt):
    chosen = opt.model_copy(update=choose_optimizer(opt, 1e-4, 1600, 1))
    return build_chosen(chosen, [{"params": [torch.nn.Parameter(torch.zeros(4, 4))], "faster": 1.0}]).param_groups[0]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("AdamW", "AdamW"),
        ("adamw8bit", "AdamW8bit"),
        ("PagedAdamW8bit", "AdamW8bit"),
        ("Lion", "Lion"),
        ("Prodigy", "Prodigy"),
        ("SGDNesterov", "SGD"),
        ("AdamWScheduleFree", "AdamWScheduleFree"),
        ("torch.optim.NAdam", "torch.optim.NAdam"),
    ],
)
def test_an_optimizer_of_kohyas_is_ours_with_the_arguments_that_hold_there(name, ours):
    opt, account = kohyas(optimizer_type=name)
    assert opt.optimizer == ours
    assert {each.key for each in account.unmatched} == ({"optimizer_type"} if name.startswith("Paged") else set())
    group = built(opt)
    assert group["lr"] == 1e-4
    assert group["weight_decay"] == (0.01 if "adamw" in name.lower() and "Free" not in name else 0)
    if name == "Prodigy":
        assert (group["use_bias_correction"], group["safeguard_warmup"]) == (False, False)
    if name == "SGDNesterov":
        assert (group["nesterov"], group["momentum"]) == (True, 0.9)


def test_arguments_of_kohyas_reach_the_optimizer():
    entries = ["decouple=True", "weight_decay=0.5", "d_coef=2", "use_bias_correction=True", "betas=0.9,0.99"]
    opt, account = kohyas(optimizer_type="Prodigy", optimizer_args=entries)
    group = built(opt)
    assert (group["d_coef"], group["weight_decay"], group["betas"]) == (2, 0.5, (0.9, 0.99))
    assert (group["use_bias_correction"], group["safeguard_warmup"]) == (True, False)
    assert account.unmatched == []
    opt, _ = kohyas(optimizer_type="SGDNesterov", optimizer_args=["momentum=0.5", "weight_decay=0.1"])
    assert (built(opt)["momentum"], built(opt)["weight_decay"]) == (0.5, 0.1)


def test_adafactor_with_a_rate_of_its_own_is_named_and_without_it_is_the_same():
    opt, account = kohyas(optimizer_type="Adafactor")
    assert {each.key for each in account.unmatched} == {"optimizer_args relative_step"}
    assert opt.learning_rate is None
    opt, account = kohyas(optimizer_type="Adafactor", optimizer_args=["relative_step=False", "scale_parameter=False"])
    assert account.unmatched == []
    assert (built(opt)["lr"], built(opt)["scale_parameter"]) == (1e-4, False)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"lr_scheduler": "linear"}, {"lr_scheduler": "linear", "lr_min": 0.0}),
        ({"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 3}, {"lr_scheduler_num_cycles": 3, "lr_min": 0.0}),
        ({"lr_scheduler": "polynomial", "lr_scheduler_power": 2}, {"lr_scheduler_power": 2.0, "lr_min": 1e-7}),
        ({"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": 0.1}, {"lr_scheduler": "cosine", "lr_min": pytest.approx(1e-5)}),
        ({"lr_scheduler": "cosine", "lr_warmup_steps": 0.1}, {"lr_warmup_steps": 160}),
    ],
)  # fmt: skip
def test_a_schedule_of_kohyas_is_ours(keys, expected):
    opt, account = kohyas(**keys)
    assert {key: getattr(opt, key) for key in expected} == expected
    assert account.unmatched == []


def test_a_schedule_beside_a_schedule_free_optimizer_does_nothing_in_kohyas_scripts():
    opt, account = kohyas(optimizer_type="AdamWScheduleFree", lr_scheduler="cosine", lr_warmup_steps=100)
    assert (opt.lr_scheduler, opt.lr_warmup_steps) == ("constant", 0)
    assert {"lr_scheduler", "lr_warmup_steps"} <= set(account.idle)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"optimizer": {"optimizer": "ADAMW_8BIT", "weight_decay": 0.02}}, ("AdamW8bit", "constant")),
        ({"optimizer": {"optimizer": "ADAM"}, "learning_rate_scheduler": "LINEAR"}, ("Adam", "linear")),
        ({"optimizer": {"optimizer": "SCHEDULE_FREE_ADAMW"}}, ("AdamWScheduleFree", "constant")),
    ],
)
def test_an_optimizer_of_onetrainers_is_ours(keys, expected):
    account = read_onetrainer({"base_model_name": "base", "learning_rate_warmup_steps": 0, **keys})
    opt = from_values(OptimizerConfig, account.nested()["optimizer"])
    assert (opt.optimizer, opt.lr_scheduler) == expected
    assert not {each.key for each in account.unmatched} & {"optimizer.optimizer", "learning_rate_scheduler"}
    built(opt)

"""Optimizer and learning rate of kohya's train_network.py here."""

from typing import Any

from scumble.edit.foreign_settings import Account, as_flag, as_number

OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw8bit": "AdamW8bit",
    "adafactor": "Adafactor",
    "lion": "Lion",
    "lion8bit": "bitsandbytes.optim.Lion8bit",
    "pagedlion8bit": "bitsandbytes.optim.PagedLion8bit",
    "prodigy": "Prodigy",
    "sgdnesterov": "SGD",
    "sgdnesterov8bit": "bitsandbytes.optim.SGD8bit",
    "adamwschedulefree": "AdamWScheduleFree",
    "radamschedulefree": "schedulefree.RAdamScheduleFree",
    "sgdschedulefree": "schedulefree.SGDScheduleFree",
}
"""Its names in small letters -> ours."""

NEAREST = {
    "pagedadamw": ("AdamW", "taken as AdamW, which keeps its numbers on the device: the same rule"),
    "pagedadamw32bit": ("AdamW", "taken as AdamW, which keeps its numbers on the device: the same rule"),
    "pagedadamw8bit": ("AdamW8bit", "taken as AdamW8bit, which keeps its numbers on the device: the same rule"),
}
"""Those that are taken as another -> which, and what that changes."""

UNSAID = {
    "Prodigy": ("use_bias_correction=False", "safeguard_warmup=False", "weight_decay=0"),
    "Lion": ("weight_decay=0",),
    "Adafactor": ("scale_parameter=True",),
    "SGD": ("nesterov=True", "momentum=0.9"),
    "bitsandbytes.optim.SGD8bit": ("nesterov=True", "momentum=0.9"),
}
"""Arguments that hold there when nobody says, and here do not."""

OWN_SETTINGS = {"weight_decay": "optimizer.weight_decay", "eps": "optimizer.epsilon"}
WITH_BETAS = ("AdamW", "AdamW8bit", "Lion", "Prodigy", "AdamWScheduleFree")
FALLING = ("linear", "cosine", "cosine_with_restarts", "polynomial")
SCHEDULES = ("constant", "constant_with_warmup", *FALLING)
POLYNOMIAL_END = 1e-7


def optimizer(account: Account) -> None:
    """Deal with the keys of the optimizer, its rates and its schedule."""
    given = str(account.take("optimizer_type", "AdamW"))
    if as_flag(account.take("use_8bit_adam", False)):
        given = "AdamW8bit"
    name = _name(account, given)
    if name is None:
        for key in ("learning_rate", "unet_lr", "text_encoder_lr", "optimizer_args", "lr_scheduler", "lr_warmup_steps"):
            if key in account.values:
                account.idle.append(key)
                del account.values[key]
        return
    if name != "AdamW":
        account.put("optimizer.optimizer", name)
    _rates(account)
    arguments = _arguments(account, name)
    if name == "Adafactor" and as_flag(arguments.pop("relative_step", True)):
        account.settings.pop("optimizer.learning_rate")
        account.refuse("optimizer_args relative_step", True, "Adafactor learns at learning_rate here: 1e-4 is usual")
    _put_arguments(account, name, arguments)
    if name.casefold().endswith("schedulefree"):
        account.idle += [
            key for key in ("lr_scheduler", "lr_warmup_steps") if account.values.pop(key, None) is not None
        ]
        account.put("optimizer.lr_scheduler", "constant")
    _schedule(account)


def _name(account: Account, given: str) -> str | None:
    """Its name here; None where there is none."""
    if given.lower() in NEAREST:
        name, advice = NEAREST[given.lower()]
        account.refuse("optimizer_type", given, advice)
        return name
    if given.lower() in OPTIMIZERS or "." in given:  # whether a path is taken is said when the run is planned
        return OPTIMIZERS.get(given.lower(), given)
    account.refuse(
        "optimizer_type",
        given,
        "training is with AdamW: rates and schedule were left out, 1e-4 is usual; see --optimizer",
    )
    return None


def _rates(account: Account) -> None:
    rate = account.take("learning_rate", 2e-6)
    own = account.take("unet_lr")
    account.put("optimizer.learning_rate", own if own is not None else rate)
    text = account.take("text_encoder_lr")
    if isinstance(text, list):
        if len(set(text)) > 1:
            account.refuse("text_encoder_lr", text, "both text encoders have one rate here; the first was taken")
        text = text[0]
    if "adapter.train_text_encoder" in account.settings:
        account.put("optimizer.text_encoder_lr", text if text is not None else rate)


def _arguments(account: Account, name: str) -> dict[str, str]:
    """Argument -> its text, as given there or as it is when nobody says."""
    given = [str(entry).partition("=") for entry in account.take("optimizer_args", [])]
    unsaid = [entry.partition("=") for entry in UNSAID.get(name, ())]
    return {key.strip(): value.strip() for key, _, value in (*unsaid, *given)}


def _put_arguments(account: Account, name: str, arguments: dict[str, str]) -> None:
    if name in WITH_BETAS:
        for key, setting in OWN_SETTINGS.items():
            account.put(setting, arguments.pop(key, None))
        betas = [as_number(part) for part in arguments.pop("betas", "").strip("()[] ").split(",") if part.strip()]
        for setting, number in zip(("optimizer.beta1", "optimizer.beta2"), betas, strict=False):
            account.put(setting, number)
    if arguments:
        account.put("optimizer.optimizer_args", [f"{key}={value}" for key, value in arguments.items()])


def _schedule(account: Account) -> None:
    name: Any = account.settings.get("optimizer.lr_scheduler") or str(account.take("lr_scheduler", "constant"))
    cycles, power = account.take("lr_scheduler_num_cycles", 1), account.take("lr_scheduler_power", 1)
    floor = account.take("lr_scheduler_min_lr_ratio")
    warmup = as_number(account.take("lr_warmup_steps", 0)) or 0.0
    if name == "cosine_with_min_lr" or (name == "cosine_with_restarts" and cycles == 1):
        name = "cosine"  # one cycle has no restart
    if name not in SCHEDULES:
        account.refuse("lr_scheduler", name, f"taken as cosine; others are {', '.join(SCHEDULES)}, rex, one_cycle")
        name = "cosine"
    account.put("optimizer.lr_scheduler", name)
    if name in FALLING and "optimizer.learning_rate" in account.settings:
        rate = as_number(account.settings["optimizer.learning_rate"]) or 0.0
        account.put("optimizer.lr_min", POLYNOMIAL_END if name == "polynomial" else rate * (as_number(floor) or 0.0))
    if name == "cosine_with_restarts":
        account.put("optimizer.lr_scheduler_num_cycles", cycles)
    if name == "polynomial":
        account.put("optimizer.lr_scheduler_power", power)
    if name == "constant" and warmup:
        account.refuse("lr_warmup_steps", warmup, "it has no effect there on a constant rate; say constant_with_warmup")
    elif warmup:
        _warmup(account, warmup)


def _warmup(account: Account, warmup: float) -> None:
    steps = as_number(account.settings.get("training.max_train_steps"))
    if warmup >= 1:
        account.put("optimizer.lr_warmup_steps", int(warmup))
    elif steps is not None:
        account.put("optimizer.lr_warmup_steps", int(warmup * steps))
    else:
        account.refuse("lr_warmup_steps", warmup, "a share of the steps there; give optimizer.lr_warmup_steps in steps")

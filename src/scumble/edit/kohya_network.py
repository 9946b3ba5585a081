"""The network of kohya's scripts as an adapter here: networks.lora, and LyCORIS by its algo."""

from typing import Any

from scumble.edit.foreign_settings import Account, as_flag, as_number

LINEAR = ("attention", "feed-forward", "proj")
"""What networks.lora adapts in the denoiser."""
WITH_CONVOLUTIONS = (*LINEAR, "conv", "*.time_emb_proj")
"""What it adapts when conv_dim is given."""
LYCORIS_FULL = (*WITH_CONVOLUTIONS, "conv_in", "conv_out", "time_embedding.*")
"""What LyCORIS' preset "full" adapts."""
LYCORIS_PRESETS = {
    "full": LYCORIS_FULL,
    "unet-transformer-only": LINEAR,
    "attn-mlp": ("attention", "feed-forward"),
    "attn-only": ("attention",),
}
SQUARE_CONVOLUTIONS = ("*.resnets.*.conv[12]", "*samplers.*.conv")
"""Those with kernels of 3 x 3, which have a rank of their own there."""
TEXT_TARGETS = ("attention", "feed-forward")
ALGORITHMS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr"}
ARGUMENTS = {
    "rank_dropout": "adapter.rank_dropout",
    "module_dropout": "adapter.module_dropout",
    "loraplus_lr_ratio": "optimizer.loraplus_lr_ratio",
    "factor": "adapter.lokr_factor",
}
"""Key in network_args -> setting here."""
SWITCHES = {
    "full_matrix": "adapter.lokr_full_matrix",
    "decompose_both": "adapter.lokr_decompose_both",
    "rs_lora": "adapter.rank_stabilized",
}
ONLY_FOR_LOKR = ("factor", "full_matrix", "decompose_both")


def network(account: Account) -> None:
    """Deal with the keys that say what is trained."""
    arguments = dict(str(argument).partition("=")[::2] for argument in account.take("network_args", []))
    algorithm = _algorithm(account, arguments)
    is_lycoris = "lycoris" in str(account.take("network_module", "networks.lora"))
    rank, alpha = account.take("network_dim", 4), account.take("network_alpha", 1)
    account.put("adapter.rank", rank)
    account.put("adapter.alpha", alpha)
    dropout = account.take("network_dropout", arguments.pop("dropout", None))
    if as_number(dropout):
        account.put("adapter.dropout", dropout)
        account.refuse("network_dropout", dropout, "taken as dropout, which leaves out inputs here and ranks there")
    start = account.take("network_weights")
    as_there = account.take("dim_from_weights", False)
    if start is not None:
        account.put("output.init_lora", start)
        if as_there:
            del account.settings["adapter.rank"], account.settings["adapter.alpha"]
        for name in ("conv_dim", "conv_alpha", "algo", "preset"):
            arguments.pop(name, None)  # the file has its own layers and form
        account.take("network_train_unet_only")
    else:
        account.put("adapter.algorithm", algorithm)
        _targets(account, arguments, is_lycoris, rank, alpha)
        _text_encoder(account)
    _arguments(account, arguments, algorithm)


def _algorithm(account: Account, arguments: dict[str, str]) -> str:
    module = str(account.values.get("network_module", "networks.lora"))
    known = {"networks.lora": "lora", "lycoris.kohya": arguments.pop("algo", "lora"), "networks.loha": "loha"}
    name = {**known, "networks.lokr": "lokr"}.get(module, module)
    if name.lower() not in ALGORITHMS:
        account.refuse("network_module", name, "taken as lora; there are lora, loha and lokr")
    return ALGORITHMS.get(name.lower(), "lora")


def _targets(account: Account, arguments: dict[str, str], is_lycoris: bool, rank: Any, alpha: Any) -> None:
    conv_rank, conv_alpha = arguments.pop("conv_dim", None), arguments.pop("conv_alpha", None)
    preset = arguments.pop("preset", "full")
    if is_lycoris and preset not in LYCORIS_PRESETS:
        account.refuse("network_args preset", preset, "taken as full; say the layers in adapter.targets")
    has_conv = is_lycoris or as_number(conv_rank) is not None
    plain = WITH_CONVOLUTIONS if has_conv else LINEAR
    account.put("adapter.targets", LYCORIS_PRESETS.get(preset, LYCORIS_FULL) if is_lycoris else plain)
    if not has_conv:
        return
    unsaid = (rank, alpha) if is_lycoris else (None, 1.0)
    for setting, value, without in (("rank", conv_rank, unsaid[0]), ("alpha", conv_alpha, unsaid[1])):
        number = value if value is not None else without
        if number is not None and as_number(number) != as_number(account.settings[f"adapter.{setting}"]):
            account.put(f"adapter.{setting}_pattern", tuple(f"{path}={number}" for path in SQUARE_CONVOLUTIONS))


def _text_encoder(account: Account) -> None:
    """Text encoders are trained there unless one says otherwise."""
    rate = account.values.get("text_encoder_lr")
    rates = rate if isinstance(rate, list) else [rate]
    is_off = as_flag(account.take("network_train_unet_only", False)) or all(as_number(each) == 0 for each in rates)
    if is_off:
        account.take("text_encoder_lr")
        return
    account.put("adapter.train_text_encoder", True)
    account.put("adapter.text_encoder_targets", TEXT_TARGETS)


def _arguments(account: Account, arguments: dict[str, str], algorithm: str) -> None:
    for name, value in arguments.items():
        if name in ONLY_FOR_LOKR and algorithm != "lokr":
            account.idle.append(f"network_args {name}")
        elif name in ARGUMENTS:
            account.put(ARGUMENTS[name], value)
        elif name in SWITCHES:
            account.put(SWITCHES[name], as_flag(value) or None)
        elif name == "dora_wd":
            on_output = as_flag(arguments.get("wd_on_output", "true"))
            account.put("adapter.dora", ("output" if on_output else "input") if as_flag(value) else None)
        elif name != "wd_on_output":
            advice = "choose the layers with adapter.targets and their ranks with adapter.rank_pattern"
            if as_flag(value) or (as_number(value) != 0 and value.lower() != "false"):
                account.refuse(f"network_args {name}", value, advice)

"""What kohya's train_network.py minimises, here."""

from scumble.edit.foreign_settings import Account, as_flag, as_number

WEIGHTINGS = {
    "min_snr_gamma": "snr_gamma",
    "debiased_estimation_loss": "debiased_estimation_loss",
    "v_pred_like_loss": "v_pred_like_loss",
    "scale_v_pred_loss_like_noise_pred": "scale_v_pred_loss_like_noise_pred",
}
"""How timesteps weigh, in the order in which they are applied there: key -> setting of the objective."""
SNR_LIMIT = (
    "taken; SNR is limited to 1000 there and not here: of the usual noise schedule that is the first timestep alone"
)


def objective(account: Account) -> None:
    """Losses, weightings, noise and timesteps; whether v is predicted must be settled already."""
    _loss(account)
    _weighting(account)
    _noise(account)
    for key in ("min_timestep", "max_timestep"):
        account.put(f"objective.{key}", account.take(key))


def _loss(account: Account) -> None:
    kind = account.take("loss_type", "l2")
    account.put("objective.loss_type", kind)
    for key in ("huber_c", "huber_schedule"):
        if kind in ("huber", "smooth_l1"):
            account.put(f"objective.{key}", account.take(key))
        elif account.take(key) is not None:
            account.idle.append(key)


def _weighting(account: Account) -> None:
    values = {key: account.take(key) for key in WEIGHTINGS}
    is_on = {key: as_flag(value) or bool(as_number(value)) for key, value in values.items()}
    account.idle += [key for key, value in values.items() if value is not None and not is_on[key]]
    chosen = [key for key in WEIGHTINGS if is_on[key]]
    for key in chosen[:1]:
        account.put(f"objective.{WEIGHTINGS[key]}", values[key])
    for key in chosen[1:]:
        account.refuse(key, values[key], f"timesteps weigh in one way here: {chosen[0]} was taken")
    if chosen and chosen[0] != "min_snr_gamma":
        account.refuse(chosen[0], values[chosen[0]], SNR_LIMIT)
    predicts_v = account.settings.get("model.prediction_type") == "v_prediction"
    if chosen[:1] == ["debiased_estimation_loss"] and predicts_v:
        account.refuse(
            "debiased_estimation_loss",
            values["debiased_estimation_loss"],
            "taken as the paper's weight of v, sqrt(SNR) / (SNR + 1); there it is 1 / (SNR + 1)",
        )


def _noise(account: Account) -> None:
    account.put("objective.noise_offset", account.take("noise_offset"))
    account.put("objective.input_perturbation", account.take("ip_noise_gamma"))
    sizes, discount = account.take("multires_noise_iterations"), account.take("multires_noise_discount")
    if (as_number(sizes) or 0) >= 2:
        account.put("objective.multires_noise_iterations", sizes)
        account.put("objective.multires_noise_discount", discount)
    else:  # none or one: the noise is as it was
        account.idle += [
            key
            for key, value in (("multires_noise_iterations", sizes), ("multires_noise_discount", discount))
            if value is not None
        ]

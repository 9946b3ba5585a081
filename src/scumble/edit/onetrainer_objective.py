"""What OneTrainer minimises, here."""

from scumble.edit.foreign_settings import Account

TIMESTEPS = 1000
"""Of the schedules that its shares of noise are of."""
USUAL_STRENGTHS = {"mse": 1.0, "mae": 0.0, "log_cosh": 0.0, "huber": 0.0}
ABSOLUTE_ALONE = {**USUAL_STRENGTHS, "mse": 0.0, "mae": 1.0}


def objective(account: Account) -> None:
    """Losses, weightings, noise and timesteps; whether v is predicted must be settled already."""
    _loss(account)
    _weighting(account)
    account.put("objective.noise_offset", account.take("offset_noise_weight", 0.0))
    _timesteps(account)


def _loss(account: Account) -> None:
    strengths = {name: account.take(f"{name}_strength", usual) for name, usual in USUAL_STRENGTHS.items()}
    if strengths == ABSOLUTE_ALONE:
        account.put("objective.loss_type", "l1")
        return
    for name, strength in strengths.items():
        if strength != USUAL_STRENGTHS[name]:
            advice = "one loss is minimised: objective.loss_type = 'l2', 'l1', 'huber' or 'smooth_l1', the last two smooth ones"
            account.refuse(f"{name}_strength", strength, advice)


def _weighting(account: Account) -> None:
    weighting, strength = account.take("loss_weight_fn", "CONSTANT"), account.take("loss_weight_strength", 5.0)
    if weighting == "MIN_SNR_GAMMA":
        account.put("objective.snr_gamma", strength)
    elif weighting == "DEBIASED_ESTIMATION":
        account.put("objective.debiased_estimation_loss", True)
        if account.settings.get("model.prediction_type") == "v_prediction":
            advice = "taken as the paper's weight of v, sqrt(SNR) / (SNR + 1); there it is 1 / sqrt(SNR + 1)"
            account.refuse("loss_weight_fn", weighting, advice)
    elif weighting != "CONSTANT":
        account.refuse("loss_weight_fn", weighting, "there are objective.snr_gamma = 5 and debiased_estimation_loss")


def _timesteps(account: Account) -> None:
    least, most = account.take("min_noising_strength", 0.0), account.take("max_noising_strength", 1.0)
    account.put("objective.min_timestep", int(TIMESTEPS * least) or None)
    account.put("objective.max_timestep", int(TIMESTEPS * most) if most < 1 else None)
    kind = account.take("timestep_distribution", "UNIFORM")
    weight, bias = account.take("noising_weight", 0.0), account.take("noising_bias", 0.0)
    if kind == "LOGIT_NORMAL":
        account.put("objective.timestep_sampling", "logit_normal")
        account.put("objective.logit_mean", bias)
        account.put("objective.logit_std", weight + 1.0)
    elif kind != "UNIFORM":
        account.refuse("timestep_distribution", kind, "there are timestep_sampling = 'logit_normal' and 'log_snr'")

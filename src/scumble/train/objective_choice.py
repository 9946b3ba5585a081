"""The objective's settings: what was left open, chosen; and what is unusual, in words."""

from scumble.config.objective import ObjectiveConfig
from scumble.families.base import BaseModel
from scumble.train.losses import loss_of
from scumble.train.noise import noise_of
from scumble.train.objective import objective_of
from scumble.train.timesteps import timesteps_of


def choose_objective(objective: ObjectiveConfig, base: BaseModel, samples_a_step: int) -> dict[str, object]:
    """The settings that were left open and mean something, chosen.

    Args:
        objective: the settings.
        base: what is trained.
        samples_a_step: of an optimizer step.
    Raises:
        ConfigError: the settings do not fit the base.
    """
    alpha_bars = base.noise_schedule()
    objective_of(objective, base.prediction_type, alpha_bars)
    timesteps = timesteps_of(objective, alpha_bars, samples_a_step)
    chosen: dict[str, object] = {}
    if objective.loss_type in ("huber", "smooth_l1"):
        loss = loss_of(objective)
        chosen |= {"huber_c": loss.huber_c, "huber_schedule": loss.huber_schedule}
    if objective.multires_noise_iterations is not None:
        chosen |= {"multires_noise_discount": noise_of(objective).multires_discount}
    if objective.timestep_sampling == "logit_normal":
        chosen |= {"logit_mean": timesteps.logit_mean, "logit_std": timesteps.logit_std}
    return chosen


def objective_in_words(objective: ObjectiveConfig) -> str:
    """What is unusual of the objective; "" = nothing."""
    parts = [*_loss(objective), *_noise(objective), *_timesteps(objective)]
    if not parts:
        return ""
    return f"{', '.join(parts)}; the held-out loss is the plain mean squared error over all timesteps"


def _loss(objective: ObjectiveConfig) -> list[str]:
    loss = loss_of(objective)
    parts = {
        "l2": [],
        "l1": ["absolute errors"],
        "huber": [f"Huber loss, c {loss.huber_c:g} by {loss.huber_schedule}"],
        "smooth_l1": [f"smooth L1 loss, c {loss.huber_c:g} by {loss.huber_schedule}"],
    }[loss.kind]
    weightings = {
        "snr_gamma": f"min-SNR {objective.snr_gamma or 0:g}",
        "soft_snr_gamma": f"soft min-SNR {objective.soft_snr_gamma or 0:g}",
        "debiased_estimation_loss": "debiased estimation",
        "v_pred_like_loss": f"{objective.v_pred_like_loss or 0:g} times the loss in v besides",
        "scale_v_pred_loss_like_noise_pred": "weighed as if the noise were predicted",
    }
    return [*parts, *(text for name, text in weightings.items() if name == objective.weighting)]


def _noise(objective: ObjectiveConfig) -> list[str]:
    noise = noise_of(objective)
    parts = [f"noise offset {noise.offset:g}"] if noise.offset else []
    if noise.multires_iterations:
        parts.append(f"noise of {noise.multires_iterations} sizes, discount {noise.multires_discount:g}")
    return parts + ([f"input perturbation {noise.perturbation:g}"] if noise.perturbation else [])


def _timesteps(objective: ObjectiveConfig) -> list[str]:
    sampling = {
        "uniform": [],
        "logit_normal": [f"timesteps logit-normal ({objective.logit_mean or 0:g}, {objective.logit_std or 1:g})"],
        "log_snr": ["timesteps even in log SNR"],
    }[objective.timestep_sampling]
    if objective.min_timestep or objective.max_timestep:
        last = "the last" if objective.max_timestep is None else str(objective.max_timestep - 1)
        sampling = [*sampling, f"timesteps {objective.min_timestep} to {last}"]
    return sampling + (["spread evenly within a step"] if objective.stratified_timesteps else [])

"""The settings of what is minimised."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Rule, Section
from scumble.errors import ConfigError

LossType = Literal["l2", "l1", "huber", "smooth_l1"]
HuberSchedule = Literal["constant", "exponential", "snr"]
TimestepSampling = Literal["uniform", "logit_normal", "log_snr"]
WEIGHTINGS = (
    "snr_gamma", "soft_snr_gamma", "debiased_estimation_loss", "v_pred_like_loss", "scale_v_pred_loss_like_noise_pred",
)  # fmt: skip
"""Settings that say how timesteps weigh in the loss: one of them at most."""


class ObjectiveConfig(Section):
    """What is minimised: how pictures are noised, and how errors are counted. The held-out loss knows none of it: it is the
    plain mean squared error, all timesteps alike, so that runs can be compared.
    """

    loss_type: Annotated[
        LossType,
        Field(description="how an error counts: squared, absolute, or the one where small and the other where large"),
    ] = "l2"
    huber_c: Annotated[
        float | None, Field(gt=0, description="where huber and smooth_l1 turn from squared to absolute; none = 0.1")
    ] = None
    huber_schedule: Annotated[
        HuberSchedule | None,
        Field(description="how that place moves from 1 without noise to huber_c with all of it; none = snr"),
    ] = None
    snr_gamma: Annotated[
        float | None, Field(gt=0, description="min-SNR loss weighting with this ceiling (5 is usual)")
    ] = None
    soft_snr_gamma: Annotated[
        float | None, Field(gt=0, description="soft min-SNR loss weighting with this ceiling (4 is usual)")
    ] = None
    debiased_estimation_loss: Annotated[
        bool, Field(description="weigh each timestep's loss by one over the root of its signal-to-noise ratio")
    ] = False
    v_pred_like_loss: Annotated[
        float | None,
        Field(gt=0, description="add so many times the loss in v to that in the noise (base predicts epsilon)"),
    ] = None
    scale_v_pred_loss_like_noise_pred: Annotated[
        bool, Field(description="weigh the loss as if the base, which predicts v, predicted the noise")
    ] = False
    noise_offset: Annotated[float, Field(ge=0, le=1, description="constant per-channel noise added to the noise")] = 0.0
    multires_noise_iterations: Annotated[
        int | None,
        Field(ge=2, le=16, description="sizes of noise, from fine to coarse, that are summed up (6 to 10 are usual)"),
    ] = None
    multires_noise_discount: Annotated[
        float | None, Field(gt=0, le=1, description="how much weaker each coarser noise is; none = 0.3")
    ] = None
    input_perturbation: Annotated[
        float,
        Also("ip_noise_gamma"),
        Field(ge=0, le=1, description="further noise that is shown but not asked for (0.1 is usual)"),
    ] = 0.0
    min_timestep: Annotated[int, Field(ge=0, description="first timestep that is trained; 0 = hardly any noise")] = 0
    max_timestep: Annotated[
        int | None,
        Field(ge=1, description="timesteps below this one are trained; without it all, which are 1000 in most bases"),
    ] = None
    timestep_sampling: Annotated[
        TimestepSampling,
        Field(description="which timesteps are drawn more often; log_snr = evenly in log signal-to-noise"),
    ] = "uniform"
    logit_mean: Annotated[
        float | None, Field(description="of logit_normal: above 0 is noisier, below 0 is less noisy; none = 0")
    ] = None
    logit_std: Annotated[
        float | None, Field(gt=0, description="of logit_normal: how far timesteps spread; none = 1")
    ] = None
    stratified_timesteps: Annotated[
        bool, Field(description="spread the timesteps of a step's samples evenly over all that could be drawn")
    ] = False

    @property
    def weighting(self) -> str | None:
        """Name of the setting that says how timesteps weigh; None = all alike."""
        return next((name for name in WEIGHTINGS if getattr(self, name)), None)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        given = [name for name in WEIGHTINGS if getattr(self, name)]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} each say how timesteps weigh in the loss: give one of them")
        if self.max_timestep is not None and self.min_timestep >= self.max_timestep:
            raise ConfigError(
                f"min_timestep={self.min_timestep} max_timestep={self.max_timestep}: no timestep is left; the first must "
                "be below the second"
            )
        return self


def idle_objective_settings(objective: ObjectiveConfig, samples_a_step: int) -> list[Rule]:
    """Settings of the objective that would do nothing.

    Args:
        objective: the settings.
        samples_a_step: of an optimizer step.
    """
    has_threshold = objective.loss_type in ("huber", "smooth_l1")
    is_normal = objective.timestep_sampling == "logit_normal"
    rules: list[Rule] = [
        (getattr(objective, name) is not None and not has_threshold, name, "loss_type = 'huber' or 'smooth_l1'")
        for name in ("huber_c", "huber_schedule")
    ]
    rules += [
        (getattr(objective, name) is not None and not is_normal, name, "timestep_sampling = 'logit_normal'")
        for name in ("logit_mean", "logit_std")
    ]
    return [
        *rules,
        (
            objective.multires_noise_discount is not None and objective.multires_noise_iterations is None,
            "multires_noise_discount",
            "multires_noise_iterations",
        ),
        (
            objective.stratified_timesteps and samples_a_step == 1,
            "stratified_timesteps",
            "train_batch_size or gradient_accumulation_steps above 1",
        ),
    ]

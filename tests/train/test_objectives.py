"""What is minimised: each loss, weighting, noise and choice of timesteps is its paper's, and a stop changes none of it."""

import hashlib
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_snr
from PIL import Image
from safetensors import safe_open
from tests.thinned import thinned

from scumble.config import TrainConfig, from_values, read_toml
from scumble.config.objective import WEIGHTINGS, ObjectiveConfig
from scumble.errors import CheckpointError, ConfigError
from scumble.train import draws
from scumble.train.batches import Batch
from scumble.train.events import Stepped, Validated
from scumble.train.loop import train
from scumble.train.losses import Loss, huber_threshold
from scumble.train.noise import Noise, pyramid
from scumble.train.objective import Objective, target_of
from scumble.train.timesteps import Timesteps, timesteps_of
from scumble.train.weighting import Weighting

SCHEDULER = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
ALPHA_BARS = SCHEDULER.alphas_cumprod
ZERO_TERMINAL = DDPMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
).alphas_cumprod
TIMESTEPS = torch.tensor([0, 1, 100, 400, 700, 998, 999])
SNR = compute_snr(SCHEDULER, TIMESTEPS).double()


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def batch_at(timesteps, masks=None, weights=None, perturbation=None):
    count = len(timesteps)
    return Batch(
        latents=normal(count, 4, 8, 8, seed=1),
        noise=normal(count, 4, 8, 8, seed=2),
        timesteps=timesteps,
        text={},
        weights=torch.ones(count) if weights is None else weights,
        captions=("",) * count,
        masks=masks,
        perturbation=perturbation,
    )


# losses


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (Loss("l2"), lambda d, c: d**2),
        (Loss("l1"), lambda d, c: d.abs()),
        (Loss("huber", 0.2, "constant"), lambda d, c: 2 * c * ((d**2 + c**2).sqrt() - c)),
        (Loss("smooth_l1", 0.2, "constant"), lambda d, c: 2 * ((d**2 + c**2).sqrt() - c)),
    ],
)
def test_an_error_counts_as_its_formula_says(loss, formula):
    difference = normal(7, 4, 3, 3).double()
    found = loss.errors(difference, TIMESTEPS, ALPHA_BARS)
    torch.testing.assert_close(found, formula(difference, 0.2), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("constant", lambda t, sigma: 0.1),
        ("exponential", lambda t, sigma: math.exp(math.log(0.1) * t / 1000)),
        ("snr", lambda t, sigma: (1 - 0.1) / (1 + sigma) ** 2 + 0.1),
    ],
)
def test_the_place_where_huber_turns_moves_as_its_schedule_says(schedule, formula):
    found = huber_threshold(0.1, schedule, TIMESTEPS, ALPHA_BARS)
    expected = [formula(t, snr**-0.5) for t, snr in zip(TIMESTEPS.tolist(), SNR.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("kind", ["huber", "smooth_l1"])
def test_huber_is_finite_where_nothing_is_wrong_and_in_pure_noise(kind):
    difference = torch.zeros(2, 4, 8, 8, requires_grad=True)
    last = torch.tensor([0, 999])
    assert huber_threshold(0.1, "snr", last, ZERO_TERMINAL)[1] == pytest.approx(0.1)
    Loss(kind, 0.1, "snr").errors(difference, last, ZERO_TERMINAL).sum().backward()
    assert difference.grad.eq(0).all()


def test_small_errors_do_not_drown_in_rounding():
    tiny = torch.full((1, 1, 1, 1), 1e-5)
    assert Loss("huber", 0.1, "constant").errors(tiny, TIMESTEPS[:1], ALPHA_BARS).item() == pytest.approx(
        1e-10, rel=1e-5
    )


@pytest.mark.parametrize("kind", ["l2", "l1", "huber", "smooth_l1"])
def test_only_what_a_mask_shows_counts_in_any_loss(kind):
    timesteps = torch.tensor([10, 900])
    masks = torch.ones(2, 1, 8, 8)
    masks[:, :, :, 4:] = 0
    objective, batch = Objective("epsilon", ALPHA_BARS, Loss(kind)), batch_at(timesteps, masks)
    right, spoilt = batch.noise + 0.5, batch.noise + 0.5
    spoilt[:, :, :, 4:] += 3
    assert torch.equal(objective.losses(right, batch), objective.losses(spoilt, batch))
    torch.testing.assert_close(objective.losses(right, batch), objective.losses(right, batch_at(timesteps)))
    weighed = batch_at(timesteps, masks, weights=torch.tensor([1.0, 0.25]))
    torch.testing.assert_close(
        objective.losses(right, weighed), objective.losses(right, batch) * torch.tensor([1.0, 0.25])
    )


# weightings


@pytest.mark.parametrize(
    ("kind", "strength", "of_noise", "of_v"),
    [
        ("snr_gamma", 5.0, lambda s: s.clamp(max=5) / s, lambda s: s.clamp(max=5) / (s + 1)),
        ("soft_snr_gamma", 4.0, lambda s: 4 / (s + 4), lambda s: 1 / ((1 / s + 1 / 4) * (s + 1))),
        ("debiased_estimation_loss", 1.0, lambda s: 1 / s.sqrt(), lambda s: s.sqrt() / (s + 1)),
        ("v_pred_like_loss", 0.3, lambda s: 1 + 0.3 * (s + 1) / s, None),
        ("scale_v_pred_loss_like_noise_pred", 1.0, None, lambda s: s / (s + 1)),
    ],
)
def test_a_timestep_weighs_as_its_formula_says(kind, strength, of_noise, of_v):
    weighting = Weighting(kind, strength)
    for prediction_type, formula in (("epsilon", of_noise), ("v_prediction", of_v)):
        if formula is not None:
            found = weighting.weights(ALPHA_BARS[TIMESTEPS], prediction_type).double()
            torch.testing.assert_close(found, formula(SNR), rtol=1e-4, atol=0)


def test_there_is_a_weight_for_every_setting_that_asks_for_one():
    from scumble.train.weighting import CLEAN_WEIGHTS

    assert set(CLEAN_WEIGHTS) == set(WEIGHTINGS)


@pytest.mark.parametrize("kind", [kind for kind in WEIGHTINGS if kind != "v_pred_like_loss"])
def test_weights_of_v_are_finite_where_there_is_no_signal(kind):
    weights = Weighting(kind, 5.0).weights(ZERO_TERMINAL, "v_prediction")
    assert ZERO_TERMINAL[-1] == 0
    assert torch.isfinite(weights).all()
    assert weights.ge(0).all()


def answers(batch):
    """The same wrong answer said as noise and as v, with the mean squared error of each."""
    alpha_bar = ALPHA_BARS[batch.timesteps].view(-1, 1, 1, 1).double()
    signal, deviation = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    noisy = signal * batch.latents + deviation * batch.noise
    noise = batch.noise + normal(*batch.noise.shape, seed=3).double()
    v = signal * noise - deviation * (noisy - deviation * noise) / signal
    target = target_of("v_prediction", batch.latents, batch.noise, ALPHA_BARS[batch.timesteps])
    return noise, v, (noise - batch.noise).square().mean((1, 2, 3)), (v - target).square().mean((1, 2, 3))


@pytest.mark.parametrize(
    ("kind", "strength"), [("snr_gamma", 5.0), ("soft_snr_gamma", 4.0), ("debiased_estimation_loss", 1.0)]
)
def test_the_same_mistake_costs_the_same_whether_said_as_noise_or_as_v(kind, strength):
    batch = batch_at(torch.tensor([50, 300, 600, 900]))
    noise, v, _, _ = answers(batch)
    said_as_noise, said_as_v = (
        Objective(prediction_type, ALPHA_BARS, weighting=Weighting(kind, strength)).losses(answer, batch)
        for prediction_type, answer in (("epsilon", noise), ("v_prediction", v))
    )
    torch.testing.assert_close(said_as_noise, said_as_v, rtol=1e-3, atol=0)


def test_kohyas_two_weightings_turn_one_error_into_the_other():
    batch = batch_at(torch.tensor([50, 300, 600, 900]))
    noise, v, noise_error, v_error = answers(batch)
    like_noise = Objective(
        "v_prediction", ALPHA_BARS, weighting=Weighting("scale_v_pred_loss_like_noise_pred", 1.0)
    ).losses(v, batch)
    torch.testing.assert_close(like_noise.double(), noise_error, rtol=1e-3, atol=0)
    both = Objective("epsilon", ALPHA_BARS, weighting=Weighting("v_pred_like_loss", 0.5)).losses(noise, batch)
    torch.testing.assert_close(both.double(), noise_error + 0.5 * v_error, rtol=1e-3, atol=0)


# noise


def test_an_offset_moves_each_channel_by_one_number():
    plain, moved = (Noise(offset).at(0, 5, (4, 8, 8)) for offset in (0.0, 0.1))
    offsets = moved - plain
    assert torch.allclose(offsets, offsets.mean((1, 2), keepdim=True).expand(4, 8, 8), atol=1e-6)
    numbers = [Noise(0.1).at(0, at, (4, 8, 8)) - Noise().at(0, at, (4, 8, 8)) for at in range(300)]
    assert torch.stack([number[:, 0, 0] for number in numbers]).std().item() == pytest.approx(0.1, rel=0.1)


def test_noise_of_several_sizes_is_the_sum_of_enlarged_noises_at_deviation_1():
    fine, source = normal(4, 16, 16), torch.Generator().manual_seed(7)
    found = pyramid(fine, 3, 0.4, source)
    again = torch.Generator().manual_seed(7)
    total, side = fine.clone(), 16
    for power in range(3):
        ratio = float(torch.rand((), generator=again)) * 2 + 2
        side = max(1, int(side / ratio**power))
        upsample = torch.nn.Upsample(size=(16, 16), mode="bilinear")
        total += upsample(torch.randn((1, 4, side, side), generator=again))[0] * 0.4**power
        if side == 1:
            break
    torch.testing.assert_close(found, total / total.std())


def test_noise_of_several_sizes_has_neighbours_alike_and_more_so_with_less_discount():
    def likeness(discount):
        noise = torch.stack([Noise(0, 6, discount).at(0, at, (4, 16, 16)) for at in range(50)])
        torch.testing.assert_close(noise.flatten(1).std(1), torch.ones(50))
        return (noise[..., 1:] * noise[..., :-1]).mean().item()

    plain = torch.stack([Noise().at(0, at, (4, 16, 16)) for at in range(50)])
    assert abs((plain[..., 1:] * plain[..., :-1]).mean().item()) < 0.02
    assert 0.02 < likeness(0.3) < likeness(0.9)


def test_a_perturbation_is_shown_but_not_asked_for():
    timesteps = torch.tensor([0, 500, 999])
    further = 0.1 * normal(3, 4, 8, 8, seed=4)
    batch, objective = batch_at(timesteps, perturbation=further), Objective("epsilon", ALPHA_BARS)
    alpha_bar = ALPHA_BARS[timesteps].view(-1, 1, 1, 1)
    shown = objective.noisy(batch.latents, batch.shown_noise, timesteps)
    paper = alpha_bar.sqrt() * batch.latents + (1 - alpha_bar).sqrt() * (batch.noise + further)
    torch.testing.assert_close(shown, paper)
    assert objective.losses(batch.noise, batch).eq(0).all()
    drawn = torch.stack([Noise(perturbation=0.1).perturbation_at(0, at, (4, 8, 8)) for at in range(50)])
    assert drawn.std().item() == pytest.approx(0.1, rel=0.03)


# timesteps


def test_uniform_timesteps_are_those_that_runs_always_had():
    every = Timesteps(ALPHA_BARS, 0, 1000)
    for position in range(20):
        source = draws.generator(3, "timestep", position)
        assert every.at(3, position) == int(torch.randint(1000, (), generator=source))


@pytest.mark.parametrize("sampling", ["uniform", "logit_normal", "log_snr"])
@pytest.mark.parametrize("strata", [1, 4])
def test_timesteps_stay_in_their_range_and_are_the_same_for_ever(sampling, strata):
    timesteps = Timesteps(ALPHA_BARS, 200, 210, sampling, strata=strata)
    found = [timesteps.at(0, position) for position in range(400)]
    assert set(found) == set(range(200, 210))
    assert found == [timesteps.at(0, position) for position in range(400)]
    assert found != [timesteps.at(1, position) for position in range(400)]
    assert (timesteps.quantile(0.0), timesteps.quantile(1.0)) == (200, 209)


def test_logit_normal_timesteps_are_those_of_the_paper_and_of_diffusers():
    timesteps = Timesteps(ALPHA_BARS, 0, 1000, "logit_normal", 0.5, 0.8)
    paper = torch.distributions.Normal(0.5, 0.8)
    for share in (0.01, 0.2, 0.5, 0.9, 0.999):
        assert timesteps.quantile(share) == int(1000 * torch.sigmoid(paper.icdf(torch.tensor(share))))
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 40_000, 0.5, 0.8, generator=torch.Generator().manual_seed(0)
    )
    ours = torch.tensor([timesteps.at(0, position) for position in range(4000)]) / 1000
    shares = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    torch.testing.assert_close(ours.quantile(shares), theirs.quantile(shares), rtol=0, atol=0.02)


def test_log_snr_timesteps_are_spread_evenly_over_log_snr():
    timesteps = Timesteps(ALPHA_BARS, 0, 1000, "log_snr")
    log_snr = torch.logit(ALPHA_BARS.double())
    for share in torch.linspace(0, 1, 51).tolist():
        wanted = log_snr[0] + share * (log_snr[-1] - log_snr[0])
        assert timesteps.quantile(share) == int((log_snr - wanted).abs().argmin())


def test_a_timestep_of_pure_noise_has_no_log_snr_and_is_left_out():
    timesteps = Timesteps(ZERO_TERMINAL, 0, 1000, "log_snr")
    assert timesteps.quantile(1.0) == 998
    with pytest.raises(ConfigError, match="pure noise, which has no log SNR"):
        timesteps_of(ObjectiveConfig(timestep_sampling="log_snr", min_timestep=999), ZERO_TERMINAL, 1)


@pytest.mark.parametrize("sampling", ["uniform", "logit_normal", "log_snr"])
def test_the_samples_of_a_step_share_out_what_could_be_drawn(sampling):
    timesteps = Timesteps(ALPHA_BARS, 0, 1000, sampling, strata=8)
    edges = [timesteps.quantile(part / 8) for part in range(9)]
    places = set()
    for step in range(40):
        drawn = [timesteps.at(0, position) for position in range(8 * step, 8 * step + 8)]
        pairs = zip(sorted(drawn), pairwise(edges), strict=True)
        assert all(low <= timestep <= high for timestep, (low, high) in pairs)
        places.add(drawn.index(max(drawn)))
    assert len(places) == 8  # the order is another one each time


# settings


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"huber_c": 0.2}, "huber_c would have no effect: it needs loss_type"),
        ({"huber_schedule": "constant", "loss_type": "l1"}, "huber_schedule would have no effect"),
        ({"logit_mean": 0.0}, "logit_mean would have no effect"),
        ({"logit_std": 1.0, "timestep_sampling": "log_snr"}, "logit_std would have no effect"),
        ({"multires_noise_discount": 0.3}, "multires_noise_discount would have no effect"),
        ({"stratified_timesteps": True}, "stratified_timesteps would have no effect: it needs train_batch_size"),
        ({"snr_gamma": 5, "debiased_estimation_loss": True}, "each say how timesteps weigh in the loss: give one"),
        ({"min_timestep": 500, "max_timestep": 500}, "no timestep is left"),
        ({"min_timestep": 1000}, "min_timestep=1000 in .objective.: this base has 1000 timesteps: 999 at most"),
        ({"max_timestep": 1001}, "this base has 1000 timesteps: 1000 at most"),
        (
            {"scale_v_pred_loss_like_noise_pred": True},
            "is for bases that predict v_prediction, and this one predicts eps",
        ),
    ],
)
def test_settings_that_do_nothing_or_do_not_fit_are_refused_before_anything_starts(common, objective, said):
    with pytest.raises(ConfigError, match=said):
        list(train(common({"objective": objective})))


def test_the_loss_in_v_is_not_added_to_itself(common):
    settings = common({"model": {"prediction_type": "v_prediction"}, "objective": {"v_pred_like_loss": 0.5}})
    with pytest.raises(ConfigError, match=r"v_pred_like_loss in .objective. is for bases that predict epsilon"):
        list(train(settings))


# runs

V = {"model": {"prediction_type": "v_prediction", "zero_terminal_snr": True}}
RUNS = {
    "huber": {"objective": {"loss_type": "huber", "input_perturbation": 0.1, "snr_gamma": 5}},
    "huber of v": {
        **V,
        "objective": {
            "loss_type": "huber",
            "huber_schedule": "exponential",
            "scale_v_pred_loss_like_noise_pred": True,
        },
    },
    "smooth l1, stratified": {
        "objective": {
            "loss_type": "smooth_l1",
            "huber_schedule": "constant",
            "stratified_timesteps": True,
            "timestep_sampling": "logit_normal",
        },
        "training": {"train_batch_size": 2, "gradient_accumulation_steps": 2},
    },
    "l1": {"objective": {"loss_type": "l1", "multires_noise_iterations": 6, "soft_snr_gamma": 4}},
    "debiased v": {**V, "objective": {"debiased_estimation_loss": True, "timestep_sampling": "log_snr"}},
    "with v": {"objective": {"v_pred_like_loss": 0.2, "noise_offset": 0.1, "min_timestep": 100, "max_timestep": 900}},
}


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def go(settings, stop_after=None):
    """The steps that a run makes until it ends or is stopped."""
    run, steps = train(settings), 0
    for event in run:
        if isinstance(event, Stepped):
            steps += 1
            if steps == stop_after:
                run.close()
    return steps


@pytest.mark.parametrize("name", thinned(RUNS, *list(RUNS)[::3]))
def test_a_run_that_is_stopped_gives_the_same_file(common, tmp_path, name):
    assert go(common(RUNS[name])) == 4
    stopped = {"output_dir": tmp_path / "stopped"}
    assert go(common(RUNS[name], {"output": stopped}), stop_after=2) == 2
    assert go(common(RUNS[name], {"output": {**stopped, "resume": True}})) == 2
    whole, again = tmp_path / "runs" / "photos", tmp_path / "stopped" / "photos"
    for file in ("photos.safetensors", "photos-best.safetensors", "history.json"):
        assert file_hash(whole / file) == file_hash(again / file)


def test_a_run_goes_on_with_its_own_objective_only(common):
    go(common(RUNS["huber"]), 2)
    with pytest.raises(CheckpointError, match=r"objective\.loss_type was 'huber' and is 'l1'"):
        go(common(RUNS["huber"], {"objective": {"loss_type": "l1"}, "output": {"resume": True}}))


def test_the_held_out_loss_means_the_same_whatever_is_minimised(common):
    def first_validation(name, objective):
        events = train(common({"objective": objective, "output": {"name": name}}))
        loss = next(event.loss for event in events if isinstance(event, Validated))
        events.close()
        return loss

    plain = first_validation("plain", {})
    assert first_validation("huber", {"loss_type": "huber", "snr_gamma": 5, "noise_offset": 0.1}) == plain
    assert first_validation("late", {"min_timestep": 900, "timestep_sampling": "logit_normal"}) == plain


def test_masks_and_class_pictures_go_with_every_loss(common, photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    grey = np.zeros((48, 40), np.uint8)
    grey[:, :20] = 255
    for picture in photos.glob("*.png"):
        Image.fromarray(grey).save(masks / picture.name)

    def losses(loss_type):
        prior = {"class_data_dir": photos, "prior_share": 0.5}
        objective, output = {"loss_type": loss_type}, {"name": loss_type}
        config = common({"objective": objective, "data": {"mask_dir": masks}, "prior": prior, "output": output})
        return [event.loss for event in train(config) if isinstance(event, Stepped)]

    found = [losses(loss_type) for loss_type in ("l2", "l1", "huber", "smooth_l1")]
    assert np.isfinite(found).all()
    assert len(set(map(tuple, found))) == 4


def test_card_settings_and_file_say_what_was_minimised(common, tmp_path):
    objective = {
        "loss_type": "huber",
        "snr_gamma": 5,
        "noise_offset": 0.05,
        "multires_noise_iterations": 6,
        "input_perturbation": 0.1,
        "max_timestep": 900,
        "timestep_sampling": "logit_normal",
        "stratified_timesteps": True,
    }
    events = list(train(common({"objective": objective, "training": {"train_batch_size": 2}})))
    (card,) = [event.card for event in events if type(event).__name__ == "Planned"]
    assert card["objective"] == (
        "Huber loss, c 0.1 by snr, min-SNR 5, noise offset 0.05, noise of 6 sizes, discount 0.3, input perturbation 0.1, "
        "timesteps logit-normal (0, 1), timesteps 0 to 899, spread evenly within a step; the held-out loss is the plain mean "
        "squared error over all timesteps"
    )
    run = tmp_path / "runs" / "photos"
    kept = from_values(TrainConfig, read_toml(run / "config.toml")).objective
    assert (kept.huber_c, kept.huber_schedule, kept.multires_noise_discount) == (0.1, "snr", 0.3)
    assert (kept.logit_mean, kept.logit_std) == (0.0, 1.0)
    with safe_open(run / "photos.safetensors", "pt") as file:
        said = file.metadata()
    expected = {
        "ss_loss_type": "huber",
        "ss_huber_c": "0.1",
        "ss_huber_schedule": "snr",
        "ss_min_snr_gamma": "5.0",
        "ss_noise_offset": "0.05",
        "ss_multires_noise_iterations": "6",
        "ss_multires_noise_discount": "0.3",
        "ss_ip_noise_gamma": "0.1",
        "ss_max_timestep": "900",
        "scumble.timestep_sampling": "logit_normal",
    }
    assert {name: said.get(name) for name in expected} == expected
    assert "ss_debiased_estimation" not in said


def test_a_usual_objective_is_not_worth_a_line_on_the_card(common):
    (card,) = [event.card for event in train(common()) if type(event).__name__ == "Planned"]
    assert "objective" not in card

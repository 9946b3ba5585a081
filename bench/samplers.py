"""Are our samplers those of A1111's WebUI? Each beside k-diffusion's function of its name, and beside diffusers' scheduler.

The data are a mixture of two Gaussians, so the best denoiser is known as a formula, which predicts noise or v. All get the
same first noise and the same noise on the way. The WebUI's tables say which function, schedule and levels a name means; its
own functions stand for what is not in k-diffusion. A difference is the largest of any latent, over the latents' deviation.

    python bench/samplers.py --checkout A1111 --kdiffusion K --pictures FOLDER
    python bench/samplers.py --checkout A1111 --kdiffusion K --golden tests/golden/samplers.json

With --pictures the model in the box draws digits with each sampler too, which the judge reads; the sheets go to FOLDER.
K is the folder `k_diffusion` of k-diffusion 0.1.1, which needs torchsde and torchdiffeq. Results go to bench/results/.
"""

import argparse
import datetime
import inspect
import json
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scumble.generate.samplers import SAMPLERS, make_sampler
from scumble.generate.samplers.names import REFUSED, REFUSED_SCHEDULES, SCHEDULES, join_sampler

STEPS = 20
SHAPE = (2, 4, 8, 8)
SEED = 7
GOLDEN_STEPS = 10
PREDICTIONS = ("epsilon", "v_prediction")
KNOWN_TO_DIFFER = {
    ("UniPC", "v_prediction"): "the WebUI takes the levels of whole timesteps to make noise of v, between them too",
    ("LCM", "v_prediction"): "the WebUI's LCM takes v for noise",
}
"""Sampler and prediction -> why the WebUI's numbers are not ours."""
CONFIG = {
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "steps_offset": 1,
    "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip
"""The noise schedule of Stable Diffusion 1.x, 2.x and SDXL."""
LINSPACE = {"timestep_spacing": "linspace"}
DIFFUSERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Euler a": ("EulerAncestralDiscreteScheduler", LINSPACE),
    "Euler": ("EulerDiscreteScheduler", LINSPACE),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {**LINSPACE, "use_karras_sigmas": True}),
    "DPM++ 2M SDE": (
        "DPMSolverMultistepScheduler",
        {**LINSPACE, "use_exponential_sigmas": True, "algorithm_type": "sde-dpmsolver++"},
    ),
    "DPM++ 3M SDE": (
        "DPMSolverMultistepScheduler",
        {**LINSPACE, "use_exponential_sigmas": True, "algorithm_type": "sde-dpmsolver++", "solver_order": 3},
    ),
    "LMS": ("LMSDiscreteScheduler", LINSPACE),
    "Heun": ("HeunDiscreteScheduler", LINSPACE),
    "DPM2": ("KDPM2DiscreteScheduler", {**LINSPACE, "use_karras_sigmas": True}),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {**LINSPACE, "use_karras_sigmas": True}),
    "DDIM": ("DDIMScheduler", {"timestep_spacing": "leading"}),
    "PLMS": ("PNDMScheduler", {"timestep_spacing": "leading", "skip_prk_steps": True}),
    "UniPC": (
        "UniPCMultistepScheduler",
        {**LINSPACE, "solver_order": 3, "solver_type": "bh1", "final_sigmas_type": "sigma_min"},
    ),
    "LCM": ("LCMScheduler", {}),
    "DDPM": ("DDPMScheduler", {"timestep_spacing": "leading"}),
}
"""The scheduler that comes nearest to a name, as well as its settings allow. DPMSolverSDEScheduler draws its own noise."""


class Toy:
    """The best denoiser for two Gaussians at -1 and 1 of deviation 0.5, in the shape that the WebUI's models have."""

    def __init__(self, prediction: str) -> None:
        from diffusers import DDPMScheduler

        self.prediction = prediction
        self.alphas_cumprod: Tensor = DDPMScheduler.from_config(CONFIG).alphas_cumprod
        self.device = torch.device("cpu")
        signal = self.alphas_cumprod.double().numpy()
        self.log_sigmas = np.log((1 - signal) / signal) / 2

    def apply_model(self, noisy: Tensor, timesteps: Tensor, cond: object = None) -> Tensor:
        """Noise or v of latents of variance 1."""
        logs = np.interp(timesteps.double().numpy(), np.arange(len(self.log_sigmas)), self.log_sigmas)
        sigma = torch.from_numpy(np.exp(logs)).reshape(-1, 1, 1, 1)
        latents = noisy.double() * (1 + sigma**2).sqrt()
        variance = 0.25 + sigma**2
        mean = torch.tanh(latents / variance)
        denoised = (0.25 * latents + sigma**2 * mean) / variance
        if self.prediction == "epsilon":
            return ((latents - denoised) / sigma).to(noisy.dtype)
        scale = (1 + sigma**2).sqrt()
        return ((latents / scale**2 - denoised) * scale / sigma).to(noisy.dtype)


def generators() -> list[torch.Generator]:
    """One a picture."""
    return [torch.Generator().manual_seed(SEED + index) for index in range(SHAPE[0])]


class Source:
    """Draws noise as our samplers do, and hands it out as k-diffusion asks for it."""

    def __init__(self) -> None:
        self.generators = generators()
        self.first: tuple[float, float, Tensor] | None = None

    def draw(self, _like: Tensor | None = None) -> Tensor:
        """Fresh noise, each picture's from its own generator."""
        return torch.cat([torch.randn((1, *SHAPE[1:]), generator=each) for each in self.generators])

    def plain(self, _sigma: Tensor, _lower: Tensor) -> Tensor:
        """Fresh noise whatever the levels."""
        return self.draw()

    def path(self, sigma: Tensor, lower: Tensor) -> Tensor:
        """Brownian motion in sigma, asked for the first half of a step and then for all of it."""
        if self.first is None:
            self.first = (float(sigma), float(lower), self.draw())
            return self.first[2]
        start, middle, first = self.first
        self.first = None
        end = float(lower)
        parts = (start - middle) ** 0.5 * first + (middle - end) ** 0.5 * self.draw()
        return parts / (start - end) ** 0.5


def first_noise() -> tuple[Tensor, list[torch.Generator]]:
    """Noise of variance 1, and the generators behind it."""
    sources = generators()
    return torch.cat([torch.randn((1, *SHAPE[1:]), generator=each) for each in sources]), sources


def driven(scheduler: Any, prediction: str, steps: int = STEPS) -> Tensor:
    """The last latents of a scheduler, ours or one of diffusers."""
    toy = Toy(prediction)
    latents, sources = first_noise()
    scheduler.set_timesteps(steps)
    latents = latents * scheduler.init_noise_sigma
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    random = {"generator": sources} if takes_generator else {}
    for timestep in scheduler.timesteps:
        output = toy.apply_model(scheduler.scale_model_input(latents, timestep), timestep.reshape(1))
        latents = scheduler.step(output, timestep, latents, **random, return_dict=False)[0]
    return latents.float()


def ours(name: str, prediction: str, steps: int = STEPS) -> Tensor:
    """The last latents of our sampler."""
    return driven(make_sampler(name, {**CONFIG, "prediction_type": prediction}), prediction, steps)


def diffusers_own(name: str, prediction: str) -> Tensor | None:
    """Those of the nearest scheduler of diffusers; None if there is none."""
    import diffusers

    if name not in DIFFUSERS:
        return None
    kind, settings = DIFFUSERS[name]
    config = {**CONFIG, **settings, "prediction_type": prediction}
    return driven(getattr(diffusers, kind).from_config(config), prediction)


class Webui:
    """The WebUI's samplers, from a checkout, over k-diffusion."""

    def __init__(self, checkout: Path, kdiffusion: Path) -> None:
        options = SimpleNamespace(
            beta_dist_alpha=0.6, beta_dist_beta=0.6, uni_pc_variant="bh1", uni_pc_skip_type="time_uniform", uni_pc_order=3,
            uni_pc_lower_order_final=True,
        )  # fmt: skip
        model = SimpleNamespace(device="cpu", is_sdxl=False)
        anything = SimpleNamespace
        stand_ins: dict[str, dict[str, Any]] = {
            "k_diffusion": {"__path__": [str(kdiffusion)]},
            "modules": {"__path__": [str(checkout / "modules")]},
            "modules.shared": {"opts": options, "sd_model": model},
            "modules.devices": {"device": "cpu", "cpu": "cpu"},
            "modules.torch_utils": {"float64": lambda _: torch.float64},
            "modules.sd_samplers_common": {
                "Sampler": object,
                "SamplerData": namedtuple("SamplerData", "name constructor aliases options"),
            },
            "modules.sd_samplers_cfg_denoiser": {"CFGDenoiser": object},
            "modules.script_callbacks": {"ExtraNoiseParams": object, "extra_noise_callback": anything},
        }
        for name, contents in stand_ins.items():
            module = ModuleType(name)
            vars(module).update(contents)
            sys.modules[name] = module
        import k_diffusion.external
        import k_diffusion.sampling
        from modules import sd_samplers_kdiffusion, sd_samplers_lcm, sd_samplers_timesteps, sd_schedulers

        self.k = k_diffusion
        self.lcm = sd_samplers_lcm
        self.timesteps = sd_samplers_timesteps
        self.k_samplers = {
            label: (function, options) for label, function, _, options in sd_samplers_kdiffusion.samplers_k_diffusion
        }
        self.t_samplers = {label: function for label, function, _, _ in sd_samplers_timesteps.samplers_timesteps}
        self.schedules = {each.label: each for each in sd_schedulers.schedulers}
        self.by_name = {each.name: each for each in sd_schedulers.schedulers}

    @property
    def names(self) -> list[str]:
        """All its samplers."""
        return [*self.k_samplers, *self.t_samplers, "LCM"]

    def wrapped(self, prediction: str) -> Any:
        """The toy as k-diffusion takes it."""
        external = self.k.external
        kind = external.CompVisDenoiser if prediction == "epsilon" else external.CompVisVDenoiser
        return kind(Toy(prediction), quantize=False)

    def sigmas(self, name: str, schedule: str, wrapped: Any, steps: int) -> Tensor:
        """The levels that its sampler takes."""
        options = self.k_samplers[name][1]
        spare = int(options.get("discard_next_to_last_sigma", False))
        chosen = self.by_name.get(options.get("scheduler")) if schedule == "Automatic" else self.schedules[schedule]
        if chosen is None:
            return wrapped.get_sigmas(steps + spare)
        extra = {"inner_model": wrapped} if chosen.need_inner_model else {}
        ends = {"sigma_min": wrapped.sigmas[0].item(), "sigma_max": wrapped.sigmas[-1].item()}
        sigmas = chosen.function(n=steps + spare, **ends, **extra, device="cpu")
        return torch.cat([sigmas[:-2], sigmas[-1:]]) if spare else sigmas

    def draw(self, name: str, schedule: str, prediction: str, steps: int = STEPS) -> Tensor:
        """The last latents of its sampler."""
        if name in self.t_samplers:
            return self._by_timesteps(name, prediction, steps)
        source = Source()
        latents = source.draw()
        if name == "LCM":
            wrapped = self.lcm.LCMCompVisDenoiser(Toy(prediction))
            sigmas = wrapped.get_sigmas(steps)
            function, extra = self.lcm.sample_lcm, {"noise_sampler": source.plain}
        else:
            wrapped = self.wrapped(prediction)
            sigmas = self.sigmas(name, schedule, wrapped, steps)
            given, options = self.k_samplers[name]
            function = given if callable(given) else getattr(self.k.sampling, given)
            noise = source.path if name == "DPM++ SDE" else source.plain
            offered = {"noise_sampler": noise, "solver_type": options.get("solver_type", "midpoint")}
            extra = {key: value for key, value in offered.items() if key in inspect.signature(function).parameters}
        with drawing_from(source, only=name == "Restart"):
            result: Tensor = function(
                _Asked(wrapped), latents * sigmas[0], sigmas, extra_args={"cond": None}, disable=True, **extra
            )
        return result

    def _by_timesteps(self, name: str, prediction: str, steps: int) -> Tensor:
        toy = Toy(prediction)
        kind = (
            self.timesteps.CompVisTimestepsDenoiser
            if prediction == "epsilon"
            else self.timesteps.CompVisTimestepsVDenoiser
        )
        model = SimpleNamespace(inner_model=kind(toy))
        timesteps = torch.arange(0, 1000 // steps * steps, 1000 // steps) + 1
        if name != "UniPC":  # its loop never takes the way below the first of them, which our step to timestep 0 is
            timesteps = torch.cat([torch.zeros(1, dtype=torch.long), timesteps])

        def ask(noisy: Tensor, when: Tensor, **extra: Any) -> Tensor:
            return model.inner_model(noisy, when, **extra)

        ask.inner_model = model.inner_model  # type: ignore[attr-defined]
        result: Tensor = self.t_samplers[name](
            ask, first_noise()[0], timesteps=timesteps, extra_args={}, disable=True, callback=lambda _: None
        )
        return result


class _Asked:
    """A wrapped model that is called as the WebUI's guidance is."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        self.inner_model = wrapped

    def __call__(self, latents: Tensor, sigma: Tensor, cond: object = None) -> Tensor:
        result: Tensor = self.wrapped(latents, sigma, cond=cond)
        return result


@contextmanager
def drawing_from(source: Source, only: bool) -> Iterator[None]:
    """Where a function draws by torch itself, it gets this noise."""
    before: Callable[..., Tensor] = torch.randn_like
    if only:
        torch.randn_like = source.draw
    try:
        yield
    finally:
        torch.randn_like = before


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of any latent over the deviation of the second."""
    return float((one - other).abs().max() / other.std())


def compare(webui: Webui) -> list[dict[str, object]]:
    """A row for each sampler."""
    rows: list[dict[str, object]] = []
    for name, known in SAMPLERS.items():
        row: dict[str, object] = {"sampler": name, "questions": len(planned(name).timesteps)}
        for prediction in PREDICTIONS:
            mine = ours(name, prediction)
            if name in webui.names and not (name == "LCM" and prediction != "epsilon"):  # the WebUI's LCM knows no v
                row[f"webui {prediction}"] = difference(mine, webui.draw(name, "Automatic", prediction))
            theirs = diffusers_own(name, prediction)
            if theirs is not None:
                row[f"diffusers {prediction}"] = difference(theirs, mine)
        if known.takes_schedule:
            row["schedules"] = {schedule: by_schedule(webui, name, schedule) for schedule in SCHEDULES}
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    return rows


def by_schedule(webui: Webui, name: str, schedule: str) -> float:
    """The difference under a schedule that was chosen."""
    steps = STEPS - SAMPLERS[name].skips_last_level if schedule == "DDIM" else STEPS  # it wants divisors of 1000
    mine = ours(join_sampler(name, schedule), "epsilon", steps)
    return difference(mine, webui.draw(name, schedule, "epsilon", steps))


def planned(name: str, steps: int = STEPS) -> Any:
    """Our sampler with its levels."""
    sampler = make_sampler(name, CONFIG)
    sampler.set_timesteps(steps)
    return sampler


def golden(webui: Webui) -> dict[str, object]:
    """What the tests hold against our samplers: some latents of each, and levels of each schedule."""
    latents = {
        f"{name}, {prediction}": shown(webui.draw(name, "Automatic", prediction, GOLDEN_STEPS))
        for name in webui.names
        if name in SAMPLERS
        for prediction in PREDICTIONS
        if (name, prediction) not in KNOWN_TO_DIFFER
    }
    wrapped = webui.wrapped("epsilon")
    levels = {schedule: webui.sigmas("Euler", schedule, wrapped, GOLDEN_STEPS).tolist() for schedule in SCHEDULES}
    return {"script": "bench/samplers.py --golden", "latents": latents, "levels": levels}


def shown(latents: Tensor) -> list[float]:
    """Some of them, rounded."""
    return [round(number, 6) for number in latents[:, 0, 0].flatten().tolist()]


def pictures(folder: Path, digits: Sequence[int], samplers: Sequence[str]) -> list[dict[str, object]]:
    """How many digits the judge reads in what each sampler draws, and a sheet of them."""
    from scumble.families.find import open_base
    from scumble.generate.grid import labelled_grid
    from scumble.generate.painter import Painter
    from scumble.generate.recipe import Recipe
    from scumble.mini.captions import DIGIT_WORDS
    from scumble.mini.judge import load_judge, score

    painter = Painter.load(open_base("mini"), torch.device("cpu"), torch.float32)
    judge = load_judge()
    rows: list[dict[str, object]] = []
    sheet = []
    for name in samplers:
        recipes = [
            Recipe(
                f"a black {DIGIT_WORDS[digit]} on white paper",
                64,
                64,
                steps=STEPS,
                guidance_scale=3.0,
                sampler=name,
                seed=seed,
            )
            for seed, digit in enumerate(digits)
        ]
        drawn = [picture.image for picture in painter.paint(recipes, batch_size=len(recipes))]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in drawn])).permute(0, 3, 1, 2) / 255
        share = score(judge, pixels).share("digit", [DIGIT_WORDS[digit] for digit in digits])
        rows.append({"sampler": name, "digits": len(digits), "read": share})
        print(name, share, file=sys.stderr)
        sheet.append(drawn)
    folder.mkdir(parents=True, exist_ok=True)
    labelled_grid(sheet, [str(digit) for digit in digits], list(samplers), f"{STEPS} steps", 96).save(
        folder / "samplers.png"
    )
    return rows


def _drawing(options: argparse.Namespace) -> str:
    """The part of the command that draws."""
    return f" --pictures FOLDER --digits {' '.join(map(str, options.digits))}" if options.pictures else ""


def main() -> None:
    """Compare, or write what the tests hold against our samplers."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--checkout", type=Path, required=True, help="folder of the WebUI's sources")
    arguments.add_argument("--kdiffusion", type=Path, required=True, help="folder k_diffusion of its sources")
    arguments.add_argument("--golden", type=Path, help="write this file instead of comparing")
    arguments.add_argument("--pictures", type=Path, help="also draw digits, and put sheets of them there")
    arguments.add_argument("--digits", type=int, nargs="+", default=[*range(9)] * 4, help="which digits, 0 to 8")
    options = arguments.parse_args()
    webui = Webui(options.checkout, options.kdiffusion)
    if options.golden is not None:
        text = json.dumps(golden(webui), indent=1)
        options.golden.write_text(text + "\n", encoding="utf-8", newline="\n")
        return
    newest = (options.checkout / "CHANGELOG.md").read_text(encoding="utf-8").split()[1]
    result = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/samplers.py --checkout A1111 --kdiffusion K" + _drawing(options),
        "WebUI": newest,
        "k-diffusion": "0.1.1.post1",
        "diffusers": version("diffusers"),
        "torch": version("torch"),
        "steps": STEPS,
        "not here": {name: REFUSED.get(name, "") for name in webui.names if name not in SAMPLERS},
        "schedules not here": {
            name: REFUSED_SCHEDULES.get(name, "") for name in webui.schedules if name not in (*SCHEDULES, "Automatic")
        },
        "samplers": compare(webui),
        **(
            {"drawn by the model in the box": pictures(options.pictures, options.digits, list(SAMPLERS))}
            if options.pictures
            else {}
        ),
    }
    out = Path(__file__).parent / "results" / f"{datetime.date.today()}-samplers.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

"""Drives a sampler question by question, in the shape of a diffusers scheduler: a loop asks the denoiser, `step` goes on.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from scumble.errors import ScumbleError
from scumble.generate.samplers.levels import Levels
from scumble.generate.samplers.point import Function, Noise, Point, Steps


class Driver:
    """One drawing: `set_timesteps`, then `scale_model_input` and `step` for each of `timesteps`.

    Each timestep is a question to the denoiser; some samplers have two in a step.

    Attributes:
        timesteps: of all questions, [questions], float32, whole or not.
        init_noise_sigma: what noise of variance 1 is multiplied by to begin with.
        sigmas: levels before and after each step.
    """

    def __init__(
        self,
        function: Function,
        sigmas_for: Callable[[int], Sequence[float]],
        levels: Levels,
        *,
        predicts_velocity: bool,
        keeps_variance: bool,
    ) -> None:
        """Nothing is planned yet.

        Args:
            function: the sampler.
            sigmas_for: the levels of so many steps.
            levels: those of the base.
            predicts_velocity: the denoiser predicts v (Salimans and Ho 2022, arXiv:2202.00512), not the noise.
            keeps_variance: as of `Sampler`.
        """
        self._function, self._sigmas_for, self._levels = function, sigmas_for, levels
        self._predicts_velocity, self._keeps_variance = predicts_velocity, keeps_variance

    def set_timesteps(
        self, num_inference_steps: int, device: torch.device | str | None = None, *, first_step: int = 0
    ) -> None:
        """Plan a drawing.

        Args:
            num_inference_steps: of the whole schedule.
            device: of the timesteps.
            first_step: steps at the noisy end that are left out.
        """
        self.sigmas = list(self._sigmas_for(num_inference_steps))
        self._first_step = first_step
        self._questions = _questions(self._function, self.sigmas[first_step:])
        timesteps = [self._levels.timestep_at(question.sigma) for question in self._questions]
        self.timesteps = torch.tensor(timesteps, dtype=torch.float32, device=device)
        sigma = self._questions[0].sigma
        self.init_noise_sigma = math.hypot(1, sigma) if self._keeps_variance else sigma
        self._asked = 0
        self._steps: Steps | None = None
        self._given: Tensor | None = None

    @property
    def question(self) -> Point:
        """What is asked next, but for its latents."""
        return self._questions[self._asked]

    @property
    def finished(self) -> int:
        """Whole steps taken so far, counted from the schedule's beginning."""
        if self._asked == len(self._questions):
            return len(self.sigmas) - 1
        return self._first_step + self.question.finished

    @property
    def is_between(self) -> bool:
        """Whether a step is under way."""
        return 0 < self._asked < len(self._questions) and (
            self.question.finished == self._questions[self._asked - 1].finished
        )

    def noised(self, latents: Tensor, noise: Tensor) -> Tensor:
        """What a drawing that starts from a picture begins with: its latents [B, C, H, W] and noise of variance 1."""
        return latents + self.question.sigma * noise

    def at_picture_scale(self, latents: Tensor) -> Tensor:
        """The latents of this moment, brought to the variance that pictures' latents have."""
        if self._asked == len(self._questions):
            return latents
        return latents / math.hypot(1, self.question.sigma)

    def scale_model_input(self, sample: Tensor, _timestep: object = None) -> Tensor:
        """The latents as the denoiser takes them, of variance 1."""
        return sample / math.hypot(1, self.question.sigma)

    def step(
        self,
        model_output: Tensor,
        _timestep: object,
        sample: Tensor,
        generator: Sequence[torch.Generator] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """Answer a question; the latents of the next, or the last ones.

        The sampler keeps its latents in float32 whatever the denoiser computes in.

        Args:
            model_output: what the denoiser predicts, guidance in it, [B, C, H, W].
            sample: the latents that were given last, or those to begin with.
            generator: one a picture, on any device.
            return_dict: not here.
        Raises:
            ScumbleError: the latents are not those that were given last: a sampler with a memory would go on wrongly.
        """
        assert not return_dict, "a tuple is returned"
        if self._steps is None:
            self._steps = self._function(sample.float(), self.sigmas[self._first_step :], _noise(sample, generator))
            self._point = next(self._steps)
        elif sample is not self._given:
            raise ScumbleError("the latents were changed between two questions of a sampler, which keeps its own")
        try:
            self._point = self._steps.send(self._denoised(model_output.float()))
            latents = self._point.latents
        except StopIteration as end:
            latents = end.value / math.hypot(1, self.sigmas[-1]) if self._keeps_variance else end.value
        self._asked += 1
        self._given = latents.to(sample.dtype)
        return (self._given,)

    def _denoised(self, output: Tensor) -> Tensor:
        latents, sigma = self._point.latents, self._point.sigma
        if self._predicts_velocity:
            return latents / (1 + sigma**2) - sigma / math.hypot(1, sigma) * output
        return latents - sigma * output


def _questions(function: Function, sigmas: Sequence[float]) -> list[Point]:
    """All that a sampler will ask: where it asks does not depend on the answers."""
    nothing = torch.zeros(1)
    steps = function(nothing, sigmas, lambda: nothing)
    questions = [next(steps)]
    while True:
        try:
            questions.append(steps.send(nothing))
        except StopIteration:
            return questions


def _noise(like: Tensor, generators: Sequence[torch.Generator] | None) -> Noise:
    """Draws noise of a shape, float32, each picture's from its own generator and there."""
    assert generators is not None, "samplers draw from given generators only"
    assert len(generators) == len(like)

    def draw() -> Tensor:
        parts = [torch.randn((1, *like.shape[1:]), generator=each, device=each.device) for each in generators]
        return torch.cat([part.to(like.device) for part in parts])

    return draw

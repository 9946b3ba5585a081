"""The moving parts of a run: denoiser with its adapter, optimizer, loss scaler; one step forward; its state as tensors."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.adapters.packed import Packing
from scumble.errors import DivergedError
from scumble.families.base import BaseModel, PredictionType, TextEncoder, TextState
from scumble.train import draws
from scumble.train.batches import Batch, Mixture, stack_states
from scumble.train.objective import add_noise, sample_losses, snr_weight, target_of
from scumble.train.optimizer import restore_state, state_tensors


@dataclass(frozen=True)
class Objective:
    """What is minimised, with the schedule it is measured on."""

    prediction_type: PredictionType
    alpha_bars: Tensor  # [timesteps], on the training device
    snr_gamma: float | None


@dataclass
class Session:
    """A run in memory.

    Attributes:
        base: the base model.
        base_fingerprint: of the adapted layers.
        denoiser: frozen but for the adapter.
        adapters: canonical key of a layer -> its adapter.
        optimizer: over the adapter.
        scaler: loss scaling; disabled unless the denoiser is float16.
        objective: what is minimised.
        device: where the denoiser is.
        dtype: of the frozen weights.
        text_encoder: frozen but for its adapter; None = the kept text states are right for ever.
        clip_skip: the text encoder's layer.
        num_chunks: chunks of each caption's text state.
        packing: how the frozen weights are packed, if they are.
        seed: of what dropout leaves out.
        step: optimizer steps done.
        history: (step, loss) of every step done.
        validations: (step, loss) of every validation done.
        best_step, best_loss, best: the lowest held-out loss, and the adapter that had it.
    """

    base: BaseModel
    base_fingerprint: str
    denoiser: nn.Module
    adapters: Mapping[str, Adapter]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    objective: Objective
    device: torch.device
    dtype: torch.dtype
    text_encoder: TextEncoder | None = None
    clip_skip: int = 1
    num_chunks: int = 1
    packing: Packing | None = None
    seed: int = 0
    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = -1
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def adapter(self) -> Mapping[str, nn.Parameter]:
        """ "<canonical key>.<parameter>" -> trainable parameter, float32."""
        return {
            f"{key}.{name}": parameter
            for key, adapter in self.adapters.items()
            for name, parameter in adapter.named_parameters()
        }

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Model part -> module, of the parts that are trained."""
        return {"unet": self.denoiser, **({} if self.text_encoder is None else self.text_encoder.modules)}

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each sample of a batch, unweighted, float32 [B]."""
        latents, noise = batch.latents.to(self.device), batch.noise.to(self.device)
        timesteps = batch.timesteps.to(self.device)
        alpha_bar = self.objective.alpha_bars[timesteps]
        text = self.text_of(batch)
        noisy = add_noise(latents, noise, alpha_bar).to(self.dtype)
        prediction = self.base.predict(self.denoiser, noisy, timesteps, text)
        target = target_of(self.objective.prediction_type, latents, noise, alpha_bar)
        return sample_losses(prediction, target, None if batch.masks is None else batch.masks.to(self.device))

    def text_of(self, batch: Batch) -> TextState:
        """The batch's text state: the kept one, or, where the text encoder is trained, made anew."""
        text = {name: state.to(self.device) for name, state in batch.text.items()}  # the family casts what it must
        if self.text_encoder is None:
            return text
        return {**text, **stack_states(self.text_encoder.encode(batch.captions, self.clip_skip, self.num_chunks))}

    def advance(self, mixture: Mixture, batch_size: int, accumulation: int, learning_rate: float, clip: float) -> float:
        """One optimizer step over `accumulation` batches.

        Returns:
            The mean loss of the step's samples.
        Raises:
            DivergedError: the loss or the gradient is not finite; the adapter is as it was before the step.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for micro in range(accumulation):
            position = (self.step * accumulation + micro) * batch_size
            batch = mixture.batch_at(position, batch_size)
            with self._dropping(position):
                loss = (self._loss_weights(batch) * self.losses(batch)).mean() / accumulation
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        value = float(total)
        if not torch.isfinite(total):
            raise DivergedError(self._diverged(f"the loss of step {self.step + 1} is {value}"))
        self._update(learning_rate, clip)
        self.step += 1
        self.history.append((self.step, value))
        return value

    @contextmanager
    def _dropping(self, position: int) -> Iterator[None]:
        """Let dropout act, from a source of its own that depends on the seed and the position alone."""
        torch.manual_seed(draws.seed_of(self.seed, "dropout", position))
        for adapter in self.adapters.values():
            adapter.train()
        try:
            yield
        finally:
            for adapter in self.adapters.values():
                adapter.eval()

    def _update(self, learning_rate: float, clip: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["faster"]
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(list(self.adapter.values()), clip if clip > 0 else float("inf"))
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise DivergedError(self._diverged(f"the gradient of step {self.step + 1} has norm {float(norm)}"))
        self.scaler.step(self.optimizer)  # in float16 it skips a step whose gradient overflowed, and lowers the scale
        self.scaler.update()

    def _loss_weights(self, batch: Batch) -> Tensor:
        weights = batch.weights.to(self.device)
        gamma = self.objective.snr_gamma
        if gamma is None:
            return weights
        alpha_bar = self.objective.alpha_bars[batch.timesteps.to(self.device)]
        return weights * snr_weight(alpha_bar, gamma, self.objective.prediction_type)

    def _diverged(self, found: str) -> str:
        rate = self.optimizer.param_groups[0]["lr"]
        return (
            f"{found}: stopped; nothing that is not finite was saved. "
            f"Try a lower learning rate than {rate:g}, or mixed_precision bf16 or no."
        )

    def refuse_non_finite(self) -> None:
        """Raise rather than let the adapter be saved with a number that is not finite.

        Raises:
            DivergedError: there is one.
        """
        if not all(torch.isfinite(parameter).all() for parameter in self.adapter.values()):
            raise DivergedError(self._diverged(f"the adapter after step {self.step} has numbers that are not finite"))

    def keep_best(self, loss: float) -> bool:
        """Record a validation; keep the adapter if it is the best so far.

        Raises:
            DivergedError: the loss is not finite.
        """
        if not math.isfinite(loss):
            raise DivergedError(self._diverged(f"the held-out loss after step {self.step} is {loss}"))
        self.validations.append((self.step, loss))
        if loss >= self.best_loss:
            return False
        self.best_step, self.best_loss = self.step, loss
        self.best = {name: parameter.detach().clone() for name, parameter in self.adapter.items()}
        return True

    def validations_since_best(self) -> int:
        """How many validations in a row were no better than the best."""
        return sum(step > self.best_step for step, _ in self.validations)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything with numbers that a checkpoint must hold."""
        groups = {
            "adapter": {name: parameter.detach() for name, parameter in self.adapter.items()},
            "optimizer": state_tensors(self.optimizer, self.adapter),
            "best": self.best,
            "start": dict(self._starts()),
        }
        return {group: named for group, named in groups.items() if named}

    def _starts(self) -> list[tuple[str, Tensor]]:
        """Frozen numbers that an adapter's start has fixed and that the base does not hold."""
        return [
            (f"{key}.{name}", buffer)
            for key, adapter in self.adapters.items()
            for name, buffer in adapter.named_buffers()
        ]

    def state(self) -> dict[str, Any]:
        """Everything else, as JSON values."""
        return {
            "history": self.history,
            "validations": self.validations,
            "best_step": self.best_step,
            "best_loss": self.best_loss if self.best else None,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Become the session that a checkpoint was written from."""
        with torch.no_grad():
            for name, parameter in self.adapter.items():
                parameter.copy_(tensors["adapter"][name])
            for name, buffer in self._starts():
                buffer.copy_(tensors["start"][name])
        restore_state(self.optimizer, self.adapter, tensors.get("optimizer", {}))
        self.step = step
        self.history = [(int(at), float(loss)) for at, loss in state["history"]]
        self.validations = [(int(at), float(loss)) for at, loss in state["validations"]]
        self.best_step = int(state["best_step"])
        self.best_loss = float("inf") if state["best_loss"] is None else float(state["best_loss"])
        self.best = {name: tensor.to(self.device) for name, tensor in tensors.get("best", {}).items()}
        if state["scaler"]:
            self.scaler.load_state_dict(dict(state["scaler"]))

"""The moving parts of a run: denoiser with its adapter, optimizer, loss scaler; their state as tensors and JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.adapters.pack import Storage
from scumble.device import has_memory_of_its_own
from scumble.errors import DivergedError
from scumble.families.base import BaseModel, TextEncoder, TextState
from scumble.train.batches import Batch, stack_states
from scumble.train.ema import Average
from scumble.train.faults import Faults
from scumble.train.new_words import TrainedWords
from scumble.train.objective import Objective
from scumble.train.optimizer_state import restore_state, state_of
from scumble.train.peers import Peers


@dataclass(frozen=True)
class GoodState:
    """A state of a session to go back to, on the CPU.

    Attributes:
        step: optimizer steps done.
        tensors: group -> name -> tensor.
        state: the JSON values.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


@dataclass
class Session:
    """A run in memory.

    Attributes:
        base: the base model.
        base_fingerprint: of the adapted layers; None where there are none.
        denoiser: frozen but for the adapter.
        adapters: canonical key of a layer -> its adapter.
        optimizer: over the adapter.
        scaler: loss scaling; disabled unless the denoiser is float16.
        objective: what is minimised.
        device: where the denoiser is.
        dtype: of the frozen weights.
        new_words: words that are trained; none where their vectors are {}.
        text_encoder: frozen but for its adapter; None = the kept text states are right for ever.
        clip_skip: the text encoder's layer.
        num_chunks: chunks of each caption's text state.
        storage: how the frozen weights are kept.
        seed: of what dropout leaves out.
        average: of the adapter over the steps, if one is kept.
        step: optimizer steps done.
        history: (step, loss) of every step done.
        validations: (step, loss) of every validation done.
        bands: (step, loss of each band of timesteps) of every validation done.
        best_step, best_loss, best: the lowest held-out loss, and the adapter that had it.
        peers: the processes that train together.
        faults: what went wrong so far.
        good: the state to go back to, if there is one.
    """

    base: BaseModel
    base_fingerprint: str | None
    denoiser: nn.Module
    adapters: Mapping[str, Adapter]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    objective: Objective
    device: torch.device
    dtype: torch.dtype
    new_words: TrainedWords = field(default_factory=TrainedWords)
    text_encoder: TextEncoder | None = None
    clip_skip: int = 1
    num_chunks: int = 1
    storage: Storage = field(default_factory=Storage)
    seed: int = 0
    average: Average | None = None
    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)
    bands: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)
    best_step: int = -1
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    peers: Peers = field(default_factory=Peers)
    faults: Faults = field(default_factory=Faults)
    good: GoodState | None = None

    @cached_property
    def adapter(self) -> Mapping[str, nn.Parameter]:
        """ "<canonical key>.<parameter>" -> trainable parameter, float32; the vectors of new words are among them."""
        return {
            f"{key}.{name}": parameter
            for key, adapter in self.adapters.items()
            for name, parameter in adapter.named_parameters()
        } | self.new_words.parameters

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Model part -> module, of the parts that are trained."""
        return {"unet": self.denoiser, **({} if self.text_encoder is None else self.text_encoder.modules)}

    def losses(self, batch: Batch) -> Tensor:
        """What is minimised: the loss of each sample of a batch, weighted, float32 [B]."""
        batch = batch.to(self.device)
        return self.objective.losses(self._prediction(batch), batch)

    def plain_losses(self, batch: Batch) -> Tensor:
        """The mean squared error of each sample of a batch, whatever is minimised, float32 [B]."""
        batch = batch.to(self.device)
        return self.objective.plain_losses(self._prediction(batch), batch)

    def _prediction(self, batch: Batch) -> Tensor:
        noisy = self.objective.noisy(batch.latents, batch.shown_noise, batch.timesteps).to(self.dtype)
        return self.base.predict(self.denoiser, noisy, batch.timesteps, self.text_of(batch))

    def text_of(self, batch: Batch) -> TextState:
        """The batch's text state: the kept one, or, where the text encoder is trained, made anew."""
        goes_on = has_memory_of_its_own(self.device)  # as `Batch.to`; the family casts what it must
        text = {name: state.to(self.device, non_blocking=goes_on) for name, state in batch.text.items()}
        if self.text_encoder is None:
            return text
        return {**text, **stack_states(self.text_encoder.encode(batch.captions, self.clip_skip, self.num_chunks))}

    def diverged(self, found: str, step: int | None = None) -> DivergedError:
        """The error that says what is not finite, and what to try.

        Args:
            found: what is not finite.
            step: number of the step that is to blame; None = the one that is being made.
        """
        rate = self.optimizer.param_groups[0]["lr"]
        advice = f"Try a lower learning rate than {rate:g}, or mixed_precision bf16 or no."
        message = f"{found}: stopped; nothing that is not finite was saved. {advice}"
        return DivergedError(message, found, self.step + 1 if step is None else step)

    def is_finite(self) -> bool:
        """Whether every number of the adapter is finite."""
        largest = nn.utils.get_total_norm(list(self.adapter.values()), float("inf"))
        return bool(torch.isfinite(largest))

    def refuse_non_finite(self) -> None:
        """Raise rather than let the adapter be saved with a number that is not finite.

        Raises:
            DivergedError: there is one.
        """
        if not self.is_finite():
            raise self.diverged(f"the adapter after step {self.step} has numbers that are not finite", self.step)

    def keep_best(self, loss: float) -> bool:
        """Record a validation; keep the adapter if it is the best so far.

        Raises:
            DivergedError: the loss is not finite.
        """
        if not math.isfinite(loss):
            raise self.diverged(f"the held-out loss after step {self.step} is {loss}", self.step)
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
            "optimizer": state_of(self.optimizer, self.adapter).tensors,
            "average": {} if self.average is None else self.average.numbers,
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
            "bands": self.bands,
            "best_step": self.best_step,
            "best_loss": self.best_loss if self.best else None,
            "optimizer": state_of(self.optimizer, self.adapter).values,
            "scaler": self.scaler.state_dict(),
            "faults": self.faults.state(),
        }

    def restore(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Become the session that a checkpoint was written from."""
        with torch.no_grad():
            for name, parameter in self.adapter.items():
                parameter.copy_(tensors["adapter"][name])
            for name, buffer in self._starts():
                buffer.copy_(tensors["start"][name])
        restore_state(self.optimizer, self.adapter, tensors.get("optimizer", {}), state["optimizer"])
        if self.average is not None:
            self.average.restore(tensors["average"])
        self.step = step
        self.history = [(int(at), float(loss)) for at, loss in state["history"]]
        self.validations = [(int(at), float(loss)) for at, loss in state["validations"]]
        self.bands = [(int(at), tuple(losses)) for at, losses in state["bands"]]
        self.best_step = int(state["best_step"])
        self.best_loss = float("inf") if state["best_loss"] is None else float(state["best_loss"])
        self.best = {name: tensor.to(self.device) for name, tensor in tensors.get("best", {}).items()}
        self.faults = Faults.from_state(state["faults"])
        if state["scaler"]:
            self.scaler.load_state_dict(dict(state["scaler"]))

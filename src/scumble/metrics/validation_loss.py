"""The validation loss of any LoRA, measured as training does: the same pictures, noise and timesteps each time.

Mean squared error of what the denoiser predicts, unweighted (Ho et al. 2020, arXiv:2006.11239, eq. 14), at timesteps spread
evenly over the schedule. Of a LoRA in the folder of its run it is the run's own number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.data.encode import Latents, Moments
from scumble.data.pictures import fit, read_picture
from scumble.families.base import TextState, frame_at
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import standard_error
from scumble.train.batches import Batch, Pool
from scumble.train.cuts import Cut
from scumble.train.objective import Objective
from scumble.train.validation import MOST_SAMPLES, samples_a_picture, validation_batches
from scumble.train.views import EncodedViews, middle_mask

BATCH_SIZE = 8


def measure(subject: Subject) -> Iterator[Event]:
    """`validation_loss`; its spread is that over the pictures, of many of which each has timesteps of its own.

    Raises:
        MetricError: no training pictures are known.
    """
    training = subject.known_training
    stand = _Stand.of(subject)
    lora, base = stand.losses(subject.loras), stand.losses(())
    said = (
        f"{training.said}, {in_samples(len(training.held_out))} with fixed noise of seed {training.seed}; "
        f"{subject.album.base_said} with {sources.loras_in_words(subject.loras)}"
    )
    yield Measured("validation_loss", float(lora.mean()), "lower", said, standard_error(lora), float(base.mean()))


def in_samples(num_pictures: int) -> str:
    """How often the pictures are asked about: "each at 8 timesteps", "64 of them, each at 1 timestep"."""
    share = samples_a_picture(num_pictures)
    at = f"each at {share} timestep{'s' if share > 1 else ''}"
    return at if num_pictures <= MOST_SAMPLES else f"{MOST_SAMPLES} of them, {at}"


@dataclass(frozen=True)
class _Stand:
    """Encoded pictures, and what predicts their noise.

    Attributes:
        painter: the loaded base.
        clip_skip: of its text encoder.
        num_chunks: chunks of a caption's state.
        cuts: the pictures by size.
        latents: of each.
        seed: of the noise.
    """

    painter: Painter
    clip_skip: int
    num_chunks: int
    cuts: Sequence[Sequence[Cut]]
    latents: Sequence[Sequence[Latents]]
    seed: int

    @classmethod
    def of(cls, subject: Subject) -> "_Stand":
        training, painter = subject.known_training, subject.album.painter
        sizes = sorted({size for _, size in training.held_out})
        cuts = [[cut for cut in training.held_out if cut[1] == size] for size in sizes]
        latents = [[_encoded(painter, cut) for cut in of_size] for of_size in cuts]
        return cls(painter, training.clip_skip, training.num_chunks, cuts, latents, training.seed)

    @torch.no_grad()
    def losses(self, loras: Sequence[LoraUse]) -> Tensor:
        """Mean loss of each picture that is asked about, [pictures], on the CPU."""
        self.painter.use_loras(loras)
        states = self._states()
        pools = [self._pool(cuts, latents, states) for cuts, latents in zip(self.cuts, self.latents, strict=True)]
        num_timesteps = len(self.painter.base.noise_schedule())
        batches = validation_batches(pools, num_timesteps, BATCH_SIZE, self.seed)
        samples = torch.cat([self._losses_of(batch) for batch in batches])
        return samples.view(-1, samples_a_picture(sum(map(len, pools)))).mean(dim=1)

    def _losses_of(self, batch: Batch) -> Tensor:
        base, denoiser = self.painter.base, self.painter.denoiser
        weight = next(denoiser.parameters())
        objective = Objective(base.prediction_type, base.noise_schedule().to(weight.device))
        batch = batch.to(weight.device)
        noisy = objective.noisy(batch.latents, batch.shown_noise, batch.timesteps).to(weight.dtype)
        text = {name: state.to(weight.device) for name, state in batch.text.items()}
        return objective.plain_losses(base.predict(denoiser, noisy, batch.timesteps, text), batch).cpu()

    def _states(self) -> Mapping[str, TextState]:
        """Caption -> its state, under the LoRAs in use; one by one, as training encodes them."""
        captions = dict.fromkeys(example.caption for cuts in self.cuts for example, _ in cuts)
        encoder = self.painter.text_encoder
        return {
            caption: {
                name: tensor.cpu()
                for name, tensor in encoder.encode([caption], self.clip_skip, self.num_chunks)[0].items()
            }
            for caption in captions
        }

    def _pool(self, cuts: Sequence[Cut], latents: Sequence[Latents], states: Mapping[str, TextState]) -> Pool:
        base = self.painter.base
        frames = [base.frame_state(frame_at(example.size_px, size)) for example, size in cuts]
        views = EncodedViews(latents, frames, [middle_mask(*cut, base.pixels_per_latent) for cut in cuts])
        return Pool(views, [example.captions for example, _ in cuts], states)


@torch.no_grad()
def _encoded(painter: Painter, cut: Cut) -> Latents:
    example, size = cut
    device = next(painter.denoiser.parameters()).device
    pixels = fit(read_picture(example.path, example.rule), size)[None].to(device)
    mean, std = painter.autoencoder.encode(pixels)
    return Latents(Moments(mean[0].cpu(), std[0].cpu()), None)

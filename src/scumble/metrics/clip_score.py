"""CLIP score: how well pictures show what their prompts say: 100 x cosine, not below 0, by torchmetrics.

Hessel et al. 2021, "CLIPScore", arXiv:2104.08718; there it is 2.5 x cosine. CLIP knows no word that a LoRA has taught: of a
trigger such as "sks" it understands nothing.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scumble.errors import MetricError
from scumble.generate.events import Noted
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.clip import Clip
from scumble.metrics.figures import standard_error
from scumble.metrics.peer import peer

PEER = "multimodal.clip_score"


def measure(subject: Subject) -> Iterator[Event]:
    """`clip_score` in 0..100, the mean over the pictures.

    Raises:
        MetricError: no CLIP model, or no torchmetrics.
    """
    clip = subject.known_eyes
    if not isinstance(clip, Clip):
        raise MetricError("it takes a model that reads: --clip FOLDER names a CLIP model")
    peer(PEER)
    yield from subject.draw(subject.prompts)
    texts = [prompt for prompt in subject.prompts for _ in subject.seeds]
    lora, base = (clip_scores(clip, images, texts) for images in (subject.lora_pictures, subject.base_pictures))
    said = f"{sources.drawn(subject)}, each with its prompt; 100 x cosine of {clip.said}"
    yield Measured("clip_score", float(lora.mean()), "higher", said, standard_error(lora), float(base.mean()))
    cut = [prompt for prompt in subject.prompts if clip.reader.is_cut(prompt)]
    if cut:
        yield Noted(f"clip_score reads {clip.reader.max_tokens} tokens of a prompt; longer is '{cut[0]}'", warning=True)


def clip_scores(clip: Clip, images: Sequence[Image.Image], texts: Sequence[str]) -> Tensor:
    """The score of each picture with its text, [N], float32.

    Raises:
        MetricError: torchmetrics is not installed.
    """
    device = next(clip.encoders.parameters()).device
    metric = peer(PEER).CLIPScore(lambda: (clip.encoders, clip.reader)).to(device)
    scores = []
    for image, text in zip(images, texts, strict=True):
        metric.reset()
        pixels_3HW = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        metric.update(pixels_3HW.to(device), text)
        scores.append(metric.compute().cpu())
    return torch.stack(scores)

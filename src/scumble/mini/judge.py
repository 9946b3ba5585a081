"""The judge: a small network that says which digit a picture shows, in what ink, on what paper, in what look.

It learns from other handwriting than the base model and the demo do. Tensor names carry their shape: N pictures.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from scumble.errors import BaseModelError
from scumble.files.atomic import write_atomically
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.paint import INKS, LOOKS, PAPERS, RARE_INKS, RARE_PAPERS

OTHER = "other"
INK_NAMES = (*INKS, *RARE_INKS, OTHER)
PAPER_NAMES = (*PAPERS, *RARE_PAPERS, OTHER)
QUESTIONS = {"digit": DIGIT_WORDS, "ink": INK_NAMES, "paper": PAPER_NAMES, "look": LOOKS}
JUDGE_FILE = "judge.safetensors"
_BATCH = 256


class Judge(nn.Module):
    """Five convolutions, one hidden layer, one head for each question."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(3, 24, 2), (24, 48, 2), (48, 64, 1), (64, 64, 2), (64, 64, 2)]
        layers: list[nn.Module] = []
        for before, after, stride in widths:
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 16, 112), nn.SiLU())
        self.heads = nn.ModuleDict({question: nn.Linear(112, len(names)) for question, names in QUESTIONS.items()})

    def forward(self, pictures_N3HW: Tensor) -> dict[str, Tensor]:
        """Logits [N, number of answers] for each question; pictures 64 x 64, 0..1."""
        hidden = self.features(2 * pictures_N3HW - 1)
        return {question: head(hidden) for question, head in self.heads.items()}


@dataclass(frozen=True)
class Scores:
    """Probabilities [N, answers] for each of QUESTIONS."""

    probabilities: dict[str, Tensor]

    def answers(self, question: str) -> list[str]:
        """The likeliest answer to `question` for each picture."""
        return [QUESTIONS[question][index] for index in self.probabilities[question].argmax(dim=1).tolist()]

    def share(self, question: str, expected: list[str]) -> float:
        """The share of pictures whose answer is the expected one, 0..1."""
        given = self.answers(question)
        return sum(a == b for a, b in zip(given, expected, strict=True)) / len(given)


@torch.no_grad()
def score(judge: Judge, pictures_N3HW: Tensor) -> Scores:
    """Judge pictures of 64 x 64, 0..1."""
    judge.eval()
    parts = [judge(chunk.float()) for chunk in torch.split(pictures_N3HW, _BATCH)]
    return Scores({q: functional.softmax(torch.cat([part[q] for part in parts]), dim=1) for q in QUESTIONS})


def build_judge(seed: int) -> Judge:
    """An untrained judge; its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torch's initialisers know no explicit generator
        return Judge()


def judge_loss(judge: Judge, pictures_N3HW: Tensor, labels: dict[str, Tensor]) -> Tensor:
    """Sum of the cross-entropies of all questions; label -1 is left out."""
    logits = judge(pictures_N3HW)
    losses = [functional.cross_entropy(logits[q], labels[q], ignore_index=-1, label_smoothing=0.03) for q in QUESTIONS]
    return torch.stack(losses).sum()


def save_judge(judge: Judge, folder: Path) -> None:
    """Write the judge in float16."""
    half = {key: value.half().contiguous() for key, value in judge.state_dict().items()}
    write_atomically(folder / JUDGE_FILE, save(half))


def load_judge(folder: Path | None = None) -> Judge:
    """The judge of `folder`, by default the one in the package; float32, ready to score.

    Raises:
        BaseModelError: there is none.
    """
    path = (folder or Path(str(files("scumble.mini") / "weights"))) / JUDGE_FILE
    if not path.is_file():
        raise BaseModelError(f"{path}: no judge there; `scumble pretrain` makes one")
    judge = build_judge(0)
    judge.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return judge.eval()

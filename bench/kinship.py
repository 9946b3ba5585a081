"""Does the kinship that `verify` states say what a LoRA does on a base? The judge's score beside the verdict.

The LoRA is the demonstration's concept, a digit that no base has seen; a base keeps it the better the nearer it is to the
one of training. The bases: the model in the box, some that were finetuned from it (a change of all its attention layers,
learnt from the demonstration's other pictures, in its weights at several strengths), and one made from another seed by
the same recipe.

    scumble demo --out demo --seed 0                  # 9 minutes on two cores
    scumble pretrain --out other --seed 1             # an hour
    python bench/kinship.py --demo demo --other other --work FOLDER

Results go to bench/results/.
"""

import argparse
import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from scumble.config import TrainConfig, from_values
from scumble.config.edit import MergeConfig, VerifyConfig
from scumble.edit.merge import merge
from scumble.edit.verify import verify
from scumble.families.find import open_base
from scumble.files.read import read_lora
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse
from scumble.mini.exam import CONCEPT, digits_seen
from scumble.mini.judge import load_judge
from scumble.mini.lessons import NEW_DIGIT, OLD_DIGITS
from scumble.train.loop import train

FIRST_SEED, PICTURES = 5000, 90
STRENGTHS = (0.125, 0.25, 0.5, 1.0)
STEPS = 150


def learnt(pictures: Path, work: Path) -> Path:
    """A change of all attention layers of the model in the box, learnt from pictures."""
    values = {
        "model": {"base": "mini"},
        "data": {"folder": pictures},
        "optimizer": {"learning_rate": 6e-3},
        "training": {"max_train_steps": STEPS, "train_batch_size": 16, "device": "cpu"},
        "output": {"output_dir": work, "name": "change", "overwrite": True},
    }
    for _ in train(from_values(TrainConfig, values)):
        pass
    return work / "change" / "change.safetensors"


def finetuned(change: Path, strength: float, work: Path) -> Path:
    """The model in the box with a change in its weights."""
    out = work / f"finetuned-{strength:g}"
    merge(MergeConfig(lora=(change,), weights=(strength,), into="mini", out=out, overwrite=True))
    return out


def share(painter: Painter, digits: Sequence[int], loras: tuple[LoraUse, ...]) -> float:
    """The share of pictures in which the judge sees the digit that was asked for."""
    return digits_seen(painter, load_judge(), digits, PICTURES, FIRST_SEED, loras)


def row(name: str, base: str, concept: Path) -> dict[str, object]:
    """Verdict and scores of one base."""
    kinship = verify(VerifyConfig(file=concept, base=base)).kinship
    model = open_base(base)
    painter = Painter.load(model, torch.device("cpu"), torch.float32)
    painter.add_lora(CONCEPT.name, read_lora(concept, model.layer_paths()))
    figures = {
        "base": name,
        "verdict": kinship.verdict,
        "distance": None if kinship.distance is None else round(kinship.distance, 4),
        "old digits without the LoRA": share(painter, OLD_DIGITS, ()),
        "nines without the LoRA": share(painter, [NEW_DIGIT], ()),
        "nines with the LoRA": share(painter, [NEW_DIGIT], (CONCEPT,)),
    }
    print(figures, flush=True)
    return figures


def main() -> None:
    """Score every base, say whether the orders match, record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    concept = options.demo / "concept" / "concept.safetensors"
    change = learnt(options.demo / "pictures" / "scanlines", options.work)
    bases = {"the model in the box": "mini"}
    bases |= {f"finetuned, {strength:g}x": str(finetuned(change, strength, options.work)) for strength in STRENGTHS}
    bases["from another seed"] = str(options.other)
    rows = [row(name, base, concept) for name, base in bases.items()]
    scores = [
        float(str(each["nines with the LoRA"])) for each in sorted(rows, key=lambda each: float(str(each["distance"])))
    ]
    result = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/kinship.py --demo DEMO --other OTHER --work FOLDER",
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "pictures for a score": PICTURES,
        "bases": rows,
        "the farther, the lower the score": scores == sorted(scores, reverse=True),
    }
    path = Path(__file__).parent / "results" / f"{result['date']}-kinship.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

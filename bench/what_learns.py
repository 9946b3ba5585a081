"""Does every optimizer, objective and algorithm learn? Each teaches the model in the box its new digit; the judge marks it.

The settings are those of the demonstration's concept, in 120 steps instead of 400, but for the one that a row is about. Every
row is a whole run, and rows of the same settings are one; rows that are done are kept, so that the script goes on where it was
stopped.

    python bench/what_learns.py --work FOLDER          # an hour on two cores
    make docs                                          # the table into docs/what-learns.md

Results go to bench/results/.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, get_args

import torch
from harness.kept import Kept
from harness.peers import versions
from harness.result import Result

from scumble.config import TrainConfig, from_values, merged
from scumble.config.optimizer import Schedule
from scumble.families.find import open_base
from scumble.files.read import read_lora
from scumble.generate.painter import Painter
from scumble.mini.config import DemoConfig
from scumble.mini.demo import concept_config
from scumble.mini.exam import CONCEPT, digits_seen
from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.judge import load_judge
from scumble.mini.lessons import NEW_DIGIT, OLD_DIGITS, write_concept
from scumble.train.events import Finished
from scumble.train.loop import train

STEPS, PICTURES, FIRST_SEED = 120, 45, 5000
Values = Mapping[str, Mapping[str, Any]]

# the demonstration's decay of 2 is AdamW's; where it goes through the gradient it is stronger than any gradient
PRODIGY = {"optimizer": "Prodigy", "learning_rate": 1.0, "weight_decay": 0.01}
SGD = {"optimizer": "SGD", "learning_rate": 10.0, "weight_decay": 0.0}
ROWS: Mapping[str, Mapping[str, Values]] = {
    "optimizer": {
        "AdamW": {},
        "Adam": {"optimizer": {"optimizer": "Adam", "weight_decay": 0.0}},
        "AdamW8bit": {"optimizer": {"optimizer": "AdamW8bit"}},
        "Adafactor": {"optimizer": {"optimizer": "Adafactor"}},
        "Lion": {"optimizer": {"optimizer": "Lion", "learning_rate": 1e-3}},
        "Prodigy": {"optimizer": {**PRODIGY, "optimizer_args": ["d0=1e-3"]}},
        "AdamWScheduleFree": {"optimizer": {"optimizer": "AdamWScheduleFree", "lr_scheduler": "constant"}},
        "SGD": {"optimizer": {**SGD, "lr_scheduler": "constant"}},
        "torch.optim.NAdam": {"optimizer": {"optimizer": "torch.optim.NAdam", "weight_decay": 0.0}},
    },
    "schedule": {
        name: {"optimizer": {"lr_scheduler": name} | ({"lr_warmup_steps": 20} if "warmup" in name else {})}
        for name in get_args(Schedule)
    },
    "objective": {
        "mean squared error": {"objective": {"snr_gamma": None}},
        "min-SNR": {},
        "soft min-SNR": {"objective": {"snr_gamma": None, "soft_snr_gamma": 4.0}},
        "debiased estimation": {"objective": {"snr_gamma": None, "debiased_estimation_loss": True}},
        "loss in v added": {"objective": {"snr_gamma": None, "v_pred_like_loss": 0.1}},
        "l1": {"objective": {"loss_type": "l1"}},
        "huber": {"objective": {"loss_type": "huber"}},
        "smooth_l1": {"objective": {"loss_type": "smooth_l1"}},
        "noise offset": {"objective": {"noise_offset": 0.05}},
        "multires noise": {"objective": {"multires_noise_iterations": 6}},
        "input perturbation": {"objective": {"input_perturbation": 0.1}},
        "timesteps logit-normal": {"objective": {"timestep_sampling": "logit_normal"}},
        "timesteps by SNR": {"objective": {"timestep_sampling": "log_snr"}},
        "timesteps stratified": {"objective": {"stratified_timesteps": True}},
    },
    "algorithm": {
        "LoRA": {},
        "LoRA, rank-stabilised": {"adapter": {"rank_stabilized": True}},
        "LoRA, PiSSA start": {"adapter": {"init": "pissa"}},
        "LoRA, DoRA on input": {"adapter": {"dora": "input"}},
        "LoRA, DoRA on output": {"adapter": {"dora": "output"}},
        "LoHa": {"adapter": {"algorithm": "loha"}},
        "LoKr": {"adapter": {"algorithm": "lokr"}},
        "LoRA on 4-bit weights": {"training": {"base_packing": "nf4"}},
        "LoRA on 8-bit weights": {"training": {"base_packing": "int8"}},
        "average of the LoRA": {"optimizer": {"ema_decay": 0.99}},
    },
}  # fmt: skip
"""What is looked at -> its choices -> settings that differ from the demonstration's."""


def run_row(kind: str, name: str, values: Values, work: Path) -> dict[str, Any]:
    """Train one choice, and mark its LoRA."""
    pictures, classes = work / "pictures", work / "classes"
    base = concept_config(DemoConfig(out=work, concept_steps=STEPS)).model_dump(mode="json")
    own: dict[str, Mapping[str, Any]] = {
        "data": {"folder": str(pictures)},
        "output": {"output_dir": str(work / "runs"), "name": slug(f"{kind} {name}"), "overwrite": True},
    }
    if classes.is_dir():
        own["prior"] = {"class_prompt": None, "class_data_dir": str(classes), "num_class_images": None}
    began = monotonic()
    finished = list(train(from_values(TrainConfig, merged(merged(base, own), values))))[-1]
    assert isinstance(finished, Finished)
    if not classes.is_dir():
        (work / "runs" / slug(f"{kind} {name}") / "class_pictures").rename(classes)  # the same for every row
    marks = {
        word: share(finished.files["LoRA"], digits) for word, digits in (("nine", [NEW_DIGIT]), ("old", OLD_DIGITS))
    }
    return {"kind": kind, "name": name, "settings": values, **marks, "seconds": round(monotonic() - began)}


def slug(name: str) -> str:
    """A name for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def share(lora: Path, digits: list[int] | tuple[int, ...]) -> float:
    """The share of pictures in which the judge sees the digit that was asked for."""
    model = open_base("mini")
    painter = Painter.load(model, torch.device("cpu"), torch.float32)
    painter.add_lora(CONCEPT.name, read_lora(lora, model.layer_paths()))
    return digits_seen(painter, load_judge(), digits, PICTURES, FIRST_SEED, (CONCEPT,))


def main() -> None:
    """Go through the rows that are not done yet, and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default="", help="rows whose 'kind name' matches this pattern")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "pictures").exists():
        write_concept(options.work / "pictures", split(read_handwriting(), "base", "demo"), 0)
    kept = Kept(options.work / "rows.jsonl")
    done = kept.rows
    for kind, choices in ROWS.items():
        for name, values in choices.items():
            is_done = any((row["kind"], row["name"]) == (kind, name) for row in done)
            if is_done or not re.search(options.only, f"{kind} {name}"):
                continue
            same = next((row for row in done if row["settings"] == values), None)
            row = {**same, "kind": kind, "name": name} if same else run_row(kind, name, values, options.work)
            kept.add(row)
            print(row, flush=True)
    if options.only:
        return
    Result(
        "what-learns",
        "Does every optimizer, schedule, objective and algorithm learn?",
        done,
        versions=versions("torch", "diffusers"),
        threads=torch.get_num_threads(),
        notes=[f"{STEPS} steps; a mark is the share of {PICTURES} pictures; the base alone: nine 0, old 1"],
    ).write()


if __name__ == "__main__":
    main()

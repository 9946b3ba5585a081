"""The demonstration: from two folders of pictures to two proven LoRAs and a report, on the model in the box."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import torch

from scumble.config import TrainConfig, from_values, merged
from scumble.errors import ScumbleError
from scumble.families.find import open_base
from scumble.files.atomic import write_atomically
from scumble.files.read import read_lora
from scumble.generate.events import Composed, Noted
from scumble.generate.grid import labelled_grid
from scumble.generate.painter import Painter
from scumble.generate.strip import strip
from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.config import DemoConfig
from scumble.mini.demo_report import write_report
from scumble.mini.exam import CONCEPT, VARIANTS, Marks, as_tensor, examine_variants, recipe
from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.judge import load_judge
from scumble.mini.lessons import (
    NEW_DIGIT,
    OLD_DIGITS,
    class_prompts,
    plain_prompts,
    style_prompt,
    write_concept,
    write_style,
)
from scumble.train.events import Event, Finished, Tabled
from scumble.train.loop import train

BASE = "mini"
RANK = 8
COARSE_BLOCKS, FINE_BLOCKS = ("down_blocks.1", "mid_block", "up_blocks.0"), ("down_blocks.0", "up_blocks.1")
CONCEPT_TARGETS = tuple(f"{block}.*attn*.to_*" for block in COARSE_BLOCKS)  # a shape; B-LoRA's split: decision 10
STYLE_TARGETS = tuple(f"{block}.*{layers}" for block in FINE_BLOCKS for layers in ("attn*.to_*", "ff.net.*"))
LEARNING_RATE = 6e-3
BATCH_SIZE = 16
CONCEPT_WEIGHT_DECAY, STYLE_WEIGHT_DECAY = 2.0, 1.0  # LoRAs that changed little mix
CAPTION_DROPOUT = 0.1  # of the style: guidance then does not push away from it
NUM_CLASS_IMAGES = 54
PRIOR_SHARE = 0.35
MOMENTS = 20
PARTS = ("concept", "style", "pictures")
FIRST_SEED = 5000
DIGITS_SHOWN = (NEW_DIGIT, *OLD_DIGITS)


def demo(config: DemoConfig) -> Iterator[Event | Composed]:
    """Train a concept and a style, mix them, judge every variant, write the report.

    Yields:
        What training yields, then the pictures of the report, a table of the judge's figures, and at the end Finished.
    Raises:
        ScumbleError: the folder holds something else, or a part of the demonstration failed.
    """
    started = monotonic()
    out = config.out
    _make_room(out)
    handwriting = read_handwriting()
    write_concept(out / "pictures" / "nines", split(handwriting, "base", "demo"), config.seed)  # no nine was seen
    write_style(out / "pictures" / "scanlines", split(handwriting, "demo"), config.seed)
    yield Noted(f"{out / 'pictures'}: two folders of 24 pictures of handwriting that the base never saw")
    yield from train(concept_config(config))
    yield from train(_style(config))
    painter = _painter(config)
    marks: dict[str, Marks] = {}
    judge = load_judge()
    first_seed = FIRST_SEED + 1000 * config.seed
    for name, mark in examine_variants(painter, judge, config.pictures_per_score, first_seed):
        marks[name] = mark
        yield Noted(f"judged: {name}")
    drawn = _draw(painter, out, first_seed)
    yield from drawn
    error = _folding_error(painter, first_seed)
    yield Noted(f"with the LoRAs folded into the weights a pixel differs by {255 * error:.0f} of 255 at most")
    yield _table(marks)
    seconds = monotonic() - started
    files = {each.what: each.path for each in drawn}
    files |= {"concept LoRA": _lora(out, "concept"), "style LoRA": _lora(out, "style")}
    _write_json(out / "report.json", marks, seconds, files, error)
    write_report(out / "report.html", config, marks, seconds, files, error)
    files |= {"report": out / "report.html", "figures": out / "report.json"}
    yield Finished(config.concept_steps + config.style_steps, files, {"seconds": seconds})


def _make_room(out: Path) -> None:
    """Remove what an earlier demonstration wrote; anything else that lies there is not touched."""
    if out.exists() and any(out.iterdir()) and not (out / "pictures" / "nines").is_dir():
        raise ScumbleError(f"{out} holds something else: give --out another folder")
    for part in PARTS:
        shutil.rmtree(out / part, ignore_errors=True)


def _lora(out: Path, name: str) -> Path:
    return out / name / f"{name}.safetensors"


def _train_config(config: DemoConfig, name: str, pictures: Path, steps: int, more: Mapping[str, object]) -> TrainConfig:
    values = {
        "model": {"base": BASE},
        "data": {"folder": pictures, "cache_dir": config.out / "cache"},
        "adapter": {"rank": RANK, "alpha": float(RANK)},
        "optimizer": {"learning_rate": LEARNING_RATE},
        "training": {
            "max_train_steps": steps,
            "train_batch_size": BATCH_SIZE,
            "seed": config.seed,
            "device": "cpu",
        },
        "objective": {"snr_gamma": 5.0},
        "validation": {"validation_steps": max(1, steps // 4)},
        "output": {"output_dir": config.out, "name": name, "checkpointing_steps": steps},
    }
    return from_values(TrainConfig, merged(values, more))


def concept_config(config: DemoConfig) -> TrainConfig:
    """Nines, with pictures of the old digits, drawn by the base, beside them."""
    old = " | ".join(class_prompts(NUM_CLASS_IMAGES))
    more = {
        "adapter": {"targets": CONCEPT_TARGETS},
        "optimizer": {"weight_decay": CONCEPT_WEIGHT_DECAY},
        "prior": {"class_prompt": old, "num_class_images": NUM_CLASS_IMAGES, "prior_share": PRIOR_SHARE},
    }
    return _train_config(config, "concept", config.out / "pictures" / "nines", config.concept_steps, more)


def _style(config: DemoConfig) -> TrainConfig:
    more = {
        "optimizer": {"weight_decay": STYLE_WEIGHT_DECAY},
        "data": {"caption_dropout_rate": CAPTION_DROPOUT},
        "adapter": {"targets": STYLE_TARGETS},
    }
    return _train_config(config, "style", config.out / "pictures" / "scanlines", config.style_steps, more)


def _painter(config: DemoConfig) -> Painter:
    base = open_base(BASE)
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    for name in ("concept", "style"):
        painter.add_lora(name, read_lora(_lora(config.out, name), base.layer_paths()))
    return painter


def _draw(painter: Painter, out: Path, first_seed: int) -> list[Composed]:
    """The side-by-side picture and the strip, written."""
    rows = []
    for loras in VARIANTS.values():
        recipes = [recipe(style_prompt(digit), first_seed + digit, loras) for digit in DIGITS_SHOWN]
        rows.append([picture.image for picture in painter.paint(recipes, batch_size=len(recipes))])
    words = [DIGIT_WORDS[digit] for digit in DIGITS_SHOWN]
    title = f'"{style_prompt(NEW_DIGIT)}" and so on: base, each LoRA, both; the same noise in each column'
    side_by_side = labelled_grid(rows, words, list(VARIANTS), title)
    known = [recipe(plain_prompts([digit], 4)[digit % 4][1], first_seed + digit, ()) for digit in OLD_DIGITS]
    nine = recipe(plain_prompts([NEW_DIGIT], 1)[0][1], first_seed + NEW_DIGIT, (CONCEPT,))
    painted = painter.paint([*known, nine], batch_size=10, num_moments=MOMENTS)
    process = strip(painted, "from noise to picture: 20 moments, ten digits (the nine through its LoRA)")
    drawn = [
        Composed(out / "side-by-side.png", side_by_side, "side by side"),
        Composed(out / "strip.png", process, "reverse process"),
    ]
    for each in drawn:
        each.image.save(each.path)
    return drawn


def _folding_error(painter: Painter, first_seed: int) -> float:
    """Largest difference of a pixel, 0..1, between drawing with adapters and with them folded into the weights."""
    recipes = [recipe(style_prompt(NEW_DIGIT), first_seed + index, VARIANTS["both"]) for index in range(4)]
    plain, folded = (painter.paint(recipes, batch_size=4, folded=is_folded) for is_folded in (False, True))
    pictures = [as_tensor([picture.image for picture in pictures]) for pictures in (plain, folded)]
    return float((pictures[0] - pictures[1]).abs().max())


def _table(marks: Mapping[str, Marks]) -> Tabled:
    columns = ["variant", "nine", "old digits", "style", "nine in style"]
    rows = [[name, *(f"{100 * value:.1f} %" for value in asdict(mark).values())] for name, mark in marks.items()]
    return Tabled("what the judge sees", columns, rows)


def _write_json(
    path: Path, marks: Mapping[str, Marks], seconds: float, files: Mapping[str, Path], error: float
) -> None:
    values = {
        "scores": {name: asdict(mark) for name, mark in marks.items()},
        "seconds": round(seconds, 1),
        "folding_error": error,
        "files": {what: file.relative_to(path.parent).as_posix() for what, file in files.items()},
    }
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode())

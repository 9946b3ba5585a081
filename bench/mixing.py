"""Do two LoRAs mix? The demonstration's concept and style over a plane of their weights, each point looked at by the judge.

Every point is asked for a nine and for zero to eight, all in the style's words, from the same noise. The picture shows one
prompt and one noise over the plane.

    scumble demo --out demo --seed 0                  # 9 minutes on two cores
    python bench/mixing.py --demo demo                # --weights "0-1 [3]" --pictures 9 is a quick look

Results go to bench/results/, the picture to docs/images/mixing.png.
"""

import argparse
import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import torch

from scumble.compare.run import compare
from scumble.compare.values import numbers
from scumble.config import CompareConfig
from scumble.families.find import open_base
from scumble.files.read import read_lora
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse
from scumble.mini.exam import GUIDANCE_SCALE, SAMPLER, STEPS, Marks, examine
from scumble.mini.judge import load_judge
from scumble.mini.lessons import NEW_DIGIT, style_prompt

HERE = Path(__file__).parent
FIRST_SEED = 5000
SHOWN_SEED = FIRST_SEED + NEW_DIGIT
QUESTIONS = {
    "nine": "asked for a nine in the style, the judge sees a nine",
    "old": "asked for a zero to eight in the style, it sees that digit",
    "style": "asked for any digit in the style, it sees the style: striped, white, on dark",
    "together": "asked for a nine in the style, it sees both",
}


def marks_over(concept: Path, style: Path, weights: Sequence[float], pictures: int) -> dict[tuple[float, float], Marks]:
    """(weight of the concept, weight of the style) -> what the judge says."""
    base = open_base("mini")
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    for path in (concept, style):
        painter.add_lora(path.stem, read_lora(path, base.layer_paths()))
    judge, marks = load_judge(), {}
    for down in weights:
        for right in weights:
            loras = [LoraUse(concept.stem, right), LoraUse(style.stem, down)]
            marks[right, down] = examine(painter, judge, loras, (pictures, FIRST_SEED), is_styled=True)
            print(f"concept {right:g}, style {down:g}: {asdict(marks[right, down])}", flush=True)
    return marks


def draw(concept: Path, style: Path, weights: str, out: Path) -> None:
    """The plane as a picture."""
    config = CompareConfig(
        base="mini",
        plane=(concept, style),
        weights=weights,
        prompt=(style_prompt(NEW_DIGIT),),
        steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        sampler=SAMPLER,
        seed=SHOWN_SEED,
        device="cpu",
        out=out,
    )
    for _ in compare(config):
        pass
    out.with_suffix(".html").unlink()


def table(marks: Mapping[tuple[float, float], Marks], question: str, weights: Sequence[float]) -> list[str]:
    """One question over the plane, as Markdown."""
    rows = [
        f"| style {down:g} | "
        + " | ".join(f"{100 * getattr(marks[right, down], question):.0f}" for right in weights)
        + " |"
        for down in weights
    ]
    heads = " | ".join(f"concept {right:g}" for right in weights)
    return [
        f"**{question}**: {QUESTIONS[question]}, in %",
        "",
        f"| | {heads} |",
        "|---" * (len(weights) + 1) + "|",
        *rows,
        "",
    ]


def main() -> None:
    """Score the plane, draw it, record both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--weights", default="0-1 [5]")
    parser.add_argument("--pictures", type=int, default=45)
    options = parser.parse_args()
    concept, style = (options.demo / name / f"{name}.safetensors" for name in ("concept", "style"))
    weights, started = numbers(options.weights), monotonic()
    draw(concept, style, options.weights, HERE.parent / "docs" / "images" / "mixing.png")
    marks = marks_over(concept, style, weights, options.pictures)
    result = {
        "date": datetime.date.today().isoformat(),
        "command": f'python bench/mixing.py --demo DEMO --weights "{options.weights}" --pictures {options.pictures}',
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "seconds": round(monotonic() - started),
        "pictures a question": options.pictures,
        "plane": [{"concept": right, "style": down, **asdict(mark)} for (right, down), mark in marks.items()],
    }
    place = HERE / "results" / f"{result['date']}-mixing"
    place.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    lines = [
        f"# Two LoRAs over a plane of weights, {result['date']}",
        "",
        f"The demonstration's concept and style; {options.pictures} pictures a question and point, {SAMPLER}, {STEPS} steps,",
        f"guidance {GUIDANCE_SCALE:g}, the same noise at every point. `{result['command']}`",
        "",
        *(line for question in QUESTIONS for line in table(marks, question, weights)),
    ]
    place.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

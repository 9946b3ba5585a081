"""Writes docs/speed.md, and the numbers in both READMEs, from the newest result of each bench: `make docs`, or `--check`.

A result is one that says its goals (bench/harness/result.py). It is shown whatever it is called; `ORDER` only says what
comes first.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from harness.result import RESULTS, table, verdicts  # noqa: E402

PAGE = ROOT / "docs" / "speed.md"
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
START, END = "<!-- speed -->\n", "<!-- /speed -->\n"
DATED = re.compile(r"(\d{4}-\d{2}-\d{2})-(.+)\.json")

ORDER = ("end-to-end", "step", "start", "generate", "data", "latent", "growth", "gpu", "guard")
"""Beginnings of the names of results; others follow in the order of their names."""

HEADER = """# Speed and memory

Every number here was measured by a script of [bench/](../bench), and this page is written by `make docs` from what they
wrote: change the code and measure again, not this page. Sides of a comparison take turns inside one run, on the same
pictures, with the same base, precision, rank and steps. Ratios carry over to other machines far better than seconds do: under 1
is faster, or smaller, than the other. *Met within the spread* means that the bound lies within half the distance between the
quartiles. A goal that was not met, or not measured, stays on the list with its reason.
"""

NONE = "No result with goals has been written yet.\n"


@dataclass(frozen=True)
class Measurement:
    """One result.

    Attributes:
        name: of the bench, without its date.
        path: of its JSON.
        whole: all that it says.
    """

    name: str
    path: Path
    whole: Mapping[str, Any]

    @property
    def place(self) -> tuple[int, str]:
        """Where on the page it comes."""
        rank = next((rank for rank, begin in enumerate(ORDER) if self.name.startswith(begin)), len(ORDER))
        return rank, self.name


def newest(folder: Path) -> list[Measurement]:
    """The last result of each bench that has goals, in the order of the page."""
    found: dict[str, Measurement] = {}
    for path in sorted(folder.glob("*.json")):
        dated = DATED.fullmatch(path.name)
        whole = json.loads(path.read_text(encoding="utf-8"))
        if dated is not None and isinstance(whole, dict) and whole.get("goals"):
            found[dated[2]] = Measurement(dated[2], path, whole)
    return sorted(found.values(), key=lambda measurement: measurement.place)


def page(folder: Path = RESULTS) -> str:
    """The whole page as Markdown."""
    results = newest(folder)
    parts = [HEADER, "\n".join(_overview(results)) + "\n" if results else NONE]
    parts += ["\n\n".join(_section(result)) + "\n" for result in results]
    return "\n".join(parts)


def _overview(results: Sequence[Measurement]) -> Iterator[str]:
    goals = [goal for result in results for goal in result.whole["goals"]]
    verdicts = ("met", "met within the spread", "not met", "not measured")
    counts = {verdict: sum(goal["verdict"] == verdict for goal in goals) for verdict in verdicts}
    yield f"Of {len(goals)} goals: {', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count)}."
    yield ""
    yield table([_of_result(result) for result in results])


def _of_result(result: Measurement) -> dict[str, str]:
    own = result.whole["goals"]
    met = sum(goal["verdict"].startswith("met") for goal in own)
    return {
        "bench": f"[{result.name}](#{result.name.lower()})",
        "date": result.whole["date"],
        "question": result.whole["question"],
        "goals met": f"{met} of {len(own)}",
    }


def _section(result: Measurement) -> Iterator[str]:
    whole = result.whole
    yield f"## {result.name}"
    yield whole["question"]
    goals = whole["goals"]
    yield table([_of_goal(goal, said) for goal, said in zip(goals, verdicts(goals), strict=True)])
    picture = result.path.with_suffix(".png")
    if picture.exists():
        yield f"![{whole['question']}]({_link(picture)})"
    if whole.get("rows"):
        yield table(whole["rows"])
    if whole.get("notes"):
        yield "\n".join(f"- {note}" for note in whole["notes"])
    versions = ", ".join(f"{name} {version}" for name, version in whole.get("versions", {}).items())
    measured = "; ".join(part for part in (whole["date"], whole.get("hardware", ""), versions) if part)
    yield f"Measured {measured}: `{whole['command']}` ([all figures]({_link(result.path)}))."


def _of_goal(goal: Mapping[str, Any], said: str) -> dict[str, str]:
    return {"goal": goal["what"], "bound": _bound(goal), "measured": _measured(goal), "verdict": said}


def _bound(goal: Mapping[str, Any]) -> str:
    return f"{'≥' if goal['at_least'] else '≤'} {goal['limit']:g}"


def _measured(goal: Mapping[str, Any]) -> str:
    return "-" if goal["measured"] is None else f"{goal['measured']:.3g}"


def _link(path: Path) -> str:
    return f"../bench/results/{path.name}"


WORDS = {
    "en": (
        "under 1 is faster, or smaller",
        "bound",
        "measured",
        "",
        "Measured on {dates}; [everything, with hardware and commands](docs/speed.md).",
    ),
    "zh": ("小于 1 表示更快或更省", "目标", "实测", "", "测于 {dates}；[全部数据、硬件与命令](docs/speed.md)。"),
}
VERDICTS = {
    "en": {},
    "zh": {"met": "达到", "met within the spread": "在误差内达到", "not met": "未达到", "not measured": "未测"},
}
IN_READMES = (
    (
        ("step-mini-64px-float32", "step, scumble / fastest peer"),
        {
            "en": "a training step on the model in the box, of the fastest peer's",
            "zh": "内置模型上的一个训练步 / 最快的对照程序",
        },
    ),
    (
        ("step-mini-64px-float32", "step with LoRA / without"),
        {"en": "the same, of a step without any adapter", "zh": "内置模型上的一个训练步 / 不带适配器的一步"},
    ),
    (
        ("step-sd15-256px-float32", "step, scumble / fastest peer"),
        {
            "en": "a training step on the SD 1.5 architecture, of the fastest peer's",
            "zh": "SD 1.5 结构上的一个训练步 / 最快的对照程序",
        },
    ),
    (
        ("step-sd15-256px-float32", "step with LoRA / without"),
        {"en": "the same, of a step without any adapter", "zh": "SD 1.5 结构上的一个训练步 / 不带适配器的一步"},
    ),
    (
        ("end-to-end-fp32", "seconds to the file"),
        {
            "en": "a whole training of 200 steps (worked out from 6), SD 1.5 architecture, of diffusers' script",
            "zh": "SD 1.5 结构上 200 步的完整训练（由 6 步推算）/ diffusers 脚本",
        },
    ),
    (
        ("end-to-end-fp32", "peak memory"),
        {"en": "its peak memory, of diffusers' script", "zh": "该训练的内存峰值 / diffusers 脚本"},
    ),
    (
        ("end-to-end-defaults", "seconds to the file"),
        {"en": "the same training, each with its own defaults", "zh": "同样的训练，各用默认设置"},
    ),
    (
        ("end-to-end-bf16-memory", "peak memory"),
        {"en": "peak memory in bf16, at 64 px", "zh": "bf16、64 px 时的内存峰值"},
    ),
    (
        ("end-to-end-mini", "seconds to the file"),
        {
            "en": "a whole training of 400 steps on the model in the box, of diffusers' script",
            "zh": "内置模型上 400 步的完整训练 / diffusers 脚本",
        },
    ),
    (
        ("generate-mini", "pictures: 3 LoRAs folded / base alone"),
        {"en": "a picture with three LoRAs, of one by the base alone", "zh": "带三个 LoRA 的一张图片 / 仅用底模"},
    ),
    (
        ("generate-mini", "pictures: 3 LoRAs folded / diffusers"),
        {"en": "the same, of diffusers' with its LoRAs", "zh": "带三个 LoRA 的一张图片 / diffusers"},
    ),
    (
        ("generate-mini", "change of a LoRA: folded / diffusers"),
        {"en": "another LoRA between two pictures, of diffusers'", "zh": "两张图片之间更换 LoRA / diffusers"},
    ),
    (
        ("latents-mini-64px", "time to cache latents"),
        {"en": "caching latents, of sd-scripts'", "zh": "缓存潜变量 / sd-scripts"},
    ),
)
"""(bench, beginning of its goal) -> what the READMEs call it."""


def block(language: str, folder: Path = RESULTS) -> str:
    """The numbers of a README, in its language; those that were not measured are on the page alone."""
    results = {result.name: result for result in newest(folder)}
    *heads, words = WORDS[language]
    rows, dates = [], set()
    for (bench, begin), names in IN_READMES:
        goal = _goal(results[bench], begin) if bench in results else None
        if goal is None or goal["measured"] is None:
            continue
        verdict = VERDICTS[language].get(goal["verdict"], goal["verdict"])
        rows.append(dict(zip(heads, (names[language], _bound(goal), _measured(goal), verdict), strict=True)))
        dates.add(results[bench].whole["date"])
    if not rows:
        return ""
    between = "–".join(dict.fromkeys((min(dates), max(dates))))
    return f"{table(rows)}\n\n{words.format(dates=between)}\n"


def _goal(result: Measurement, begin: str) -> Mapping[str, Any] | None:
    return next((goal for goal in result.whole["goals"] if goal["what"].startswith(begin)), None)


def readme(language: str) -> str | None:
    """A README with its numbers as they should be; None where it has no place for them."""
    before, start, rest = READMES[language].read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{START}{block(language)}{END}{after}" if start and end else None


def main() -> str | None:
    """Write the page and the blocks; with --check, say what is not what the results say."""
    texts = {PAGE: page()}
    for language, path in READMES.items():
        text = readme(language)
        if text is not None:
            texts[path] = text
    if "--check" in sys.argv[1:]:
        stale = [
            path.name for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
        ]
        return f"{', '.join(stale)}: not what bench/results says: run `make docs`" if stale else None
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return None


if __name__ == "__main__":
    sys.exit(main())

"""The curves of a run as charts: loss and held-out loss, the held-out loss by noise, and the learning rate."""

from html import escape

from scumble.report.chart import Line, chart, scale_of
from scumble.report.learnt import what_was_measured
from scumble.report.told import Told
from scumble.train.curves import running_mean

WINDOWS = 30
"""The running mean is over this part of the steps."""

NOISE = ("least noise: details", "second quarter", "third quarter", "most noise: composition")
"""Of the four bands of a validation."""

SHARE_IN_SIGHT = 0.95
"""Of the single steps' losses; the smoothed and the held-out loss are seen whole."""

STYLE = """
:root { --train: #0f5fa8; --raw: #9fb8d4; --held: #c2491d; --band1: #e0a03a; --band2: #cc6b1f; --band3: #9a3f12;
  --band4: #55250b; --rate: #4b6b3c; }
@media (prefers-color-scheme: dark) { :root { --train: #6db3f2; --raw: #3f566e; --held: #ff9061; --band1: #ffe2a8;
  --band2: #f7b45c; --band3: #e5813a; --band4: #b85a2b; --rate: #a5cf8f; } }
.chart { margin: 1rem 0; padding: .8rem 1rem 1.8rem 4rem; } .chart figcaption { margin: 0 0 .6rem -3rem; }
.plot { position: relative; height: 15rem; touch-action: pan-y; } .low .plot { height: 9rem; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; } .line { stroke-width: 1.8; stroke-linejoin: round; }
.dots { stroke-width: 6; stroke-linecap: round; } .grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--faint); stroke-width: 1; } .mark { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 3 4; }
.plot span { position: absolute; font: .75rem/1 ui-monospace, monospace; color: var(--faint); white-space: nowrap; }
.plot .y { right: calc(100% + .5rem); transform: translateY(-50%); } .plot .x { top: calc(100% + .5rem);
  transform: translateX(-50%); }
.plot .at { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--faint); display: none; }
.plot .tip { display: none; top: .3rem; padding: .4rem .6rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .3rem; color: var(--ink); white-space: pre; line-height: 1.45; z-index: 1; pointer-events: none; }
.key { display: inline-block; margin: 0 .6rem; white-space: nowrap; } .key i { display: inline-block; width: 1.5rem;
  border-style: solid; border-width: 3px 0 0; margin-right: .35rem; vertical-align: middle; }
.train { stroke: var(--train); border-color: var(--train); } .raw { stroke: var(--raw); border-color: var(--raw); }
.line.raw { stroke-width: 1; } .held { stroke: var(--held); border-color: var(--held); }
.band1 { stroke: var(--band1); border-color: var(--band1); }
.band2 { stroke: var(--band2); border-color: var(--band2); stroke-dasharray: 9 3; }
.band3 { stroke: var(--band3); border-color: var(--band3); stroke-dasharray: 4 3; }
.band4 { stroke: var(--band4); border-color: var(--band4); stroke-dasharray: 1.5 3; }
.dots.band1, .dots.band2, .dots.band3, .dots.band4 { stroke-dasharray: none; stroke-width: 5; }
.key .mark { border-style: dashed; border-width: 1px 0 0; } .key .band2 { border-style: dashed; } .key .band3 { border-style: dashed; } .key .band4 { border-style: dotted; }
.rate { stroke: var(--rate); border-color: var(--rate); }
@media (max-width: 600px) { .chart { padding-left: 3.2rem; } .chart figcaption { margin-left: -2.4rem; } .key { margin: 0 .4rem 0 0; } }
@media print { :root { --train: #0f5fa8; --raw: #9fb8d4; --held: #c2491d; --band1: #e0a03a; --band2: #cc6b1f; --band3: #9a3f12;
  --band4: #55250b; --rate: #4b6b3c; } }
"""

SCRIPT = """
document.querySelectorAll(".plot").forEach(function (plot) {
  var lines = JSON.parse(plot.dataset.lines), left = +plot.dataset.left, right = +plot.dataset.right;
  var at = plot.querySelector(".at"), tip = plot.querySelector(".tip");
  function nearest(points, step) {
    return points.reduce(function (best, each) {
      return Math.abs(each[0] - step) < Math.abs(best[0] - step) ? each : best;
    });
  }
  plot.addEventListener("pointermove", function (event) {
    var box = plot.getBoundingClientRect(), share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    var step = left + share * (right - left), said = ["step " + Math.round(step)];
    lines.forEach(function (line) {
      if (line.points.length) {
        var point = nearest(line.points, step);
        said.push(line.name + ": " + point[1] + (Math.round(step) === point[0] ? "" : " (step " + point[0] + ")"));
      }
    });
    tip.textContent = said.join("\\n");
    at.style.display = tip.style.display = "block";
    at.style.left = 100 * share + "%";
    tip.style.left = share < 0.5 ? "calc(" + 100 * share + "% + 10px)" : "auto";
    tip.style.right = share < 0.5 ? "auto" : "calc(" + 100 * (1 - share) + "% + 10px)";
  });
  plot.addEventListener("pointerleave", function () { at.style.display = tip.style.display = "none"; });
});
"""
"""Values where the pointer is."""


def curves(told: Told) -> str:
    """The charts of a run, one under the other; what there is nothing to draw of is said."""
    if not told.course.steps and not told.course.validations:
        return _faint("No step was made, so there are no curves.")
    return "".join((_losses(told), _bands(told), _rates(told)))


def _losses(told: Told) -> str:
    steps, validations = told.course.steps, told.course.validations
    at = [step.step for step in steps]
    raw = [step.loss for step in steps]
    smooth = running_mean(raw, max(1, len(raw) // WINDOWS))
    held = [(each.step, each.loss) for each in validations]
    means = list(zip(at, smooth, strict=True))
    lines = [
        Line("each step", list(zip(at, raw, strict=True)), "raw", is_told=False),
        Line("training loss, running mean", means, "train"),
        Line(what_was_measured(told), held, "held", has_dots=True),
    ]
    usual = sorted(raw)[len(raw) // 20 : max(1, round(SHARE_IN_SIGHT * len(raw)))]
    seen = [*means, *held, *((at[0] if at else 0, loss) for loss in (usual[:1] + usual[-1:]))]
    return chart(
        "loss (mean squared error)", [line for line in lines if line.points], scale_of(seen, _reach(told)), _marks(told)
    )


def _marks(told: Told) -> list[tuple[float, str]]:
    gone_on = [(float(step), "a process went on with the run") for step in told.course.gone_on]
    best = told.course.best
    return [*gone_on, *([(float(best.step), f"best, at step {best.step}")] if best is not None else [])]


def _bands(told: Told) -> str:
    """Little noise teaches details, much noise the composition; each as a share of what it was at first."""
    measured = [each for each in told.course.validations if each.bands]
    count = len(measured[0].bands) if measured else 0
    if len(measured) < 2 or any(len(each.bands) != count for each in measured):
        return _faint("By amount of noise the validation loss has no curve: that takes two validations that kept it.")
    lines = []
    for band in range(count):
        first = measured[0].bands[band] or 1.0
        points = [(each.step, each.bands[band] / first) for each in measured]
        name = NOISE[band] if count == len(NOISE) else f"part {band + 1} of {count}"
        lines.append(Line(name, points, f"band{band % len(NOISE) + 1}", has_dots=True))
    everything = [point for line in lines for point in line.points]
    title = f"{what_was_measured(told)} by amount of noise, 1 = at first"
    return (
        f'<div class="low">{chart(title, lines, scale_of([*everything, (everything[0][0], 1.0)], _reach(told)))}</div>'
    )


def _rates(told: Told) -> str:
    points = [(step.step, step.learning_rate) for step in told.course.steps if step.learning_rate is not None]
    if not points:
        return _faint("The learning rates of the steps were not kept.")
    highest = max(rate for _, rate in points)
    drawn = chart(
        "learning rate", [Line("learning rate", points, "rate")], scale_of(points, _reach(told), 0.0, highest)
    )
    return f'<div class="low">{drawn}</div>'


def _reach(told: Told) -> tuple[float, float]:
    """The first and the last step of all charts, so that they can be read one below the other."""
    steps = [*(step.step for step in told.course.steps), *(each.step for each in told.course.validations)]
    return float(min(steps)), float(max(steps))


def _faint(text: str) -> str:
    return f'<p class="faint">{escape(text)}</p>'

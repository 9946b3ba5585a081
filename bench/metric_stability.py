"""How many pictures a metric needs: its value, and how much it varies from one drawing to the next, by their number.

Real handwriting, painted as the model in the box paints, stands for the drawn pictures: what they are is known, and there are
hundreds. From this pool sets of each size are taken again and again, none with a picture twice; each set is measured with the
judge's features beside 24 other pictures of handwriting, half of them in another style, so that the sets differ. Printed are
the mean of the values, their deviation between sets, and the mean of the standard errors that the metric itself says.

    python bench/metric_stability.py [--repeats 16] [--threads 1]

Results go to bench/results/.
"""

import argparse
import datetime
import json
import platform
from pathlib import Path

import torch

from scumble.families.base import pixels_to_image
from scumble.metrics.diversity import mean_pairwise
from scumble.metrics.fid import fid
from scumble.metrics.figures import seen_distances, standard_error
from scumble.metrics.judge_eyes import JudgeEyes
from scumble.metrics.kid import kid
from scumble.metrics.similarity import mean_cosines
from scumble.mini.examine import render_plain, render_style
from scumble.mini.handwriting import read_handwriting, split

SIZES = (8, 16, 32, 64, 128)
TRAINED = 24


def features_of(eyes, pictures):
    """What the judge sees in painted pictures, [N, D]."""
    return eyes.see([pixels_to_image(2 * picture - 1) for picture in pictures])


def measured(features, trained):
    """Every metric of one set: name -> value and the standard error that it says."""
    similar = mean_cosines(features, trained)
    return {
        "kid": kid(features, trained),
        "fid": (fid(features, trained), None),
        "similarity": (float(similar.mean()), standard_error(similar)),
        "diversity": (float(mean_pairwise(features, len(features), seen_distances)[0]), None),
    }


def main():
    """Paint the pool, measure sets of every size, print and write what they give."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    eyes, handwriting = JudgeEyes(), read_handwriting()
    features = features_of(eyes, render_plain(split(handwriting, "base").of_classes(range(9))))
    unseen = split(handwriting, "demo").of_classes(range(9))
    half = TRAINED // 2
    trained = features_of(eyes, torch.cat([render_plain(unseen)[:half], render_style(unseen)[half:TRAINED]]))
    generator = torch.Generator().manual_seed(0)
    rows = []
    for size in SIZES:
        sets = [torch.randperm(len(features), generator=generator)[:size] for _ in range(args.repeats)]
        rows += told(size, [measured(features[chosen], trained) for chosen in sets])
    write(args, rows)


def told(size, found):
    """A row a metric, of sets of one size: the mean, the deviation between sets, and the standard error that they say."""
    rows = []
    for name in found[0]:
        values = torch.tensor([one[name][0] for one in found])
        errors = [one[name][1] for one in found if one[name][1] is not None]
        said = round(sum(errors) / len(errors), 5) if errors else None
        mean, deviation = round(float(values.mean()), 5), round(float(values.std()), 5)
        rows.append({"metric": name, "pictures": size, "mean": mean, "deviation": deviation, "says": said})
        print(f"{name:12} {size:4} pictures: {mean:.4g} ± {deviation:.2g}, says {said}", flush=True)
    return rows


def write(args, rows):
    """Write the result."""
    date = datetime.date.today().isoformat()
    result = {
        "date": date,
        "command": f"python bench/metric_stability.py --repeats {args.repeats}",
        "hardware": f"{args.threads} core(s), {platform.machine()}",
        "versions": {"torch": torch.__version__},
        "training pictures": TRAINED,
        "values": rows,
    }
    path = Path(__file__).parent / "results" / f"{date}-metric-stability.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

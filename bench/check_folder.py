"""How long `scumble check` takes for a large folder, and how much memory, beside Pillow only decoding the same pictures.

Each of the two runs in a process of its own. The pictures are crops of two photographs with noise, 640 x 480 to 960 x 640,
JPEG; one in 50 is a copy of another.

    python bench/check_folder.py --pictures 1000 10000 --work FOLDER

Results go to bench/results/. Peak memory is read from /proc, so the script needs Linux.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import numpy as np
import PIL
from PIL import Image

SIDES = ((640, 480), (480, 640), (768, 512), (960, 640))
COPY_EVERY = 50
WAYS = ("decode", "check")


def make_picture(folder: Path, index: int, photos: list[Image.Image]) -> None:
    """Write a picture and its caption, the same for the same index."""
    path = folder / f"{index:05d}.jpg"
    path.with_suffix(".txt").write_text(f"sks thing, number {index}, outdoors", encoding="utf-8")
    if index % COPY_EVERY == COPY_EVERY - 1:
        shutil.copy(folder / f"{index - 1:05d}.jpg", path)
        return
    random = np.random.default_rng(index)
    photo = photos[index % len(photos)]
    left, top = random.uniform(0, 0.6, 2) * photo.size
    box = (left, top, left + 0.4 * photo.width, top + 0.4 * photo.height)
    pixels = np.asarray(photo.resize(SIDES[index % len(SIDES)], Image.Resampling.BICUBIC, box), np.int16)
    noisy = pixels * random.uniform(0.5, 1.2, 3) + random.integers(-6, 7, pixels.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=88)


def make_folder(folder: Path, count: int) -> None:
    """Write the pictures that are not there yet."""
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        if not (folder / f"{index:05d}.txt").exists() or not (folder / f"{index:05d}.jpg").exists():
            make_picture(folder, index, photos)


def decode(folder: Path) -> dict[str, object]:
    """Pillow decodes every picture, in as many threads as there are cores."""

    def area(path: Path) -> int:
        with Image.open(path) as image:
            return image.convert("RGB").width * image.height

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return {"pixels": sum(threads.map(area, sorted(folder.glob("*.jpg"))))}


def check(folder: Path) -> dict[str, object]:
    """The whole command, page included."""
    from scumble.check.events import Checked
    from scumble.check.run import check as run
    from scumble.config import CheckConfig

    page = folder.with_name(f"{folder.name}.html")
    config = CheckConfig.model_validate({"data": {"folder": folder, "trigger": "sks"}, "report": {"report": page}})
    *_, last = run(config)
    assert isinstance(last, Checked)
    assert last.findings is not None
    return {
        "kept": len(last.findings.seen),
        "groups of the same bytes": len(last.findings.equal),
        "groups that look alike": len(last.findings.alike),
        "page_mb": round(page.stat().st_size / 1e6, 2),
    }


def measured(way: str, folder: Path) -> dict[str, object]:
    """Run one way here: seconds, and the peak memory of this process."""
    started = monotonic()
    found = {"decode": decode, "check": check}[way](folder)
    seconds = monotonic() - started
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {"seconds": round(seconds, 1), "peak_mb": round(peak / 1024), **found}


def main() -> None:
    """Make the folders, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--work", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measured(arguments.only[0], Path(arguments.only[1]))))
        return
    results: dict[str, object] = {
        "date": datetime.date.today().isoformat(),
        "command": f"python bench/check_folder.py --pictures {' '.join(map(str, arguments.pictures))}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before",
        "python": platform.python_version(),
        "pillow": PIL.__version__,
    }
    for count in arguments.pictures:
        folder = arguments.work / f"pictures-{count}"
        make_folder(folder, count)
        for way in WAYS:
            command = [sys.executable, __file__, "--work", str(arguments.work), "--only", way, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[f"{count} pictures, {way}"] = json.loads(done.stdout.splitlines()[-1])
            print(f"{count} pictures, {way}: {done.stdout.splitlines()[-1]}", flush=True)
    name = f"{results['date']}-check-folder.json"
    (Path(__file__).parent / "results" / name).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

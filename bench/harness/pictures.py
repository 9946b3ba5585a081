"""Pictures with captions that only the machinery looks at."""

import json
from pathlib import Path


def write_pictures(folder: Path, count: int, side_px: int, kind: str = "png") -> Path:
    """Coloured noise, smooth enough for a JPEG, five captions in turn; kept if there are as many already."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in folder.glob(f"*.{kind}")) == count:
        return folder
    random = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((side_px, side_px), Image.Resampling.BICUBIC).save(folder / f"{index:06d}.{kind}")
        (folder / f"{index:06d}.txt").write_text(f"a photo of sks dog {index % 5}", encoding="utf-8")
    return folder


def write_table(folder: Path, kind: str = "png") -> Path:
    """One table of captions, metadata.jsonl, in place of the files beside the pictures, as datasets' imagefolder reads it."""
    rows = []
    for path in sorted(folder.glob(f"*.{kind}")):
        beside = path.with_suffix(".txt")
        rows.append({"file_name": path.name, "text": beside.read_text(encoding="utf-8")})
        beside.unlink()
    table = folder / "metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return table

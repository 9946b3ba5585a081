"""Pictures with captions that only the machinery looks at."""

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

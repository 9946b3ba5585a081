"""Pictures with the detail of photographs: crops of two of them with noise, of several shapes; one in 50 is a copy."""

import shutil
from collections.abc import Sequence
from pathlib import Path

COPY_EVERY = 50
QUALITY = 88
SETS: dict[str, tuple[tuple[tuple[int, int], ...], str]] = {
    "photographs of 1.6 megapixels, JPEG": (((1536, 1024), (1024, 1536), (1248, 1248), (1664, 960)), "jpg"),
    "photographs of 0.4 megapixels, JPEG": (((640, 480), (480, 640), (768, 512), (960, 640)), "jpg"),
    "photographs of 0.4 megapixels, PNG": (((640, 480), (480, 640), (768, 512), (960, 640)), "png"),
}
"""What they are called -> sizes in turn, suffix."""


def write_photographs(folder: Path, count: int, sizes: Sequence[tuple[int, int]], suffix: str) -> Path:
    """Write those that are not there yet, each with a caption; the same for the same place."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"{index:05d}.{suffix}"
        if path.exists() and path.with_suffix(".txt").exists():
            continue
        if index % COPY_EVERY == COPY_EVERY - 1:
            shutil.copy(path.with_stem(f"{index - 1:05d}"), path)
        else:
            _write(path, photos[index % len(photos)], sizes[index % len(sizes)], index)
        path.with_suffix(".txt").write_text(f"sks thing, number {index}, outdoors", encoding="utf-8")
    return folder


def _write(path: Path, photo, size_px: tuple[int, int], seed: int) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    left, top = random.uniform(0, 0.6, 2) * photo.size
    box = (left, top, left + 0.4 * photo.width, top + 0.4 * photo.height)
    pixels = np.asarray(photo.resize(size_px, Image.Resampling.BICUBIC, box), np.int16)
    noisy = pixels * random.uniform(0.5, 1.2, 3) + random.integers(-6, 7, pixels.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=QUALITY)

"""Pictures of cells kept in a folder, so that a grid that was stopped goes on and nothing is drawn twice."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from scumble.errors import DataError, ScumbleError
from scumble.files.atomic import write_atomically
from scumble.generate.infotext import png_texts, read_recipes
from scumble.generate.recipe import Recipe
from scumble.generate.save import check_folder, png_bytes

KEY_SIGNS = 16
_ODD = re.compile(r"[^\w.+=-]+")


class KeptCells:
    """A folder of cells, each found by what it was drawn from.

    Args:
        folder: made when the first picture comes.
        stays: whether it is the person's own, or goes when all is done.
    """

    def __init__(self, folder: Path, stays: bool) -> None:
        check_folder(folder)
        self.folder, self.stays = folder, stays
        self.written: list[Path] = []

    def find(self, key: str, recipe: Recipe) -> Image.Image | None:
        """The picture of this key and recipe, if it lies there whole."""
        for path in sorted(self.folder.glob(f"*{key}.png")):
            try:
                if read_recipes(path) == [recipe]:
                    with Image.open(path) as image:
                        self.written.append(path)
                        return image.convert("RGB")
            except DataError:  # somebody's other file, or one cut short on its way here: it is drawn anew
                continue
        return None

    def keep(self, key: str, recipe: Recipe, image: Image.Image, label: str) -> Path:
        """Write a picture with its recipe inside, under a name that begins with its labels.

        Raises:
            ScumbleError: the disk does not take it.
        """
        path = self.folder / f"{_plain(label)}{key}.png"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, png_bytes(image, png_texts(recipe)))
        except OSError as error:
            raise ScumbleError(f"cannot write {path}: {error.strerror}") from error
        self.written.append(path)
        return path

    def finish(self) -> None:
        """All is done: what was kept for going on only is removed, and the folder with it where nothing else lies in it."""
        if self.stays or not self.folder.is_dir():
            return
        for path in self.written:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def key_of(recipe: Recipe, circumstances: Mapping[str, str]) -> str:
    """What a picture is found by: a hash of its recipe and of what else decides its pixels.

    Args:
        recipe: with the hashes of its LoRAs.
        circumstances: the base's files, the device and so on.
    """
    text = json.dumps([asdict(recipe), dict(circumstances)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_SIGNS]


def state_of(base: str) -> str:
    """Sizes and dates of a base's files: changed when they are; "" for what is no file or folder here."""
    place = Path(base).expanduser()
    files = [place] if place.is_file() else sorted(place.rglob("*")) if place.is_dir() else []
    seen = [(file.relative_to(place).as_posix(), *_stamp(file)) for file in files if file.is_file()]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest() if seen else ""


def _stamp(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def _plain(label: str) -> str:
    """A label as the beginning of a file's name."""
    short = _ODD.sub("-", label).strip("-.")[:60]
    return f"{short}_" if short else ""

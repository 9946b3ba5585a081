"""Whatever changes, in the pictures, the base, the settings or the cache itself: that and only that is computed again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.data.encode_alone import Counting, digest, encode_pictures

from scumble.data.cache import TensorCache
from scumble.data.captions import WITHOUT
from scumble.data.encode import encode_captions
from scumble.data.pictures import PictureRule
from scumble.data.scan import ScanRule
from scumble.families.find import open_base

CAPTIONS = ("a dog", "a cat", "a cow")


class World:
    """Three pictures, a base, settings and a cache; all of it can be changed."""

    def __init__(self, folder, base):
        self.pictures, self.base, self.cache = folder / "pictures", folder / "base", folder / "kept"
        shutil.copytree(base, self.base)
        self.pictures.mkdir()
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(self.pictures / f"{number}.bmp")
            (self.pictures / f"{number}.txt").write_text(CAPTIONS[number], encoding="utf-8")
        self.picture_options, self.text_options = {}, {}
        self.captions = list(CAPTIONS)

    def encode(self, cache=None):
        """How many latents and text states were computed (None = the model was not loaded), and what came of it."""
        base = open_base(str(self.base))
        cache = cache or self.cache
        latents, encoded = encode_pictures(base, self.pictures, cache, **self.picture_options)
        texts, states = self.encode_texts(base, cache, **self.text_options)
        numbers = [state["hidden"] for state in states.values()]
        return (latents, texts), (digest(encoded), [tensor.numpy().tobytes() for tensor in numbers])

    def encode_texts(self, base, cache, clip_skip=1, num_chunks=1):
        loaded = []

        def load():
            loaded.append(Counting(base.load_text_encoder(torch.device("cpu"))))
            return loaded[0]

        text_hash, shapes = base.hashes()["text_encoder"], base.text_shapes(num_chunks)
        states = encode_captions(self.captions, clip_skip, TensorCache(cache), shapes, text_hash, load, num_chunks)
        return loaded[0].computed if loaded else None, states

    def entries(self, kind="latents"):
        return sorted((self.cache / kind).rglob("*.safetensors"))


@pytest.fixture
def world(tiny_base, tmp_path):
    """A world of which everything is in the cache."""
    world = World(tmp_path, tiny_base)
    assert world.encode()[0] == (3, 3)
    return world


def keeping_time(change):
    """The change of a file that keeps its size and its time stamp."""

    def changed(path):
        before = path.stat()
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)

    return changed


@keeping_time
def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


def edit_picture_unseen(world):
    flip_last_byte(world.pictures / "1.bmp")


def replace_picture(world):
    Image.new("RGB", (40, 30), "green").save(world.pictures / "1.bmp")


def turn_picture_by_exif(world):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(world.pictures / "1.bmp") as image:
        image.save(world.pictures / "1.png", exif=exif)
    (world.pictures / "1.bmp").unlink()


def change_weights(part, name):
    def changed(world):
        path = world.base / part / name
        tensors = load_file(path)
        first = sorted(tensors)[0]
        tensors[first] = tensors[first] + 0.25
        save_file(tensors, path, {"format": "pt"})

    return changed


def change_tokens(world):
    path = world.base / "tokenizer" / "merges.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[: len(lines) // 2]) + "\n", encoding="utf-8")


def caption(world):
    world.captions[1] = "a kitten"


def pictures_by(**options):
    return lambda world: world.picture_options.update(options)


def texts_by(**options):
    return lambda world: world.text_options.update(options)


def of_entry(change, kind="latents"):
    return lambda world: change(world.entries(kind)[0])


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-8])


def rewritten(change):
    """An entry with other tensors, and whatever it says of itself kept."""

    def changed(path):
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            said = file.metadata()
        save_file(change(load_file(path)), path, said)

    return changed


@rewritten
def not_a_number(tensors):
    tensors["mean"][0, 0, 0] = float("nan")
    return tensors


@rewritten
def another_shape(tensors):
    return {name: tensor[:, :1].contiguous() for name, tensor in tensors.items()}


@rewritten
def half_precision(tensors):
    return {name: tensor.half() for name, tensor in tensors.items()}


@rewritten
def other_names(tensors):
    return {"mean": tensors["mean"], "deviation": tensors["std"]}


def swap_entries(world):
    one, two, _ = world.entries()
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


VAE, TEXT = "diffusion_pytorch_model.safetensors", "model.safetensors"
BLUE = ScanRule(WITHOUT, PictureRule((0, 0, 255)))

MUTATIONS = {
    "a picture edited, of the same size and time": (edit_picture_unseen, (1, None)),
    "a picture replaced": (replace_picture, (1, None)),
    "a picture turned by EXIF": (turn_picture_by_exif, (1, None)),
    "other weights of the autoencoder": (change_weights("vae", VAE), (3, None)),
    "another resolution": (pictures_by(side_px=24), (3, None)),
    "mirrored too": (pictures_by(is_mirrored=True), (3, None)),
    "another background": (pictures_by(rule=BLUE), (3, None)),
    "a changed caption": (caption, (None, 1)),
    "another layer of the text encoder": (texts_by(clip_skip=2), (None, 3)),
    "longer captions": (texts_by(num_chunks=2), (None, 3)),
    "other weights of the text encoder": (change_weights("text_encoder", TEXT), (None, 3)),
    "another vocabulary": (change_tokens, (None, 3)),
    "an entry deleted": (of_entry(Path.unlink), (1, None)),
    "an entry cut short": (of_entry(cut_short), (1, None)),
    "an empty entry": (of_entry(lambda path: path.write_bytes(b"")), (1, None)),
    "an entry with NaN": (of_entry(not_a_number), (1, None)),
    "an entry of another shape": (of_entry(another_shape), (1, None)),
    "an entry in half precision": (of_entry(half_precision), (1, None)),
    "an entry with other names": (of_entry(other_names), (1, None)),
    "a flipped bit in an entry": (of_entry(flip_last_byte), (1, None)),
    "a flipped bit in a text state": (of_entry(flip_last_byte, "text"), (None, 1)),
    "two entries swapped": (swap_entries, (2, None)),
}
"""What changes -> how many latents and text states are computed again; None = not even the model is loaded."""


def test_there_are_mutations_enough():
    assert len(MUTATIONS) >= 14


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_changed_is_computed_again_and_nothing_else(world, tmp_path, mutation):
    change, expected = MUTATIONS[mutation]
    change(world)
    computed, found = world.encode()
    assert computed == expected
    assert found == world.encode(tmp_path / "fresh")[1]
    assert world.encode() == ((None, None), found)


def swap_pictures(world):
    one, two = world.pictures / "0.bmp", world.pictures / "1.bmp"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def rename_pictures(world):
    for path in sorted(world.pictures.iterdir()):
        path.rename(path.with_name(f"new {path.name}"))


def touch_all(world):
    for path in [*world.pictures.iterdir(), *world.base.rglob("*")]:
        os.utime(path, (1, 1))


def move_base(world):
    world.base = world.base.rename(world.base.with_name("elsewhere"))


def move_cache(world):
    world.cache = world.cache.rename(world.cache.with_name("elsewhere"))


SAME = {
    "nothing": lambda world: None,
    "two pictures swapped": swap_pictures,
    "other names": rename_pictures,
    "other times": touch_all,
    "another place of the base": move_base,
    "another place of the cache": move_cache,
    "captions in another order": lambda world: world.captions.reverse(),
}


@pytest.mark.parametrize("change", SAME)
def test_where_no_content_changed_no_model_is_loaded(world, tmp_path, change):
    SAME[change](world)
    computed, found = world.encode()
    assert computed == (None, None)
    assert found == world.encode(tmp_path / "fresh")[1]


def test_another_version_computes_everything_again(world, monkeypatch):
    monkeypatch.setattr("scumble.data.cache.VERSION", 1000)
    assert world.encode()[0] == (3, 3)


def start(world, seconds):
    script = Path(__file__).with_name("encode_alone.py")
    words = [sys.executable, str(script), str(world.base), str(world.pictures), str(world.cache), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.fixture
def empty_world(tiny_base, tmp_path):
    """A world of which nothing is in the cache, with ten pictures."""
    world = World(tmp_path, tiny_base)
    for number in range(3, 10):
        Image.new("RGB", (24, 24), (20 * number, 0, 0)).save(world.pictures / f"{number}.bmp")
        (world.pictures / f"{number}.txt").write_text("a dog", encoding="utf-8")
    return world


@pytest.mark.slow
def test_two_processes_at_once_both_end_right_and_leave_nothing_torn(empty_world, tmp_path):
    both = [start(empty_world, 0.05) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    alone = encode_pictures(open_base(str(empty_world.base)), empty_world.pictures, tmp_path / "fresh")
    assert [words[1] for words in said] == [digest(alone[1])] * 2
    again = encode_pictures(open_base(str(empty_world.base)), empty_world.pictures, empty_world.cache)
    assert (again[0], digest(again[1])) == (None, digest(alone[1]))
    assert len(empty_world.entries()) == 10
    assert list(empty_world.cache.rglob("*.tmp")) == []


@pytest.mark.slow
def test_after_a_kill_half_way_only_the_rest_is_computed(empty_world):
    process = start(empty_world, 0.3)
    until = time.monotonic() + 120
    while len(empty_world.entries()) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()
    process.stdout.close()
    done = len(empty_world.entries())
    assert 4 <= done < 10
    assert encode_pictures(open_base(str(empty_world.base)), empty_world.pictures, empty_world.cache)[0] == 10 - done

"""2,000 damaged pictures: each is kept or rejected, none stops a scan, and what a scan keeps can be encoded."""

import subprocess
import sys
import warnings
from pathlib import Path

import decode_alone
import numpy as np
import pytest
import torch
from picture_damage import WAYS, claiming, damaged
from picture_kinds import KINDS
from PIL import Image
from test_picture_kinds import surveyed
from torch.nn.functional import avg_pool2d

from scumble.data.buckets import BucketRule
from scumble.data.cache import TensorCache
from scumble.data.encode import PictureEncoder
from scumble.data.pictures import read_picture
from scumble.errors import DataError

NUMBER, SEED = 2_000, 20
SOURCES = {
    *("baseline.jpg", "progressive.jpeg", "inks of adobe.jpg", "several pictures.jpg", "turned 6.jpg"),
    *(
        "colours.png",
        "1 bit.png",
        "grey 16.png",
        "palette, one half.png",
        "layer.png",
        "interlaced.png",
        "turned 6.png",
    ),
    *("an animation of one frame.png", "transparent.gif", "animation.gif"),
    *("lossy.webp", "lossless.webp", "layer.webp", "turned 6.webp"),
    *("colours.tif", "packed.tiff", "deflated layer.tiff", "jpeg within.tiff", "fax.tiff", "inks.tiff", "real.tiff"),
    *("grey 16.tiff", "with a preview.tiff", "turned 6.tiff"),
    *("colours.bmp", "1 bit.bmp", "palette.bmp", "layer.bmp"),
}
WIDTH, HEIGHT = 4_000, 3_000
BUCKETS = BucketRule(64, 8)
MANY_BYTES = 500_000_000


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Name -> bytes of the whole files."""
    place = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        if kind.name in SOURCES:
            kind.make(place / kind.name)
    found = {path.name: path.read_bytes() for path in place.iterdir()}
    assert found.keys() == SOURCES
    return found


@pytest.fixture(scope="module")
def folder(contents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    for name, content in damaged(contents, NUMBER, SEED):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What a scan makes of the damaged files; nothing of it may end with an error, or warn."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        scan = surveyed(folder)
    assert warned == []
    return scan


class Means:
    """In place of an autoencoder: latents are the means of 8 x 8 pixels."""

    def encode(self, pixels):
        means = avg_pool2d(pixels, 8)
        return means, torch.zeros_like(means)


def encoder(cache):
    return PictureEncoder(
        channels=3,
        pixels_per_latent=8,
        is_mirrored=False,
        cache=TensorCache(cache),
        autoencoder_hash="means",
        load_autoencoder=Means,
        device=torch.device("cpu"),
    )


def test_every_damaged_file_is_kept_or_rejected_with_its_reason(found, folder):
    names = sorted(each.path.name for each in [*found.examples, *found.rejected])
    assert names == sorted(path.name for path in folder.iterdir())
    assert len(names) == NUMBER
    assert all(item.reason.strip() and "\n" not in item.reason for item in found.rejected)
    for outcome in (found.examples, found.rejected):
        assert {way.__name__ for way in WAYS} == {each.path.name[6:].split(" of ")[0] for each in outcome}
        assert len(outcome) > NUMBER / 10


def test_what_is_kept_has_the_size_that_was_said(found):
    for example in found.examples:
        pixels = np.asarray(read_picture(example.path, example.rule))
        assert pixels.shape == (example.size_px[1], example.size_px[0], 3)
        assert pixels.dtype == np.uint8


def test_what_is_kept_can_be_encoded(found, tmp_path):
    cuts = [(example, BUCKETS.size_for(example.size_px)) for example in found.examples]
    latents = list(encoder(tmp_path / "kept").encode(cuts))
    assert len(latents) == len(found.examples)
    for each, (_, (width, height)) in zip(latents, cuts, strict=True):
        assert each.upright.mean.shape == (3, height // 8, width // 8)
        assert each.upright.mean.abs().max() <= 1


def test_a_picture_that_was_damaged_after_the_scan_is_named_when_it_is_encoded(contents, tmp_path):
    (tmp_path / "a.png").write_bytes(contents["colours.png"])
    (example,) = surveyed(tmp_path).examples
    (tmp_path / "a.png").write_bytes(contents["colours.png"][:100])
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        list(encoder(tmp_path / "kept").encode([(example, (16, 16))]))


@pytest.fixture(scope="module")
def outcomes(contents, tmp_path_factory):
    """Name of a file -> bytes of memory that it took to be decoded, in a process of its own, and what became of it."""
    place = tmp_path_factory.mktemp("large")
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    grey = Image.fromarray(noise)
    grey.save(place / "grey.jpg")
    grey.convert("RGB").save(place / "colours.png", compress_level=0)
    grey.convert("RGBA").save(place / "layer.png", compress_level=0)
    Image.fromarray(noise.astype(np.float32)).save(place / "real.tiff")
    for name, content in contents.items():
        for width, height in ((9_990, 10_000), (3_990, 4_000)):
            (place / f"{width} {name}").write_bytes(claiming(name, content, width, height))
    script, paths = (
        Path(__file__).with_name("decode_alone.py"),
        sorted(place.iterdir(), key=lambda path: path.name[0].isdigit()),
    )
    if not decode_alone.RESET.exists():
        pytest.skip("memory is measured on Linux only")
    done = subprocess.run([sys.executable, script, *paths], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {path.name: (int(grown), outcome) for path, (grown, outcome) in zip(paths, lines, strict=True)}


def test_a_header_that_says_too_much_takes_little_memory(outcomes, contents):
    """As many pixels as are read of any file, and as are read of the smallest."""
    claimed = {name: each for name, each in outcomes.items() if name.partition(" ")[0] in {"9990", "3990"}}
    assert len(claimed) == 2 * len(contents)
    assert {name: grown for name, (grown, _) in claimed.items() if grown > MANY_BYTES} == {}
    assert [name for name, (_, outcome) in claimed.items() if outcome.startswith("kept 9990")] == []


@pytest.mark.parametrize(
    ("name", "times"), [("colours.png", 1), ("grey.jpg", 1.25), ("layer.png", 2), ("real.tiff", 2)]
)
def test_a_large_picture_is_in_memory_once_and_its_result_once(outcomes, name, times):
    grown, outcome = outcomes[name]
    assert outcome == f"kept {WIDTH} x {HEIGHT}"
    assert 0.9 * times < grown / (4 * WIDTH * HEIGHT) < times + 0.7

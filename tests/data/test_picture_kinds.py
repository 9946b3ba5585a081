"""Every kind of file that a folder of pictures may hold is read rightly, or rejected with its reason."""

import re
import threading
import warnings
from collections import Counter

import numpy as np
import pytest
from picture_kinds import KINDS, SCENE

from scumble.data import scan
from scumble.data.captions import CaptionRule
from scumble.data.pictures import PictureRule, read_picture
from scumble.data.silence import Silence
from scumble.errors import DataError

KEPT = [kind for kind in KINDS if kind.pixels is not None]
REJECTED = [kind for kind in KINDS if kind.pixels is None]


def surveyed(folder, **rule):
    steps = scan.survey(folder, scan.ScanRule(CaptionRule("sks"), **rule))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        kind.make(folder / kind.name)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What a scan makes of all kinds in one folder."""
    return surveyed(folder)


def test_every_file_is_kept_or_rejected(found):
    names = Counter(each.path.name for each in [*found.examples, *found.rejected])
    assert names == Counter(kind.name for kind in KINDS)
    assert len(KEPT) > 80
    assert len(REJECTED) > 40


@pytest.mark.parametrize("kind", KEPT, ids=lambda kind: kind.name)
def test_a_picture_is_kept_with_its_size_and_pixels(found, kind):
    (example,) = [each for each in found.examples if each.path.name == kind.name]
    expected = kind.pixels if kind.pixels.ndim == 3 else kind.pixels[..., None].repeat(3, -1)
    assert example.size_px == (expected.shape[1], expected.shape[0])
    pixels = np.asarray(read_picture(example.path, example.rule))
    assert (pixels.dtype, pixels.shape) == (np.uint8, expected.shape)
    apart = abs(pixels.astype(int) - expected)
    if kind.within > 1:
        apart = apart.reshape(expected.shape[0] // 8, 8, -1, 8, 3)[:, 2:6, :, 2:6]
    assert apart.max() <= kind.within


@pytest.mark.parametrize("kind", REJECTED, ids=lambda kind: kind.name)
def test_what_is_not_kept_is_rejected_with_its_reason(found, kind):
    (item,) = [each for each in found.rejected if each.path.name == kind.name]
    assert re.search(kind.reason, item.reason)
    assert str(item.path.parent) not in item.reason  # the name stands beside it already


@pytest.mark.parametrize("name", ["animation.png", "animation.gif", "animation.webp", "pages.tiff"])
def test_the_first_frame_or_page_is_read_where_that_is_asked_for(folder, name):
    picture = read_picture(folder / name, PictureRule(first_frame=True))
    assert abs(np.asarray(picture).astype(int)[2::4, 2::4] - SCENE[2::4, 2::4]).max() <= 20


def test_a_picture_read_alone_names_its_file(folder):
    with pytest.raises(DataError, match=r"kinds.*empty\.png: empty file"):
        read_picture(folder / "empty.png")


def test_nothing_is_said_but_the_reasons(folder, capfd):
    """Pillow warns, and libtiff prints; neither says anything that a person could act on."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        surveyed(folder)
    assert warned == []
    assert capfd.readouterr() == ("", "")


def test_threads_that_come_and_go_leave_the_filters_of_warnings_as_they_were():
    silence, before, inside = Silence(), list(warnings.filters), threading.Barrier(2)

    def first():
        with silence:
            inside.wait()
            inside.wait()

    def second():
        inside.wait()
        with silence:
            inside.wait()
            threads[0].join()  # the first to come has left

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before

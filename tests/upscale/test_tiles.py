"""Tiles change nothing that is to be seen, and fit into the memory that there is."""

import itertools

import numpy as np
import pytest
import torch
from tests.upscale.conftest import KINDS, scene

from scumble.errors import OutOfMemoryError
from scumble.upscale import tile_size
from scumble.upscale.model import open_upscaler
from scumble.upscale.tiles import Retiled, Tiled, Tiling, enlarge, ramp, starts


def run(steps):
    """Its events, and its result."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def apart(one, other):
    """By how many of 255 steps two pictures differ at most."""
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


@pytest.mark.parametrize("tile_px", [32, 40, 64])
def test_tiles_give_the_picture_that_the_whole_gives(upscaler, tile_px):
    image = scene(101, 77)
    events, (whole, _) = run(enlarge(upscaler, image, Tiling(128, 32)))
    assert events == [Tiled(1, 1)]
    events, (tiled, _) = run(enlarge(upscaler, image, Tiling(tile_px, 16)))
    assert len(events) == events[-1].done == events[-1].total > 3
    assert tiled.size == (202, 154)
    assert apart(tiled, whole) <= 1  # the model looks 4 px far; the context of an overlap of 16 has 6


def test_the_bound_would_notice_seams(upscaler):
    """Tiles that share nothing have no context."""
    image = scene(96, 64)
    _, (whole, _) = run(enlarge(upscaler, image, Tiling(128, 32)))
    _, (tiled, _) = run(enlarge(upscaler, image, Tiling(32, 0)))
    assert apart(tiled, whole) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_of_every_architecture_come_together(kind, write_model, cpu):
    upscaler = open_upscaler(write_model(KINDS[kind]), cpu)
    _, (tiled, _) = run(enlarge(upscaler, scene(50, 33), Tiling(32, 16)))
    assert tiled.size == (50 * upscaler.scale, 33 * upscaler.scale)


@pytest.mark.parametrize("side_px", [1, 31, 32, 33, 47, 48, 49, 100, 1000])
def test_tiles_cover_a_side_and_share_the_overlap(side_px):
    tiling = Tiling(32, 16)
    begins = starts(side_px, tiling)
    tile_px = min(32, side_px)
    assert begins[0] == 0
    assert begins[-1] + tile_px == side_px
    assert all(first + tile_px - second >= 16 for first, second in itertools.pairwise(begins))
    seen = np.zeros(2 * side_px)
    for index, begin in enumerate(begins):
        share = ramp(begins, index, tile_px, tiling, 2)
        assert (np.diff(share) >= 0).all()
        assert share[-1] == 1
        part = seen[2 * begin : 2 * (begin + tile_px)]
        part[:] = part * (1 - share) + share
    assert np.allclose(seen, 1)


class SmallMemory:
    """Stands for a device: what is larger than `most_px` on a side does not fit."""

    def __init__(self, upscaler, most_px):
        self.upscaler, self.most_px, self.tried = upscaler, most_px, []

    def __getattr__(self, name):
        return getattr(self.upscaler, name)

    def __call__(self, pixels):
        self.tried.append(max(pixels.shape[2:]))
        if self.tried[-1] > self.most_px:
            raise torch.OutOfMemoryError("injected")
        return self.upscaler(pixels)


def test_where_memory_runs_out_tiles_become_smaller_and_it_is_said(upscaler):
    image = scene(150, 90)
    small = SmallMemory(upscaler, 40)
    events, (tiled, tiling) = run(enlarge(small, image, Tiling(128, 16)))
    assert [event for event in events if isinstance(event, Retiled)] == [Retiled(64), Retiled(32)]
    assert tiling == Tiling(32, 16)
    assert small.tried[:2] == [128, 64]
    _, (whole, _) = run(enlarge(upscaler, image, Tiling(256, 32)))
    assert apart(tiled, whole) <= 1


def test_memory_that_is_not_enough_for_anything_is_an_error(upscaler):
    steps = enlarge(SmallMemory(upscaler, 8), scene(), Tiling(128, 16))
    with pytest.raises(OutOfMemoryError, match=r"not enough memory on cpu for tiles of 32 px by model"):
        run(steps)


def test_other_errors_are_no_lack_of_memory(upscaler):
    upscaler.descriptor.model.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        run(enlarge(upscaler, scene(), Tiling(128, 32)))


def test_tiles_are_as_large_as_the_free_memory_allows(upscaler, monkeypatch):
    per_pixel = tile_size.bytes_per_pixel(upscaler)
    assert per_pixel == tile_size.LARGEST_AT_ONCE * 12 * 4  # the widest layer gives 12 channels for each pixel
    for free_px, expected in [(128, 128), (200, 192), (5000, 512), (10, 64)]:
        monkeypatch.setattr(tile_size, "free_bytes", lambda device, free_px=free_px: 2 * per_pixel * free_px**2)
        assert tile_size.choose_tiling(upscaler, 32) == Tiling(expected, 32)
    monkeypatch.undo()
    assert 0 < tile_size.free_bytes(upscaler.device) < 1e13

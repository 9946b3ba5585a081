"""The sheet of samples: the pictures with their captions, as one picture to look at before training."""

import numpy as np
from PIL import Image

from scumble.data.captions import CaptionRule
from scumble.data.scan import ScanRule, scan_folder
from scumble.train.sheet import draw_sheet


def folder_of(tmp_path, colours, caption):
    for index, colour in enumerate(colours):
        Image.new("RGB", (50, 30), colour).save(tmp_path / f"{index:02d}.png")
    return scan_folder(tmp_path, ScanRule(CaptionRule(given=caption))).examples


def shows(sheet, colour):
    return (np.asarray(sheet) == colour).all(axis=-1).sum()


def test_every_picture_is_shown(tmp_path):
    sheet = draw_sheet(folder_of(tmp_path, ["red", "lime", "blue"], "a caption"), "three")
    for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]:
        assert shows(sheet, colour) == 160 * 160


def test_pictures_beyond_the_limit_are_not_shown(tmp_path):
    examples = folder_of(tmp_path, ["red"] * 4 + ["blue"], "a caption")
    sheet = draw_sheet(examples, "five", columns=2, limit=4)
    assert shows(sheet, (255, 0, 0)) == 4 * 160 * 160
    assert shows(sheet, (0, 0, 255)) == 0


def test_the_caption_is_drawn(tmp_path):
    examples = folder_of(tmp_path, ["red"], "")
    empty = np.asarray(draw_sheet(examples, "one"))
    for path in tmp_path.iterdir():
        path.unlink()
    captioned = np.asarray(draw_sheet(folder_of(tmp_path, ["red"], "一只猫 in a very long caption " * 9), "one"))
    assert empty.shape == captioned.shape
    assert (empty != captioned).any()

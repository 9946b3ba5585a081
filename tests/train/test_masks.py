"""Masks: only what they show counts, cut and mirrored as the picture is; what has no mask counts whole."""

import numpy as np
import pytest
import torch
from PIL import Image

from scumble.data.masks import Mask, MaskRule, fit_mask, mask_of
from scumble.data.scan import ScanRule, scan_folder
from scumble.errors import ConfigError, DataError
from scumble.train.loop import train
from scumble.train.losses import sample_means


def left_half(size_px):
    grey = np.zeros(size_px[::-1], np.uint8)
    grey[:, : size_px[0] // 2] = 255
    return Image.fromarray(grey)


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, one of which has a mask, and a folder of masks."""
    folder, masks = tmp_path / "pictures", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    for seed, name in enumerate(("a", "b")):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"picture {name}")
    left_half((64, 64)).save(masks / "a.png")
    return folder, masks


def test_only_what_the_mask_shows_counts():
    errors = torch.zeros(2, 4, 8, 8)
    errors[:, :, :, 4:] = 9.0
    masks = torch.ones(2, 1, 8, 8)
    masks[0, :, :, 4:] = 0
    assert sample_means(errors, masks).tolist() == [0.0, 4.5]
    assert torch.equal(sample_means(errors, torch.ones(2, 1, 8, 8)), sample_means(errors))


def test_a_mask_is_cut_as_its_picture_is():
    mask = fit_mask(left_half((128, 64)), (64, 64), 8)
    assert mask.shape == (1, 8, 8)
    assert mask[0, :, :4].eq(1).all() and mask[0, :, 4:].eq(0).all()


def test_masks_are_found_by_name_or_in_the_alpha_channel(tmp_path, pictures):
    folder, masks = pictures
    seen = left_half((64, 64))
    Image.merge("RGBA", (*Image.new("RGB", (64, 64), "red").split(), seen)).save(folder / "c.png")
    rule = MaskRule(masks, alpha=True)
    found = {name: mask_of(folder / f"{name}.png", (64, 64), rule) for name in ("a", "b", "c")}
    assert isinstance(found["a"], Mask) and not found["a"].is_alpha
    assert found["b"] is None
    assert found["c"].is_alpha
    assert np.array_equal(np.asarray(found["c"].read()), np.asarray(seen))


@pytest.mark.parametrize(
    ("mask", "said"),
    [(Image.new("L", (64, 64)), "black everywhere"), (Image.new("L", (64, 32), 255), "expected the same shape")],
)
def test_a_mask_that_cannot_be_used_leaves_its_picture_out_and_says_why(pictures, mask, said):
    folder, masks = pictures
    mask.save(masks / "b.png")
    scan = scan_folder(folder, ScanRule(masks=MaskRule(masks)))
    assert [example.path.name for example in scan.examples] == ["a.png"]
    assert said in scan.rejected[0].reason


def test_another_mask_is_another_data_set(pictures):
    folder, masks = pictures
    plain, masked = scan_folder(folder), scan_folder(folder, ScanRule(masks=MaskRule(masks)))
    assert plain.fingerprint() != masked.fingerprint()
    left_half((32, 32)).save(masks / "a.png")
    assert scan_folder(folder, ScanRule(masks=MaskRule(masks))).fingerprint() != masked.fingerprint()


def test_a_run_counts_only_what_is_masked_and_says_of_how_many(common, pictures):
    folder, masks = pictures

    def losses(**data):
        events = list(
            train(common({"data": {"folder": folder, "random_flip": True, **data}, "output": {"name": str(len(data))}}))
        )
        (card,) = [event.card for event in events if type(event).__name__ == "Planned"]
        return card, [event.loss for event in events if type(event).__name__ == "Stepped"]

    card, masked = losses(mask_dir=masks)
    assert card["masks"] == "1 of 2 pictures; of the others all counts"
    assert masked != losses()[1]


def test_settings_without_any_mask_are_refused(common, pictures, tmp_path):
    folder, _ = pictures
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="mask_dir would have no effect"):
        list(train(common({"data": {"folder": folder, "mask_dir": tmp_path / "none"}})))
    with pytest.raises(ConfigError, match="no such folder"):
        list(train(common({"data": {"folder": folder, "mask_dir": tmp_path / "gone"}})))


def test_a_mask_that_is_cut_off_is_an_error(common, tmp_path):
    folder, masks = tmp_path / "wide", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    Image.new("RGB", (400, 64), "red").save(folder / "a.png")
    (folder / "a.txt").write_text("red")
    edge = Image.new("L", (400, 64))
    edge.paste(255, (0, 0, 8, 64))
    edge.save(masks / "a.png")
    data = {"folder": folder, "mask_dir": masks, "enable_bucket": False}
    with pytest.raises(DataError, match="black in all that is kept"):
        list(train(common({"data": data})))

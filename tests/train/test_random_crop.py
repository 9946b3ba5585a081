"""Crops at random places: other pixels each time, the same ones for the same position, the validation in the middle."""

import pytest
import torch
from PIL import Image

from scumble.check.forecast import forecast
from scumble.data.masks import Mask
from scumble.data.pictures import USUAL, fit, read_picture
from scumble.data.scan import scan_folder
from scumble.errors import CheckpointError, DataError
from scumble.train.events import Prepared, Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan
from scumble.train.views import MOST_DRAWS, RandomViews


class Pixels:
    """An autoencoder that keeps what it is shown."""

    def __init__(self):
        self.seen = []

    def encode(self, pixels):
        self.seen.append(pixels[0])
        return pixels, torch.zeros_like(pixels)


@pytest.fixture
def stripes(tmp_path):
    """A wide picture in which every column has a colour of its own."""
    folder = tmp_path / "stripes"
    folder.mkdir()
    picture = Image.new("RGB", (256, 64))
    for x in range(256):
        picture.paste((x, 255 - x, 0), (x, 0, x + 1, 64))
    picture.save(folder / "a.png")
    (folder / "a.txt").write_text("stripes")
    return folder


def views_of(folder, seed=0, mask=None):
    (example,) = scan_folder(folder).examples
    if mask is not None:
        object.__setattr__(example, "mask", mask)
    return RandomViews(
        [(example, (64, 64))],
        is_mirrored=True,
        autoencoder=Pixels(),
        device=torch.device("cpu"),
        pixels_per_latent=8,
        frame_state=lambda frame: {"frame": torch.tensor([*frame.original_px, *frame.crop_px, *frame.target_px])},
        seed=seed,
    )


def test_the_cut_is_where_the_frame_says(stripes):
    views = views_of(stripes)
    picture = read_picture(stripes / "a.png", USUAL)
    lefts = []
    for position in range(20):
        view = views.at(0, position, False)
        left = int(view.frame["frame"][2])
        lefts.append(left)
        assert view.frame["frame"].tolist() == [256, 64, left, 0, 64, 64]
        expected = fit(picture.crop((left, 0, left + 64, 64)), (64, 64))
        assert (view.moments.mean - expected).abs().max() <= 1.5 * 2 / 255  # the cut begins between two columns
    assert len(set(lefts)) > 15
    assert min(lefts) < 40
    assert max(lefts) > 152


def test_a_position_sees_the_same_for_ever_and_mirrored_where_it_is(stripes):
    one, again = (views_of(stripes).at(0, 7, False).moments.mean for _ in range(2))
    assert torch.equal(one, again)
    assert torch.equal(views_of(stripes).at(0, 7, True).moments.mean, one.flip(-1))
    assert not torch.equal(views_of(stripes, seed=1).at(0, 7, False).moments.mean, one)


def test_the_mask_is_cut_where_the_picture_is_and_never_black(stripes, tmp_path):
    grey = Image.new("L", (256, 64))
    grey.paste(255, (0, 0, 64, 64))
    grey.save(tmp_path / "mask.png")
    views = views_of(stripes, mask=Mask(tmp_path / "mask.png", False, ""))
    for position in range(20):
        view = views.at(0, position, False)
        left = int(view.frame["frame"][2])
        assert view.mask.any()
        assert view.mask[0].mean() == pytest.approx(max(0, 64 - left) / 64, abs=0.02)


def test_a_mask_that_no_cut_shows_is_an_error(stripes, tmp_path):
    Image.new("L", (256, 64)).save(tmp_path / "mask.png")
    views = views_of(stripes, mask=Mask(tmp_path / "mask.png", False, ""))
    with pytest.raises(DataError, match=f"black in each of {MOST_DRAWS} random cuts"):
        views.at(0, 0, False)


def test_a_run_keeps_no_latents_but_those_of_validation_and_says_so(common, photos):
    config = common({"data": {"folder": photos, "center_crop": False, "random_flip": True}})
    plan = make_plan(config)
    assert (
        forecast(plan, None).cache_bytes < forecast(make_plan(common({"data": {"folder": photos}})), None).cache_bytes
    )
    events = list(train(config))
    (card,) = [event.card for event in events if type(event).__name__ == "Planned"]
    assert "cut at random: encoded anew each time, latents are not kept" in card["resolution"]
    latents = [event for event in events if isinstance(event, Prepared) and event.what == "latents"]
    assert latents[-1].total == len(plan.split.held_out) == 1


def test_a_resumed_run_cuts_where_it_would_have(common, photos):
    def losses(name, steps, **output):
        config = common(
            {
                "data": {"folder": photos, "center_crop": False, "enable_bucket": False},
                "training": {"max_train_steps": 6},
                "output": {"name": name, "checkpointing_steps": 1, **output},
            }
        )
        run, found = train(config), {}
        for event in run:
            if isinstance(event, Stepped):
                found[event.step] = event.loss
                if event.step == steps:
                    run.close()
        return found

    whole = losses("whole", None)
    first = losses("stopped", 3)
    second = losses("stopped", None, resume=True)
    assert first | second == whole
    assert len(second) == 3
    with pytest.raises(CheckpointError, match=r"data\.center_crop was False and is True"):
        list(
            train(
                common(
                    {
                        "data": {"folder": photos, "enable_bucket": False},
                        "training": {"max_train_steps": 6},
                        "output": {"name": "whole", "checkpointing_steps": 1, "resume": True},
                    }
                )
            )
        )

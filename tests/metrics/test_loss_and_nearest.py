"""The loss of any LoRA file is the one that training measured; a picture learnt by heart is found."""

import numpy as np
import pytest
import torch

from scumble.data.captions import CaptionRule
from scumble.errors import MetricError
from scumble.families.find import open_base
from scumble.files.read import read_lora
from scumble.generate.events import Noted
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe
from scumble.metrics import learnt_from, nearest, run_loss, validation_loss
from scumble.metrics.album import Album
from scumble.metrics.base import Measured, Subject
from scumble.metrics.measure import measure
from scumble.train.loop import train

HELD_OUT = {
    0.3: "4 held-out pictures of run photos, each at 8 timesteps with fixed noise",
    0.0: "12 pictures of run photos (none is held out), each at 5 timesteps with fixed noise",
}


@pytest.mark.parametrize("share", HELD_OUT)
def test_the_loss_of_a_file_is_the_one_that_its_run_measured(common, tmp_path, tiny_base, share):
    list(train(common({"validation": {"validation_steps": 2, "validation_split": share}})))
    run = tmp_path / "runs" / "photos"
    base = open_base(str(tiny_base))
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    painter.add_lora("best", read_lora(run / "photos-best.safetensors", base.layer_paths()))
    training, _ = learnt_from.of_run(run)
    use, recipe = LoraUse("best", hash="0"), Recipe("", 32, 32, base="tiny")
    subject = Subject(Album(painter), (use,), recipe, (), (), (1,), training, run=run)
    told, again = next(run_loss.measure(subject)), next(validation_loss.measure(subject))
    assert again.value == pytest.approx(told.value, rel=1e-5)
    assert again.of_base > again.value
    assert again.computed_from.startswith(HELD_OUT[share])
    assert "at step 4 of 4" in told.computed_from


def test_a_lora_of_strength_zero_has_the_loss_of_the_base(subject, photos, album):
    training = learnt_from.of_folder(photos, CaptionRule(), album.painter.base)
    (found,) = validation_loss.measure(subject(weight=0.0, training=training))
    assert found.value == found.of_base
    assert found.spread > 0
    (other,) = validation_loss.measure(subject(weight=1.0, training=training))
    assert other.value != found.value
    assert other.of_base == found.of_base


def test_pictures_learnt_by_heart_are_counted(subject, tmp_path, album):
    """The base's own picture as a training picture: the base draws it by heart."""
    learnt = subject(weight=0.0)
    list(learnt.draw(learnt.prompts))
    for index, picture in enumerate(learnt.base_pictures[:4]):
        picture.save(tmp_path / f"{index}.png")
        (tmp_path / f"{index}.txt").write_text("a handwritten three")
    training = learnt_from.of_folder(tmp_path, CaptionRule(), album.painter.base)
    events = list(nearest.measure(subject(weight=0.0, training=training)))
    found = {event.name: event.value for event in events if isinstance(event, Measured)}
    assert found["copies"] >= 4 / 6
    assert np.isclose(found["nearest"], 0, atol=2)
    assert any(isinstance(event, Noted) and "0.png" in event.text for event in events)


def test_what_cannot_be_measured_is_said_with_what_helps(subject):
    events = list(measure(subject(eyes=None)))
    notes = {event.text.split(": ")[1]: event.text for event in events if isinstance(event, Noted)}
    assert set(notes) == {"run_loss", "validation_loss", "clip_score", "similarity", "fid", "kid", "judge", "nearest"}
    assert "--data FOLDER" in notes["validation_loss"]
    assert "--clip FOLDER" in notes["clip_score"]
    assert {event.name for event in events if isinstance(event, Measured)} == {"drift_pixels", "diversity_pixels"}


def test_what_was_asked_for_by_name_and_cannot_be_measured_is_an_error(subject):
    with pytest.raises(MetricError, match="kid cannot be measured: no network that looks at pictures"):
        list(measure(subject(eyes=None), ("kid",)))


def test_the_same_subject_gives_the_same_numbers(subject, photos, album):
    training = learnt_from.of_folder(photos, CaptionRule(), album.painter.base)
    first, second = ([e for e in measure(subject(training=training)) if isinstance(e, Measured)] for _ in range(2))
    assert first == second
    assert len(first) == 11

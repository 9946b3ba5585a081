"""Captions that are lists of tags: shuffled, kept, left out; each step its own, for ever the same."""

import pytest
import torch
from PIL import Image

from scumble.config import TrainConfig, from_values
from scumble.errors import ConfigError
from scumble.train.loop import train
from scumble.train.wording import Wording

TAGS = "sks, red hair, blue eyes, hat, smile"


def source(seed):
    return torch.Generator().manual_seed(seed)


def test_tags_are_shuffled_behind_those_that_are_kept():
    wording = Wording(True, 2, 0.0, ",")
    found = {wording.of(TAGS, source(seed)) for seed in range(50)}
    assert len(found) == 6  # three tags in any order
    assert all(
        caption.startswith("sks, red hair, ") and sorted(caption.split(", ")) == sorted(TAGS.split(", "))
        for caption in found
    )
    assert wording.of(TAGS, source(3)) == wording.of(TAGS, source(3))


def test_tags_are_left_out_in_their_share_and_kept_ones_never():
    wording = Wording(False, 1, 0.25, ",")
    found = [wording.of(TAGS, source(seed)).split(", ") for seed in range(800)]
    assert all(tags[0] == "sks" and tags == [tag for tag in TAGS.split(", ") if tag in tags] for tags in found)
    left_out = 1 - sum(len(tags) - 1 for tags in found) / (4 * len(found))
    assert left_out == pytest.approx(0.25, abs=0.03)


def test_without_either_a_caption_is_as_it_is():
    assert Wording(False, 0, 0.0, ",").of(" a,b ,  c", source(0)) == " a,b ,  c"


def test_another_separator():
    assert sorted(Wording(True, 0, 0.0, ";").of("a, b; c", source(1)).split("; ")) == ["a, b", "c"]


@pytest.mark.parametrize("idle", [{"keep_tokens": 1}, {"caption_separator": ";"}])
def test_settings_of_tags_that_stay_as_they_are_are_refused(idle):
    with pytest.raises(ConfigError, match="needs shuffle_caption or caption_tag_dropout_rate"):
        from_values(TrainConfig, {"data": {"folder": "x", **idle}})


def test_a_run_reads_shuffled_captions_anew_and_says_so(common, tmp_path, monkeypatch):
    folder = tmp_path / "tagged"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "a.png")
    (folder / "a.txt").write_text(TAGS)
    from scumble.train.session import Session

    read = []
    plain = Session.text_of
    monkeypatch.setattr(Session, "text_of", lambda self, batch: read.extend(batch.captions) or plain(self, batch))
    data = {"folder": folder, "shuffle_caption": True, "keep_tokens": 1}
    events = list(train(common({"data": data})))
    (card,) = [event.card for event in events if type(event).__name__ == "Planned"]
    assert "text states are not kept" in card["captions"]
    shuffled = {caption for caption in read if caption != TAGS}
    assert len(shuffled) > 2
    assert all(caption.startswith("sks, ") for caption in shuffled)

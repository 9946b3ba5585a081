"""Captioning as a whole: real files, a tiny model, the events and the page; nothing is lost and nothing is overwritten."""

import json
import os
import re
import subprocess
import sys
import tempfile

import caption_models
import numpy as np
import pytest
from PIL import Image

from scumble import registry
from scumble.captioning.events import Captioned, Reviewed
from scumble.captioning.review import COMMAND
from scumble.captioning.run import caption
from scumble.captioning.writable import refuse_unwritable
from scumble.cli.app import exit_code
from scumble.config import CaptionConfig, from_values
from scumble.data.scan import scan_folder
from scumble.errors import CaptionerError, ConfigError, DataError
from scumble.generate.events import Noted
from scumble.page import mark_of
from scumble.processes import share_of


@pytest.fixture(scope="session")
def blip(tmp_path_factory):
    return caption_models.write_blip(tmp_path_factory.mktemp("models") / "blip", words_only=True)


@pytest.fixture(scope="session")
def tagger(tmp_path_factory):
    return caption_models.write_tagger(tmp_path_factory.mktemp("models") / "tagger")


@pytest.fixture
def folder(tmp_path):
    """Seven pictures of noise without captions."""
    place = tmp_path / "dogs"
    place.mkdir()
    random = np.random.default_rng(5)
    for index in range(7):
        pixels = random.integers(0, 30 * (index + 2), (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{index}.{'png' if index % 2 else 'jpg'}")
    return place


@pytest.fixture
def run(folder, blip):
    """Caption the folder; the events by kind, and how each picture ended."""

    def start(**values):
        given = {"path": folder, "model": str(blip), "device": "cpu", **values}
        if given.get("captioner", "blip") == "blip":
            given = {"max_tokens": 6, **given}
        events = list(caption(from_values(CaptionConfig, given)))
        notes = [event.text for event in events if isinstance(event, Noted)]
        done = [event for event in events if isinstance(event, Captioned)]
        assert isinstance(events[-1], Reviewed)
        return notes, done, events[-1]

    return start


def kinds(reviewed):
    return {outcome.path.name: outcome.kind for outcome in reviewed.outcomes}


def written(folder):
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}


def test_every_picture_gets_a_caption_that_training_reads(run, folder):
    _, done, reviewed = run(trigger="sks dog")
    assert kinds(reviewed) == {path.name: "written" for path in folder.iterdir() if path.suffix != ".txt"}
    texts = written(folder)
    assert len(texts) == 7
    assert all(text.startswith("sks dog, ") and text.endswith("\n") for text in texts.values())
    read = {example.path.name: example.captions for example in scan_folder(folder).examples}
    assert read == {event.path.name: (event.text,) for event in done}


def test_progress_counts_up_and_says_how_long_it_takes(run):
    _, done, _ = run(batch_size=3)
    assert [(event.done, event.total) for event in done] == [(count, 7) for count in range(1, 8)]
    assert all(event.seconds_left > 0 for event in done[:-1]) and done[-1].seconds_left == 0


def test_the_size_of_batches_changes_no_caption(run, folder):
    run(batch_size=1)
    alone = written(folder)
    run(batch_size=4, overwrite=True)
    assert written(folder) == alone


def test_captions_that_are_there_stay_to_the_byte_and_running_again_does_nothing(run, folder):
    (folder / "3.txt").write_bytes(b"\xef\xbb\xbfmy own  words\r\n")
    (folder / "4.caption").write_text("also mine")
    (folder / "5.txt").write_text(" \n")  # nothing but blanks is no caption
    before = (folder / "3.txt").read_bytes()
    _, done, reviewed = run()
    assert (folder / "3.txt").read_bytes() == before
    assert not (folder / "4.txt").exists()
    assert {name for name, kind in kinds(reviewed).items() if kind == "kept"} == {"3.png", "4.jpg"}
    assert len(done) == 5
    states = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _, done, reviewed = run()
    assert done == [] and set(kinds(reviewed).values()) == {"kept"}
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == states


def test_where_there_is_nothing_to_do_no_model_is_needed(run, folder):
    for index in range(7):
        (folder / f"{index}.txt").write_text("a dog")
    _, _, reviewed = run(model="someone/not-here")
    assert reviewed.number("kept") == 7


def test_captions_of_a_table_count_as_captions(run, folder):
    rows = [{"file_name": f"{index}.{'png' if index % 2 else 'jpg'}", "text": f"dog {index}"} for index in range(3)]
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    _, _, reviewed = run()
    assert {outcome.text for outcome in reviewed.outcomes if outcome.kind == "kept"} == {"dog 0", "dog 1", "dog 2"}
    assert not {"0", "1", "2"} & written(folder).keys()


def test_a_run_that_is_stopped_goes_on_where_it_was(run, folder, blip):
    config = from_values(CaptionConfig, {"path": folder, "model": str(blip), "max_tokens": 6, "batch_size": 2})
    events = caption(config)
    for event in events:
        if isinstance(event, Captioned) and event.done == 3:
            break
    events.close()
    before = written(folder)
    assert len(before) in (3, 4)
    _, done, reviewed = run()
    assert len(done) == 7 - len(before) and len(reviewed.outcomes) == 7
    assert written(folder) | before == written(folder)


def test_only_overwrite_replaces_captions(run, folder):
    (folder / "3.txt").write_text("mine")
    run(overwrite=True)
    assert written(folder)["3"] != "mine"


def test_a_second_text_that_would_contradict_the_new_caption_is_told(run, folder):
    (folder / "4.caption").write_text("mine")
    notes, _, reviewed = run(overwrite=True)
    assert kinds(reviewed)["4.jpg"] == "failed"
    assert "no caption: 4.jpg: 4.caption would say something else than the new caption: remove it" in notes


def test_every_picture_ends_captioned_kept_or_failed_with_its_reason(run, folder):
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    (folder / "phone.heic").write_bytes(b"x")
    (folder / "0.txt").write_text("mine")
    Image.new("RGB", (9, 9)).save(folder / "1.webp")
    notes, done, reviewed = run()
    reasons = {outcome.path.name: outcome.text for outcome in reviewed.outcomes if outcome.kind == "failed"}
    assert reasons == {
        "bad.png": "not a picture that can be read",
        "empty.png": "empty file",
        "phone.heic": ".heic pictures are not read: save it as PNG or JPEG",
        "1.webp": "1.png has the same name, and so the same caption file: rename one",
    }
    assert [f"no caption: {name}: {reason}" in notes for name, reason in reasons.items()] == [True] * 4
    assert (len(done), reviewed.number("written"), reviewed.number("kept")) == (6, 6, 1)
    assert len(reviewed.outcomes) == 11
    assert not (folder / "bad.txt").exists()


def test_what_is_said_ahead_adds_up_with_what_is_said_at_the_end(run, folder):
    (folder / "phone.heic").write_bytes(b"x")
    (folder / "lost.png").symlink_to("gone.png")
    (folder / "0.txt").write_text("mine")
    Image.new("RGB", (9, 9)).save(folder / "1.webp")
    for name in ("film.mp4", "notes.md", "alone.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "0.jpg").rename(folder / "0")
    notes, done, reviewed = run()
    assert "9 pictures: 6 to caption, 3 that cannot have one" in notes
    assert len(done) == 6 and len(reviewed.outcomes) == 9
    assert [note for note in notes if note.startswith("left out: ")] == [
        "left out: 0: a picture whose name does not say so: add .jpg to it",
        "left out: 0.txt: no picture goes with this caption",
        "left out: alone.txt: no picture goes with this caption",
        "left out: film.mp4: not a picture",
        "left out: notes.md: not a picture",
    ]


def test_pictures_of_several_folders_are_named_with_theirs(run, tmp_path):
    for name in ("cats/a.png", "dogs/a.png"):
        (tmp_path / "all" / name).parent.mkdir(parents=True)
        (tmp_path / "all" / name).write_bytes(b"no picture")
    Image.new("RGB", (9, 9)).save(tmp_path / "all" / "cats" / "b.png")
    notes, _, reviewed = run(path=tmp_path / "all")
    assert "no caption: cats/a.png: not a picture that can be read" in notes
    assert "no caption: dogs/a.png: not a picture that can be read" in notes
    assert "cats/a.png</span>" in reviewed.page.read_text(encoding="utf-8")


def test_where_no_picture_is_left_every_reason_is_said(run, tmp_path):
    (tmp_path / "dogs" / "set.toml").write_text(
        "[[datasets]]\n[[datasets.subsets]]\nimage_dir = '.'\nnum_repeats = 0\n"
    )
    with pytest.raises(DataError, match=r"set\.toml: no picture to caption; left out: .*: seen 0 times"):
        run(path=tmp_path / "dogs" / "set.toml")


def test_captions_from_before_that_lack_what_was_asked_for_are_told(run, folder):
    (folder / "0.txt").write_text("sks dog, running")
    (folder / "1.txt").write_text("a dog with a Watermark")
    (folder / "2.txt").write_text("SKS DOG sleeping")
    notes, _, _ = run(trigger="sks dog,", forbidden=("watermark",))
    assert "7 pictures: 4 to caption, 3 with a caption" in notes
    assert (
        "1 caption from before stays as it is, not as --trigger, --forbidden would have it: --overwrite writes all anew"
        in notes
    )
    notes, _, _ = run()
    assert not any("from before" in note for note in notes)


def test_tags_from_before_are_compared_as_tags(run, folder, tagger):
    for index, text in enumerate(["long_hair, red car", "long hair dryer"]):
        (folder / f"{index}.txt").write_text(text)
    notes, _, _ = run(captioner="wd14", model=str(tagger), forbidden=("long hair",))
    assert any(note.startswith("1 caption from before stays as it is, not as --forbidden") for note in notes)


def animation(path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def test_the_first_frame_of_an_animation_is_captioned_if_asked_for(run, folder):
    animation(folder / "moving.gif")
    notes, _, _ = run()
    assert any(note.startswith("no caption: moving.gif: an animation") for note in notes)
    _, _, reviewed = run(first_frame=True)
    assert kinds(reviewed)["moving.gif"] == "written"
    assert "not to be read" not in reviewed.page.read_text(encoding="utf-8")


def test_a_column_of_captions_that_are_there_can_be_named(run, folder):
    rows = [{"file_name": "1.png", "words": "a dog", "by": "me"}]
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(DataError, match="found the columns words, by: say with --caption-column"):
        run()
    _, _, reviewed = run(caption_column="words")
    assert [outcome.text for outcome in reviewed.outcomes if outcome.kind == "kept"] == ["a dog"]
    with pytest.raises(ConfigError, match="caption_column would have no effect"):
        run(path=folder / "3.png", caption_column="words")


@pytest.mark.parametrize("what", ["captions", "page"])
def test_a_folder_that_cannot_be_written_is_named_before_a_model_is_loaded(run, folder, tmp_path, monkeypatch, what):
    refused = folder if what == "captions" else tmp_path
    make = tempfile.NamedTemporaryFile

    def read_only(*arguments, **settings):
        if settings["dir"] == refused:
            raise OSError(30, "Read-only file system", str(refused / "tmp1"))
        return make(*arguments, **settings)

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", read_only)
    advice = "; give --review another place" if what == "page" else ""
    with pytest.raises(
        DataError, match=rf"cannot be written in {re.escape(str(refused))}: Read-only file system{advice}"
    ):
        run(model="someone/not-here")
    assert written(folder) == {} and not list(tmp_path.glob("*.html"))


def test_asking_whether_a_folder_can_be_written_leaves_nothing_in_it(folder):
    before = sorted(folder.iterdir())
    refuse_unwritable(folder, "captions")
    assert sorted(folder.iterdir()) == before


def test_a_picture_on_which_the_model_fails_is_named_and_the_others_are_captioned(run, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.PLUGINS["captioner"], "blip", "picky_captioner")
    Image.new("RGB", (20, 20), "red").save(folder / "red.png")
    notes, done, reviewed = run(model=str(tmp_path), batch_size=8)
    reason = f"{tmp_path} fails on it: IndexError: index out of range in self"
    assert f"no caption: red.png: {reason}" in notes
    assert len(done) == 7 and reviewed.number("failed") == 1
    with pytest.raises(DataError, match=re.escape(f"red.png: it has no caption now (red.png: {reason})")):
        run(path=folder / "red.png", model=str(tmp_path))


def test_a_model_that_fails_on_every_picture_is_one_line(run, folder, tmp_path):
    model = caption_models.write_encoder_decoder(tmp_path / "model")
    settings = json.loads((model / "preprocessor_config.json").read_text())
    settings["size"] = {"height": 48, "width": 48}  # the model takes 32
    (model / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(
        DataError, match=r"none of its 7 pictures has a caption now \(0\.jpg: .*model fails on it: ValueError"
    ):
        run(captioner="any", model=str(model))


def test_a_caption_of_which_nothing_is_left_is_reported_and_not_written(run, folder, tagger):
    for path in folder.iterdir():
        path.unlink()
    Image.new("RGB", (20, 20), "lime").save(folder / "green.png")
    Image.new("RGB", (20, 20), "red").save(folder / "red.png")
    Image.new("RGB", (20, 20), "black").save(folder / "black.png")
    _, _, reviewed = run(captioner="wd14", model=str(tagger), forbidden=("long_hair",))
    assert {outcome.path.name: outcome.text for outcome in reviewed.outcomes} == {
        "green.png": "without the forbidden words nothing is left of 'long hair'",
        "red.png": "hatsune miku, red car",
        "black.png": "the model says nothing about it",
    }
    assert list(written(folder)) == ["red"]


def test_cut_captions_are_counted(run):
    notes, _, _ = run(max_tokens=1)
    assert "7 captions were cut after 1 token; --max-tokens allows more" in notes


def test_one_picture_can_be_captioned_alone(run, folder):
    _, _, reviewed = run(path=folder / "3.png")
    assert list(written(folder)) == ["3"]
    assert reviewed.page == folder.parent / "dogs-3-captions.html"  # not among the pictures


def test_class_pictures_are_left_as_they_are_unless_named(run, folder, tmp_path):
    project = tmp_path / "project"
    for place in ("img/10_sks dog", "reg/1_dog"):
        (project / place).mkdir(parents=True)
        Image.new("RGB", (30, 30), "red").save(project / place / "a.png")
    notes, _, reviewed = run(path=project)
    assert len(reviewed.outcomes) == 1
    assert any("1 class picture is left as it is" in note for note in notes)
    assert not (project / "reg/1_dog/a.txt").exists()
    run(path=project / "reg/1_dog")
    assert (project / "reg/1_dog/a.txt").exists()


def test_a_folder_that_a_dataset_file_names_twice_is_captioned_once(run, folder, tmp_path):
    subset = f'[[datasets.subsets]]\nimage_dir = "{folder.as_posix()}"\n'
    (tmp_path / "dataset.toml").write_text("[[datasets]]\nresolution = 64\n" + subset + subset)
    _, done, reviewed = run(path=tmp_path / "dataset.toml")
    assert (len(done), len(reviewed.outcomes), len(written(folder))) == (7, 7, 7)
    assert reviewed.page == tmp_path / "dataset.toml-captions.html"  # that of a folder dataset is another


def test_where_no_picture_could_be_captioned_it_is_an_error(run, folder):
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of its 7 pictures has a caption now"):
        run()
    with pytest.raises(DataError, match="no such folder"):
        run(path=folder / "nowhere")


# settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"general_threshold": 0.5},
            "general_threshold would have no effect with captioner=blip: it is for captioner=wd14",
        ),
        ({"captioner": "florence", "keep_underscores": True}, "keep_underscores would have no effect"),
        ({"captioner": "wd14", "prompt": "x"}, "captioner=blip or captioner=florence or captioner=any"),
        ({"captioner": "wd14", "max_tokens": 9}, "max_tokens would have no effect with captioner=wd14"),
        ({"captioner": "florence", "prompt": "nonsense"}, "florence takes caption, detailed_caption or more_detailed"),
        ({"captioner": "any"}, "model must be given with captioner=any"),
        ({"captioner": "blib"}, "'blip'"),
        ({"trigger": " "}, "trigger is empty"),
        ({"forbidden": ["a", ""]}, "forbidden is empty"),
        ({"batch_size": 0}, "must be 1 or more"),
        ({"general_threshold": 1.5, "captioner": "wd14"}, "must be below 1"),
        ({"thresholds": 1}, "unknown setting 'thresholds'"),
    ],
)
def test_settings_that_cannot_be_or_would_do_nothing_are_refused(values, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        from_values(CaptionConfig, {"path": "x", **values})


# the page


def test_the_page_shows_every_picture_and_needs_nothing_else(run, folder):
    (folder / "0.txt").write_text("mine & <b>yours</b>")
    (folder / "bad.png").write_bytes(b"no picture")
    _, _, reviewed = run(trigger="sks dog")
    page = reviewed.page.read_text(encoding="utf-8")
    assert reviewed.page == folder.with_name("dogs-captions.html")
    assert page.count("<figure>") == 8 and page.count("data:image/jpeg;base64,") == 7
    assert "mine &amp; &lt;b&gt;yours&lt;/b&gt;" in page
    assert page.count(">new</span>") == 6 and page.count(">as it was</span>") == 1
    assert "not a picture that can be read" in page
    assert "<li><b>6</b>sks</li>" in page
    assert not re.search(r'<script|https?://|src="(?!data:)|url\(', page)


def test_tags_are_counted_as_tags(run, folder, tagger):
    _, _, reviewed = run(captioner="wd14", model=str(tagger), general_threshold=0.01)
    assert "<li><b>7</b>long hair</li>" in reviewed.page.read_text(encoding="utf-8")


def test_the_page_is_written_anew_and_no_file_of_another_s_is(run, folder, tmp_path):
    place = tmp_path / "mine.html"
    place.write_text("<p>a page of my own</p>")
    with pytest.raises(ConfigError, match="a file that captioning did not write"):
        run(review=place)
    assert place.read_text() == "<p>a page of my own</p>" and written(folder) == {}
    for _ in range(2):
        _, _, reviewed = run(review=tmp_path / "page.html")
    assert mark_of(COMMAND) in (tmp_path / "page.html").read_text(encoding="utf-8") and reviewed.number("kept") == 7
    for odd in ("page.txt", "nowhere/page.html"):
        with pytest.raises(ConfigError, match=r"must end in \.html|there is no folder"):
            run(review=tmp_path / odd)


def test_a_page_of_very_many_pictures_shows_the_first_and_counts_the_rest(run, monkeypatch):
    monkeypatch.setattr("scumble.captioning.review.MOST_PICTURES", 3)
    page = run()[2].page.read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 and "The first 3; 4 more are not shown." in page


# the command


def test_the_command_captions_a_folder(folder, blip, capsys):
    arguments = ["caption", str(folder), "--model", str(blip), "--device", "cpu", "--max-tokens", "6"]
    assert exit_code([*arguments, "--forbidden", "house", "--forbidden", "dog"]) == 0
    said = capsys.readouterr().out
    assert "7 pictures: 7 captioned, 0 had a caption, 0 without one" in said
    assert not any({"house", "dog"} & set(text.split()) for text in written(folder).values())


def test_the_command_says_where_a_model_comes_from_in_one_line(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert exit_code(["caption", str(folder), "--device", "cpu"]) == CaptionerError.exit_code
    said = capsys.readouterr().err
    assert "'hf download Salesforce/blip-image-captioning-base'" in said and said.count("\n") == 1


# several processes


def test_shares_are_disjoint_and_whole():
    items = list(range(10))
    shares = [share_of({"RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "x"}) for rank in range(3)]
    assert sorted(item for share in shares for item in share.of(items)) == items
    assert share_of({}).of(items) == items


@pytest.mark.parametrize("odd", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "two"}])
def test_odd_variables_of_processes_are_refused(odd):
    with pytest.raises(ConfigError, match="start several processes with torchrun"):
        share_of(odd)


@pytest.mark.slow
def test_two_real_processes_share_the_pictures_and_the_first_one_reports(folder, blip, tmp_path):
    (folder / "0.txt").write_text("mine")
    (folder / "bad.png").write_bytes(b"no picture")
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "scumble",
        "caption",
        "dogs",
    ]
    flags = ["--model", str(blip), "--device", "cpu", "--max-tokens", "6"]
    done = subprocess.run(
        [sys.executable, *command, *flags],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4 pictures for process 1 of 2: 3 to caption, 1 with a caption" in done.stdout
    assert "4 pictures for process 2 of 2: 4 to caption" in done.stdout
    assert done.stdout.count("8 pictures: 6 captioned, 1 had a caption, 1 without one") == 1
    together = written(folder)
    assert len(together) == 7
    page = (tmp_path / "dogs-captions.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 8 and page.count(">new</span>") == 6
    list(caption(from_values(CaptionConfig, {
        "path": folder, "model": str(blip), "device": "cpu", "max_tokens": 6, "overwrite": True,
    })))  # fmt: skip
    assert {**written(folder), "0": "mine"} == together

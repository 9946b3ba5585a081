"""The report of a run: what the page says, that it stands alone, and that it can be made of any run at any time."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tests.report.conftest import MEAN

from scumble.cli.app import exit_code
from scumble.cli.report import AtTheEnd
from scumble.report.facts import gather
from scumble.report.learnt import COPIES, OVERFITTED, Statement, Verdict
from scumble.report.page import page_of
from scumble.report.use import use_of
from scumble.train.events import Stepped
from scumble.train.loop import train

MOST_BYTES = 6_000_000
"""Of a page, whatever a run drew."""

SECTIONS = (
    "What it learnt", "Before and after", "Samples over time", "Nearest training pictures", "Curves", "How to use it",
    "How to go on", "What programs make of the file", "What it learnt from", "Settings", "Files",
    "Machine, versions, time and memory",
)  # fmt: skip
OUTSIDE = re.compile(r'(?:src|href|srcset)\s*=\s*(?!"data:)|url\(|@import|<link|<iframe')


@pytest.fixture(scope="module")
def page(whole_run):
    return page_of(gather(whole_run))


def without(run, *names):
    """A run that never kept some of its files."""
    for name in names:
        place = run / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    return run


def cut_journal(run, kind, count):
    """The journal as a kill leaves it: up to so many lines of a kind, and half a line."""
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ends = [index for index, line in enumerate(lines) if json.loads(line)["kind"] == kind]
    kept = lines[: ends[count - 1] + 1]
    (run / "events.jsonl").write_text("\n".join([*kept, lines[-1][:20]]), encoding="utf-8")


def test_a_finished_run_is_told_in_full(page):
    assert [section for section in SECTIONS if f"<h2>{section}</h2>" not in page] == []
    for word in ("held-out loss", "standard errors", "finds the trained change in the file", "broken.png", "steps"):
        assert word in page
    for program in ("A1111", "ComfyUI", "diffusers", "sd-scripts", "LyCORIS"):
        assert f"<td>{program}</td>" in page
    assert page.count("<svg ") == 3
    assert "not kept" not in page


def test_the_verdict_is_said_before_anything_else(page):
    assert page.index("<h2>What it learnt</h2>") == page.index("<h2>")
    assert page.index('class="verdict') < page.index("<h2>")


def test_words_of_captions_and_prompts_are_never_the_pages_own(page):
    assert "<script>alert" not in page
    assert "<b>sks</b>" not in page
    assert page.count("&lt;script&gt;alert(&quot;a&quot;)&lt;/script&gt;") >= 12


def test_a_page_refers_to_nothing_outside_itself(page):
    assert OUTSIDE.findall(page) == []
    assert page.count("data:image/") > 20


def test_settings_that_were_asked_for_stand_apart(whole_run):
    facts = gather(whole_run)
    assert facts.told.given["adapter"] == {"rank": 2}
    assert facts.told.given["optimizer"] == {"learning_rate": 0.01}
    assert set(facts.told.settings["optimizer"]) > {"learning_rate", "optimizer", "lr_scheduler"}


def test_what_was_learnt_from_is_known_by_its_content(whole_run):
    sheet = gather(whole_run).sheet
    assert len(sheet.pictures) == 12
    assert sum(picture.is_held_out for picture in sheet.pictures) == 1
    assert sheet.pictures[3].captions == (f"{MEAN} 3",)
    assert sheet.rejected == {"broken.png": "not a picture that can be read"}
    assert sheet.pictures[3].image().size == (48, 40)


def test_pictures_that_changed_since_are_not_shown_as_those_that_were_learnt(run, tmp_path):
    facts = gather(run)
    moved = tmp_path / "03.png"
    Image.new("RGB", (48, 40)).save(moved)
    values = json.loads((run / "pictures.json").read_bytes())
    values["pictures"][3]["path"] = str(moved)
    (run / "pictures.json").write_text(json.dumps(values), encoding="utf-8")
    assert facts.sheet.pictures[3].image() is not None
    assert gather(run).sheet.pictures[3].image() is None
    assert "not there any more" in page_of(gather(run))


def test_each_prompt_is_a_row_and_the_base_is_its_first_column(whole_run):
    samples = gather(whole_run).samples
    assert [(row.prompt, row.seed, sorted(row.pictures)) for row in samples.rows] == [
        (MEAN, 1025, [0, 2, 4]),
        ("a dog", 1025, [0, 2, 4]),
    ]
    assert len(samples.nearest) == 2
    assert all(nearest.sample.is_file() and nearest.distance > 0 for nearest in samples.nearest)


def test_a_killed_run_is_told_as_far_as_it_came(run):
    cut_journal(run, "stepped", 3)
    without(run, "photos.safetensors", "photos-best.safetensors", "history.json", "curves.png")
    facts = gather(run)
    assert facts.told.run.state == "killed"
    assert facts.told.course.steps[-1].step == 3
    page = page_of(facts)
    assert "ended without a word at step 3 of 4" in page
    assert "--resume" in page
    assert "not proved yet" in page
    assert facts.chosen.name == "photos-000004.safetensors"
    assert "events.jsonl: 1 line is not whole" in page


def test_a_run_that_kept_nearly_nothing_says_what_it_does_not_know(run):
    """As runs were kept before there were journals and lists of pictures."""
    settings = (run / "config.toml").read_text(encoding="utf-8")
    (run / "config.toml").write_text(re.sub(r"(?m)^validation_prompt.*\n", "", settings), encoding="utf-8")
    page = page_of(gather(without(run, "events.jsonl", "pictures.json", "samples", "photos-best.safetensors")))
    for said in (
        "did not keep which settings were asked for", "kept no list of its pictures", "No sample pictures", "not kept",
        "cannot be said: the run did not keep the losses",
    ):  # fmt: skip
        assert said in page
    assert "the training pictures with their captions" in page
    assert f"{MEAN} 0" in gather(run).use.prompt  # the file's own metadata name a caption
    assert page.count("<svg ") == 2


def test_a_folder_with_settings_alone_still_has_a_report(run):
    everything = [place.name for place in run.iterdir() if place.name != "config.toml"]
    page = page_of(gather(without(run, *everything)))
    assert "There is no LoRA file yet." in page
    assert "No step was made" in page
    assert "no validation was made" in page


def test_many_sample_pictures_make_no_heavy_page(run):
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(pixels).save(run / "noise.png")
    for step in range(0, 24, 2):
        folder = run / "samples" / f"{step:06d}"
        folder.mkdir(exist_ok=True)
        for prompt in range(40):
            (folder / f"{prompt:02d}-1025.png").unlink(missing_ok=True)
            (folder / f"{prompt:02d}-1025.png").hardlink_to(run / "noise.png")
    page = page_of(gather(run))
    assert len(page) < MOST_BYTES
    assert "Not shown here, but in the run's folder: 16 rows and 3 steps." in page


def test_json_tells_the_same_facts_and_writes_no_page(run, capsys):
    assert exit_code(["report", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not (run / "report.html").exists()
    assert told["verdict"]["word"] == gather(run).verdict.word
    assert [step["step"] for step in told["course"]["steps"]] == [1, 2, 3, 4]
    assert told["course"]["validations"][0]["losses"]
    assert len(told["pictures"]["pictures"]) == 12
    assert {program["name"] for program in told["verification"]["programs"]} >= {"A1111", "ComfyUI"}
    assert told["took"]["memory_bytes"] > 0
    assert told["trained_on"]["versions"]["torch"]


def test_the_command_writes_the_page_and_replaces_only_its_own(run, capsys):
    assert exit_code(["report", str(run)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert exit_code(["report", str(run)]) == 0
    (run / "report.html").write_text("my own notes", encoding="utf-8")
    assert exit_code(["report", str(run)]) == 2
    assert "something that report did not write" in capsys.readouterr().err
    assert (run / "report.html").read_text(encoding="utf-8") == "my own notes"


def test_a_prompt_is_drawn_by_the_base_and_with_the_lora(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert exit_code(["report", str(run), "--prompt", "a cat & a dog", "--seed", "7", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "a cat &amp; a dog" in page
    assert "seed 7, strength 1" in page


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--json", "--prompt", "a dog"], "prompt would have no effect"),
        (["--json", "--out", "page.html"], "out would have no effect"),
        (["--seed", "3"], "seed would have no effect"),
        (["--prompt", "a dog <lora:photos:1>"], "leave the tag out"),
    ],
)
def test_flags_without_effect_are_refused(run, capsys, flags, said):
    assert exit_code(["report", str(run), *flags]) == 2
    assert said in capsys.readouterr().err


def test_no_run_is_an_error_that_says_where_runs_are_listed(tmp_path, capsys):
    assert exit_code(["report", str(tmp_path)]) == 1
    assert "scumble runs lists" in capsys.readouterr().err


def command_line(config):
    """The same run as a command."""
    return [
        "train", str(config.data.folder), "--base", config.model.base, "--cache-dir", str(config.data.cache_dir), "--rank", "2",
        "--learning-rate", f"{config.optimizer.learning_rate:g}", "--max-train-steps", "4", "--device", "cpu", "--report-to",
        "none", "--output-dir", str(config.output.output_dir),
    ]  # fmt: skip


def test_a_training_ends_with_its_report(settings, tmp_path, capsys):
    assert exit_code(command_line(settings(tmp_path))) == 0
    assert capsys.readouterr().out.rstrip().endswith("report.html")
    assert "finished" in (tmp_path / "photos" / "report.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_a_line_and_fails_no_training(settings, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "report.html").write_text("my own notes", encoding="utf-8")
    assert exit_code(command_line(settings(tmp_path))) == 0
    assert "no report was written: ConfigError" in capsys.readouterr().out
    assert (tmp_path / "photos" / "photos.safetensors").is_file()


def test_a_stopped_training_has_its_report_too(settings, tmp_path):
    at_the_end = AtTheEnd()
    events = at_the_end.watched(train(settings(tmp_path)))
    while not isinstance(next(events), Stepped):
        pass
    events.close()
    at_the_end.write()
    page = (tmp_path / "photos" / "report.html").read_text(encoding="utf-8")
    assert "stopped at step 1 of 4, and saved" in page
    assert "--resume" in page


def test_a_diverged_training_has_its_report_too(settings, tmp_path):
    config = settings(tmp_path, optimizer={"learning_rate": 1e30, "lr_scheduler": "constant"})
    assert exit_code([*command_line(config), "--lr-scheduler", "constant", "--max-grad-norm", "0"]) == 3
    page = (tmp_path / "photos" / "report.html").read_text(encoding="utf-8")
    assert '<span class="verdict bad">diverged</span>' in page
    assert "To begin anew, learning slower" in page


def test_a_training_that_was_refused_touches_no_report(settings, tmp_path, whole_run):
    at_the_end = AtTheEnd()
    with pytest.raises(Exception, match="holds a run already"):
        list(at_the_end.watched(train(settings(whole_run.parent))))
    at_the_end.write()
    assert not (whole_run / "report.html").exists()


@pytest.mark.parametrize(
    ("verdict", "strength"),
    [
        (Verdict("learnt", "good", ()), 1.0),
        (Verdict("perhaps learnt", "warn", ()), 1.0),
        (Verdict(OVERFITTED, "warn", ()), 0.8),
        (Verdict("learnt", "good", (Statement(COPIES, "copies", "warn"),)), 0.8),
    ],
)
def test_only_what_was_learnt_too_well_is_used_with_less_strength(verdict, strength):
    told = SimpleNamespace(setting=lambda *_: None, trigger="sks")
    assert use_of(Path("photos.safetensors"), told, verdict, "a dog").strength == strength

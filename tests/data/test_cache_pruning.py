"""What lies in a cache is told by kind and age; what was not used for longest goes first, and nothing while a run uses it."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from PIL import Image

from scumble.cli.app import exit_code
from scumble.data.cache import TensorCache, content_key
from scumble.data.cache_contents import Limits, contents_of, prune
from scumble.data.cache_use import FOLDER, GATE, cache_alone, cache_in_use
from scumble.data.datasets.export import exported
from scumble.data.datasets.rows import Row
from scumble.errors import DataError

DAY = 86_400.0
NOW = 1_700_000_000.0


def png():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def last_used(path, days_ago):
    os.utime(path, (NOW - days_ago * DAY,) * 2)


SHAPES = {"mean": [2]}


def put(cache, kind, name, days_ago):
    key = content_key(kind, {"name": name})
    tensors = TensorCache(cache)
    tensors.get_or_make(key, SHAPES, lambda: {"mean": torch.zeros(2)})
    last_used(tensors.path(key), days_ago)
    return tensors.path(key)


@pytest.fixture
def cache(tmp_path):
    """Two latents, a text state and a dataset, 40, 30, 20 and 10 days old."""
    folder = tmp_path / "kept"
    put(folder, "latents", "a", 40)
    put(folder, "latents", "b", 30)
    put(folder, "text", "c", 20)
    dataset, _ = exported(folder, "d" * 64, iter([Row(png(), ("a dog",))]), "text")
    last_used(dataset / ".scumble-dataset.json", 10)
    return folder


def kinds(contents):
    return [content.kind for content in contents]


ALL = ["latents", "latents", "text states", "datasets"]


def test_contents_are_told_by_kind_the_least_recently_used_first(cache):
    contents = contents_of(cache)
    assert kinds(contents) == ALL
    assert [round((NOW - content.used) / DAY) for content in contents] == [40, 30, 20, 10]
    on_disk = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    assert sum(content.size for content in contents) == on_disk


def test_an_empty_or_missing_cache_has_no_contents(tmp_path):
    assert contents_of(tmp_path / "none") == []
    assert prune(tmp_path / "none", Limits(everything=True), NOW) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("days", "gone"), [(50, 0), (35, 1), (15, 3), (0, 4)])
def test_what_was_not_used_for_so_long_goes(cache, days, gone):
    assert kinds(prune(cache, Limits(older_than_days=days), NOW)) == ALL[:gone]
    assert kinds(contents_of(cache)) == ALL[gone:]


def test_the_least_recently_used_go_until_the_rest_is_small_enough(cache):
    sizes = [content.size for content in contents_of(cache)]
    assert prune(cache, Limits(max_bytes=sum(sizes)), NOW) == []
    assert kinds(prune(cache, Limits(max_bytes=sum(sizes) - 1), NOW)) == ALL[:1]
    assert kinds(prune(cache, Limits(max_bytes=sizes[3]), NOW)) == ALL[1:3]
    assert kinds(prune(cache, Limits(max_bytes=0), NOW)) == ALL[3:]


def test_both_limits_together_remove_what_either_would(cache):
    sizes = [content.size for content in contents_of(cache)]
    limits = Limits(older_than_days=35, max_bytes=sum(sizes[2:]))
    assert kinds(prune(cache, limits, NOW)) == ALL[:2]


def test_everything_leaves_nothing_but_what_others_put_there(cache):
    foreign = [
        cache / "notes.txt",
        cache / "latents" / "notes.txt",
        cache / "ab" / "model.safetensors",
        cache / "datasets" / "mine" / "a.png",
        contents_of(cache)[0].path.with_name("b" * 64 + ".safetensors"),
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("keep me", encoding="utf-8")
    assert kinds(prune(cache, Limits(everything=True), NOW)) == ALL
    assert all(path.read_text(encoding="utf-8") == "keep me" for path in foreign)
    left = {path for path in cache.rglob("*") if path.is_file()} - {cache / FOLDER / GATE}
    assert left == set(foreign)


def test_a_link_that_leads_elsewhere_is_not_followed(cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    kept = put(elsewhere, "latents", "x", 99)
    (cache / "latents" / "ff").symlink_to(kept.parent, target_is_directory=True)
    (cache / "text").rename(cache / "aside")
    (cache / "text").symlink_to(elsewhere / "latents", target_is_directory=True)
    prune(cache, Limits(everything=True), NOW)
    assert kept.is_file()


def test_what_nothing_reads_any_more_goes_always_and_is_told_apart(cache):
    old = cache / "ab" / ("ab" + "0" * 62 + ".safetensors")
    torn = contents_of(cache)[0].path.with_name(".scumble-0123456789abcdef.tmp")
    export = cache / "datasets" / ".scumble-0123456789abcdef.tmp" / "00000000.png"
    for path in (old, torn, export):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert sorted(kinds(contents_of(cache))) == sorted([*ALL, "of an older version", "left over", "left over"])
    gone = prune(cache, Limits(), NOW)
    assert sorted(kinds(gone)) == ["left over", "left over", "of an older version"]
    assert not any(path.exists() for path in (old, old.parent, torn, export.parent))
    assert kinds(contents_of(cache)) == ALL


def test_reading_an_entry_or_a_dataset_makes_it_the_most_recently_used(cache):
    assert TensorCache(cache).get(content_key("latents", {"name": "a"}), SHAPES) is not None
    assert kinds(contents_of(cache))[-1] == "latents"
    last_used(contents_of(cache)[-1].path, 5)
    exported(cache, "d" * 64, iter([]), "text")
    assert kinds(contents_of(cache))[-1] == "datasets"


def test_nothing_is_removed_while_a_run_uses_the_cache(cache):
    with cache_in_use(cache), cache_in_use(cache):
        with pytest.raises(DataError, match=r"2 runs use .*: nothing was removed"):
            prune(cache, Limits(everything=True), NOW)
        assert kinds(contents_of(cache)) == ALL
    assert kinds(prune(cache, Limits(everything=True), NOW)) == ALL


HOLD = """
import sys, time
from pathlib import Path
from scumble.data.cache_use import cache_in_use
with cache_in_use(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


def test_a_run_in_another_process_is_seen_and_one_that_was_killed_is_not_waited_for(cache):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(cache)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(DataError, match="a run uses"):
        prune(cache, Limits(everything=True), NOW)
    process.kill()
    process.communicate()
    assert kinds(prune(cache, Limits(everything=True), NOW)) == ALL
    assert [path.name for path in (cache / FOLDER).iterdir()] == [GATE]


def test_a_run_that_begins_while_the_cache_is_pruned_waits(cache):
    began = threading.Event()

    def run():
        with cache_in_use(cache):
            began.set()

    (cache / FOLDER).mkdir()
    with FileLock(cache / FOLDER / GATE):
        thread = threading.Thread(target=run)
        thread.start()
        assert not began.wait(0.3)
        with pytest.raises(DataError, match="being pruned"):
            prune(cache, Limits(everything=True), NOW)
    assert began.wait(30)
    thread.join()


def test_a_cache_that_cannot_be_written_to_is_named_and_not_a_lock_in_it(tmp_path):
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    for use in (cache_in_use, cache_alone):
        with (
            pytest.raises(DataError, match=r"cache: the cache cannot be written to .*--cache-dir"),
            use(tmp_path / "cache"),
        ):
            pass


def test_training_holds_the_cache_until_it_ends(tiny_base, photos, tmp_path):
    from scumble.config import TrainConfig, from_values
    from scumble.train.events import Prepared
    from scumble.train.loop import train

    values = {
        "model": {"base": str(tiny_base)},
        "data": {"folder": photos, "cache_dir": tmp_path / "kept"},
        "training": {"max_train_steps": 1, "device": "cpu"},
        "output": {"output_dir": tmp_path / "runs", "report_to": "none"},
    }
    events = train(from_values(TrainConfig, values))
    for event in events:
        if isinstance(event, Prepared) and event.what != "pictures":  # those are looked at before
            break
    with pytest.raises(DataError, match="a run uses"):
        prune(tmp_path / "kept", Limits(everything=True), NOW)
    events.close()
    assert len(prune(tmp_path / "kept", Limits(everything=True), NOW)) >= 1


@pytest.fixture
def command(cache, capsys):
    """Runs the command on the cache: exit code, what it printed, its error."""

    def run(*words):
        code = exit_code(["cache", *words, "--cache-dir", str(cache)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


def test_the_command_shows_folder_kinds_sizes_and_ages(command, now, cache):
    code, out, _ = command()
    first, *lines = out.splitlines()
    assert code == 0
    assert first.startswith(f"{cache}: 4 entries, ")
    assert [" ".join(line.split()).partition(" last ")[2] for line in lines] == [
        "used 30 days to 40 days ago",
        "used 20 days ago",
        "used 10 days ago",
    ]


def test_ages_that_are_the_same_in_words_are_said_once(command, now, cache):
    put(cache, "text", "e", 20)
    assert "last used 20 days ago" in command()[1]


def test_the_command_prunes_by_age_and_says_what_is_left(command, now, cache):
    code, out, _ = command("prune", "--older-than", "25")
    assert code == 0
    assert "2 entries" in out.splitlines()[0] and out.splitlines()[0].endswith(" removed")
    assert out.splitlines()[-1].startswith("left: 2 entries, ")
    assert kinds(contents_of(cache)) == ALL[2:]


def test_without_a_limit_the_command_names_the_limits(command, now, cache):
    code, out, _ = command("prune", "--dry-run")
    assert code == 0
    assert out.startswith("no limit is given")
    assert "0 entries" in out.splitlines()[1]


@pytest.mark.parametrize("words", [["--all"], ["--max-size", "0"], ["--older_than_days=1"]])
def test_a_dry_run_says_the_same_and_removes_nothing(command, now, cache, words):
    with cache_in_use(cache):
        dry = command("prune", *words, "--dry-run")[1].splitlines()
    assert kinds(contents_of(cache)) == ALL
    wet = command("prune", *words)[1].splitlines()
    assert dry[0].replace("would be removed", "removed") == wet[0]
    assert dry[1:] == wet[1:-1]
    assert "4 entries" in dry[0] and wet[-1] == "left: 0 entries, 0 bytes"


def test_a_cache_in_use_is_one_line_and_an_exit_code(command, cache):
    with cache_in_use(cache):
        code, _, errors = command("prune", "--all")
    assert code == DataError.exit_code
    assert errors == f"error: a run uses {cache}: nothing was removed; try again afterwards, or see with --dry-run\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--all", "--older-than", "3"], "older_than_days would have no effect: everything goes"),
        (["--max-size", "-1"], "must be 0 or more"),
        (["--max-siz", "1"], "Did you mean"),
    ],
)
def test_limits_that_do_not_do_are_refused(command, cache, words, said):
    code, _, errors = command("prune", *words)
    assert code == 2
    assert said in errors
    assert kinds(contents_of(cache)) == ALL


def test_the_pruned_cache_is_that_of_the_person_unless_another_is_named(capsys, tmp_path):
    assert exit_code(["cache"]) == 0
    assert (
        capsys.readouterr().out == f"{Path(tmp_path / 'cache')}: 0 entries, 0 bytes\n"
    )  # as the fixture own_cache says

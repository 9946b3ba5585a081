"""Datasets in tables and archives, of the hub's cache or lying here, become the pictures and captions that are trained on."""

import builtins
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scumble.config import TrainConfig, from_values, read_toml, write_toml
from scumble.data.datasets.export import exported
from scumble.data.datasets.open import Request, open_dataset
from scumble.data.datasets.rows import Row
from scumble.data.datasets.shards import choose_shards
from scumble.data.scan import ScanRule, scan_folder
from scumble.errors import ConfigError, DataError
from scumble.train.card import planned
from scumble.train.plan import make_plan

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def picture(number, kind="PNG"):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 36, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def cell(number, kind="PNG"):
    """A picture as the library stores it."""
    return {"bytes": picture(number, kind), "path": None}


@pytest.fixture
def parquet():
    """Writes columns by the library itself, pictures declared as such."""
    from datasets import Dataset, Features, Image, List, Value, disable_progress_bars

    disable_progress_bars()

    def dataset(pictures="image", **columns):
        kinds = {pictures: Image()}
        for name, values in columns.items():
            first = next((value for value in values if value is not None), None)
            value = Value("string" if isinstance(first, str | list) else "int64")
            kinds.setdefault(name, List(value) if isinstance(first, list) else value)
        count = len(next(iter(columns.values()), range(4)))
        values = {pictures: [cell(number) for number in range(count)], **columns}
        return Dataset.from_dict(values, features=Features({name: kinds[name] for name in values}))

    def write(path, pictures="image", **columns):
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset(pictures, **columns).to_parquet(path)
        return path

    write.dataset = dataset
    return write


@pytest.fixture
def opened(tmp_path):
    return lambda name, **asked: open_dataset(Request(str(name), **asked), tmp_path / "kept")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder that is the snapshot of a dataset in the hub's cache, on a machine without network."""
    cache = tmp_path / "hub"
    repository = cache / "datasets--someone--dogs"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return snapshot


def captions_in(dataset, **rule):
    scan = scan_folder(dataset.folder, ScanRule(caption_column=dataset.caption_column, **rule))
    return [example.captions for example in scan.examples]


TEXTS = ["a dog", "a cat", "a cow", "a hen"]


def test_a_parquet_file_of_the_library_becomes_its_pictures_and_captions(parquet, opened, tmp_path):
    dataset = opened(parquet(tmp_path / "dogs.parquet", text=TEXTS))
    scan = scan_folder(dataset.folder, ScanRule(caption_column=dataset.caption_column))
    assert [example.captions for example in scan.examples] == [(text,) for text in TEXTS]
    assert [example.path.read_bytes() for example in scan.examples] == [picture(number) for number in range(4)]
    assert (scan.rejected, scan.notes) == ((), ())


def test_the_card_says_dataset_split_columns_and_rows(parquet, opened, tmp_path):
    name = tmp_path / "dogs"
    parquet(name / "data" / "train-00000-of-00001.parquet", text=TEXTS, label=[1, 2, 3, 4])
    assert opened(name).said == (
        f"local dataset {name}, split train, pictures in column image, captions in column text: 4 rows, 4 pictures"
    )


def test_a_dataset_in_the_hub_s_cache_is_found_without_network(parquet, opened, hub):
    parquet(hub / "data" / "train-00000-of-00002.parquet", text=TEXTS[:2])
    parquet(hub / "data" / "train-00001-of-00002.parquet", text=TEXTS[2:])
    parquet(hub / "data" / "test-00000-of-00001.parquet", text=["another"])
    dataset = opened("someone/dogs")
    assert captions_in(dataset) == [(text,) for text in TEXTS]
    assert dataset.revision == COMMIT
    assert dataset.said.startswith("hub dataset someone/dogs at 0123456, split train, ")
    assert captions_in(opened("someone/dogs", split="test")) == [("another",)]
    assert captions_in(opened("someone/dogs", revision=COMMIT)) == [(text,) for text in TEXTS]


def test_a_dataset_that_is_not_in_the_cache_says_how_to_get_it_in_one_line(opened, hub):
    with pytest.raises(DataError) as caught:
        opened("someone/cats")
    text = str(caught.value)
    assert text.startswith("dataset someone/cats: no such folder here, not whole in the hub cache")
    assert "'hf download someone/cats --repo-type dataset'" in text and "\n" not in text


def test_a_download_that_broke_off_is_not_a_smaller_dataset(parquet, opened, hub):
    parquet(hub / "data" / "train-00001-of-00003.parquet", text=TEXTS)
    with pytest.raises(DataError, match=r"someone/dogs: data/train: 2 of 3 files are missing, first number 00000"):
        opened("someone/dogs")


def test_a_dataset_of_picture_files_in_the_cache_is_read_where_it_lies(opened, hub, tmp_path):
    for split in ("train", "test"):
        (hub / split).mkdir()
        (hub / split / "a.png").write_bytes(picture(1))
        row = {"file_name": "a.png", "text": f"a dog to {split}"}
        (hub / split / "metadata.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    dataset = opened("someone/dogs", split="test")
    assert dataset.folder == hub / "test"
    assert captions_in(dataset) == [("a dog to test",)]
    assert not (tmp_path / "kept").exists()
    with pytest.raises(ConfigError, match="image_column would have no effect"):
        opened("someone/dogs", image_column="image")


def test_splits_that_share_a_table_are_not_mixed(opened, hub):
    rows = []
    for split in ("train", "test"):
        (hub / split).mkdir()
        (hub / split / "a.png").write_bytes(picture(1))
        rows.append(json.dumps({"file_name": f"{split}/a.png", "text": "a dog"}))
    (hub / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"1 picture that is not of the split train, first test/a\.png: give --train_data"
    ):
        opened("someone/dogs")


def test_what_save_to_disk_wrote_is_read(parquet, opened, tmp_path):
    from datasets import DatasetDict

    own = parquet.dataset(text=TEXTS)
    own.save_to_disk(tmp_path / "one", num_shards=2)
    DatasetDict({"train": own, "test": own.select([3])}).save_to_disk(tmp_path / "both")
    assert captions_in(opened(tmp_path / "one")) == [(text,) for text in TEXTS]
    assert captions_in(opened(tmp_path / "both")) == [(text,) for text in TEXTS]
    assert captions_in(opened(tmp_path / "both", split="test")) == [("a hen",)]
    with pytest.raises(DataError, match=r"no split validation; it has train, test: say with --dataset_split"):
        opened(tmp_path / "both", split="validation")


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_a_webdataset_archive_is_read(opened, tmp_path):
    with tarfile.open(tmp_path / "dogs.tar", "w") as archive:
        for number, (text, suffix) in enumerate(zip(TEXTS, ("png", "jpg", "webp", "png"), strict=True)):
            add(archive, f"part/{number}.{suffix}", picture(number, "JPEG" if suffix == "jpg" else suffix.upper()))
            add(archive, f"part/{number}.txt", text.encode())
            add(archive, f"part/{number}.json", json.dumps({"tags": ["one", text], "size": 3}).encode())
    assert captions_in(opened(tmp_path / "dogs.tar", caption_column="txt")) == [(text,) for text in TEXTS]
    assert captions_in(opened(tmp_path / "dogs.tar", caption_column="tags")) == [("one", text) for text in TEXTS]
    with pytest.raises(DataError, match="found texts in the columns txt, tags: say with --caption_column which"):
        opened(tmp_path / "dogs.tar")


def test_a_list_of_texts_is_several_captions(parquet, opened, tmp_path):
    dataset = opened(parquet(tmp_path / "a.parquet", captions=[["a", "b"], ["c"], ["d", " "]]))
    assert captions_in(dataset) == [("a", "b"), ("c",), ("d",)]


def test_encoded_pictures_keep_their_bytes_and_get_the_suffix_of_what_they_are(opened, tmp_path):
    import pyarrow
    import pyarrow.parquet

    kinds = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}
    contents = [picture(number, kind) for number, kind in enumerate(kinds)]
    pyarrow.parquet.write_table(pyarrow.table({"img": contents, "text": list("abcdef")}), tmp_path / "a.parquet")
    folder = opened(tmp_path / "a.parquet").folder
    files = sorted(path for path in folder.iterdir() if path.suffix in kinds.values())
    assert [path.suffix for path in files] == list(kinds.values())
    assert [path.read_bytes() for path in files] == contents


def test_a_picture_that_the_row_only_names_is_taken_from_the_dataset_and_nowhere_else(opened, tmp_path):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "secret.png").write_bytes(picture(1))
    (tmp_path / "dogs" / "files").mkdir(parents=True)
    (tmp_path / "dogs" / "files" / "a.png").write_bytes(picture(2))
    rows = [{"bytes": None, "path": path} for path in ("files/a.png", "../secret.png", str(tmp_path / "secret.png"))]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"image": pyarrow.array(rows, kind), "text": ["a", "b", "c"]})
    pyarrow.parquet.write_table(table, tmp_path / "dogs" / "train.parquet")
    dataset = opened(tmp_path / "dogs")
    assert captions_in(dataset) == [("a",)]
    assert len(dataset.notes) == 2


def test_rows_without_picture_or_caption_are_counted_and_said(parquet, opened, tmp_path):
    cells = [cell(0), None, {"bytes": b"%PDF-1.7", "path": None}, cell(3), None]
    path = parquet(tmp_path / "a.parquet", pictures="image", image=cells, text=["a", "b", "c", None, "e"])
    dataset = opened(path)
    assert dataset.said.endswith("5 rows, 2 pictures, 1 without a caption")
    assert dataset.notes == (
        "2 of 5 rows have no picture, first row 1: its cell is empty",
        "1 of 5 rows has no picture, first row 2: what it holds is no picture that is read here",
    )
    with pytest.raises(DataError, match=r"1 picture \(00000003\.png\).*without a caption"):
        captions_in(dataset)


def test_no_picture_in_any_row_is_an_error(parquet, opened, tmp_path):
    with pytest.raises(DataError, match=r"a\.parquet: 2 of 2 rows have no picture, first row 0: its cell is empty"):
        opened(parquet(tmp_path / "a.parquet", image=[None, None], text=["a", "b"]))
    assert list((tmp_path / "kept" / "datasets").iterdir()) == []


COLUMNS = {
    "label": ({"image_column": "label"}, "image_column label holds int64, expected pictures"),
    "misspelt": ({"image_column": "imag"}, "no column imag (image_column): did you mean 'image'"),
    "no text": ({"caption_column": "label"}, "caption_column label holds int64, expected text or lists of texts"),
    "not there": ({"caption_column": "txet"}, "no column txet (caption_column): did you mean 'text'"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_that_does_not_do_is_named(parquet, opened, tmp_path, case):
    asked, said = COLUMNS[case]
    path = parquet(tmp_path / "a.parquet", text=["a", "b"], label=[1, 2])
    with pytest.raises(DataError) as caught:
        opened(path, **asked)
    assert said in str(caught.value)


def test_the_only_text_is_the_caption_and_of_several_one_must_be_named(parquet, opened, tmp_path):
    assert captions_in(opened(parquet(tmp_path / "a.parquet", blip=["a", "b"]))) == [("a",), ("b",)]
    two = parquet(tmp_path / "b.parquet", blip=["a", "b"], url=["c", "d"])
    with pytest.raises(DataError, match="texts in the columns blip, url: say with --caption_column"):
        opened(two)
    assert captions_in(opened(two, caption_column="url")) == [("c",), ("d",)]


def test_several_columns_of_pictures_must_be_named_unless_one_is_usual(parquet, opened, tmp_path):
    import pyarrow
    import pyarrow.parquet

    contents = [[picture(1)], [picture(2)]]
    odd = pyarrow.table({"before": contents[0], "after": contents[1], "text": ["a"]})
    pyarrow.parquet.write_table(odd, tmp_path / "odd.parquet")
    with pytest.raises(DataError, match="pictures in columns before, after: say with --image_column which"):
        opened(tmp_path / "odd.parquet")
    (file,) = opened(tmp_path / "odd.parquet", image_column="after").folder.glob("*.png")
    assert file.read_bytes() == picture(2)


def test_without_a_column_of_texts_the_trigger_is_the_caption(parquet, opened, tmp_path):
    from scumble.data.captions import CaptionRule

    dataset = opened(parquet(tmp_path / "a.parquet", label=[1, 2]))
    assert captions_in(dataset, captions=CaptionRule("sks")) == [("a photo of sks",)] * 2


@pytest.fixture
def no_second_export(monkeypatch):
    """From now on an export is an error."""

    def forbid():
        def refuse(*_):
            raise AssertionError("written again")

        monkeypatch.setattr("scumble.data.datasets.export._write", refuse)

    return forbid


def test_the_second_time_it_is_only_found(parquet, opened, tmp_path, no_second_export):
    path = parquet(tmp_path / "a.parquet", text=TEXTS)
    first = opened(path)
    no_second_export()
    assert opened(path) == first
    shutil.move(path, tmp_path / "elsewhere")
    (tmp_path / "b").mkdir()
    shutil.move(tmp_path / "elsewhere", tmp_path / "b" / "a.parquet")
    assert opened(tmp_path / "b" / "a.parquet").folder == first.folder


def test_another_content_or_column_is_another_export(parquet, opened, tmp_path):
    path = parquet(tmp_path / "a.parquet", one=TEXTS, two=TEXTS)
    folders = {opened(path, caption_column="one").folder, opened(path, caption_column="two").folder}
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[content.index(b"IEND") + 4] ^= 1  # the last bytes of a picture: the same size, another content
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    folders.add(opened(path, caption_column="one").folder)
    assert len(folders) == 3


def test_an_export_out_of_which_something_was_taken_is_made_again(parquet, opened, tmp_path):
    path = parquet(tmp_path / "a.parquet", text=TEXTS)
    folder = opened(path).folder
    for damage in (
        lambda: (folder / "00000002.png").unlink(),
        lambda: (folder / "00000001.png").write_bytes(b""),
        lambda: (folder / "metadata.jsonl").unlink(),
    ):
        damage()
        assert captions_in(opened(path)) == [(text,) for text in TEXTS]


def test_an_export_that_breaks_off_leaves_nothing(tmp_path):
    def rows():
        yield Row(picture(1), ("a",))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path, "key", rows(), "text")
    assert list((tmp_path / "datasets").iterdir()) == []


def test_rows_are_written_one_by_one(tmp_path):
    waiting = []

    def rows():
        for number in range(20):
            written = len(list((tmp_path / "datasets").glob("*/*.png")))
            waiting.append(number - written)
            yield Row(picture(number), ("a",))

    exported(tmp_path, "key", rows(), "text")
    assert set(waiting) == {0}


def test_without_pyarrow_it_says_what_to_install(parquet, opened, tmp_path, monkeypatch):
    path = parquet(tmp_path / "a.parquet", text=TEXTS)
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"need pyarrow: pip install 'scumble\[hub\]'"):
        opened(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".tar"])
def test_a_damaged_file_is_named(opened, tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(DataError, match=rf"a\{suffix}: cannot be read as a \{suffix} file: \w"):
        opened(tmp_path / f"a{suffix}")


CARD = {
    "configs": [
        {"config_name": "small", "data_files": [{"split": "train", "path": "small/*.parquet"}]},
        {
            "config_name": "large",
            "data_files": [
                {"split": "train", "path": ["large/a-*.parquet", "large/deep/**"]},
                {"split": "extra", "path": "large/b-?.parquet"},
            ],
        },
    ]
}
NAMES = [
    "README.md", "small/0.parquet", "large/a-0.parquet", "large/a-1.parquet", "large/b-0.parquet",
    "large/deep/er/c.parquet", "small/deep/d.parquet",
]  # fmt: skip


def test_the_dataset_s_card_says_which_files_are_which():
    assert choose_shards(NAMES, CARD, "small", "train") == ["small/0.parquet"]
    assert choose_shards(NAMES, CARD, "large", "extra") == ["large/b-0.parquet"]
    found = ["large/a-0.parquet", "large/a-1.parquet", "large/deep/er/c.parquet"]
    assert choose_shards(NAMES, CARD, "large", "train") == found
    with pytest.raises(DataError, match="several configurations: say with --dataset_config_name which: small, large"):
        choose_shards(NAMES, CARD, None, "train")
    with pytest.raises(DataError, match="no configuration lage: did you mean 'large'"):
        choose_shards(NAMES, CARD, "lage", "train")
    with pytest.raises(DataError, match="no split extr: did you mean 'extra'"):
        choose_shards(NAMES, CARD, "large", "extr")


BY_WORDS = {
    ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"): "data/train-00000-of-00001.parquet",
    ("training.parquet", "eval.parquet"): "training.parquet",
    ("default/train/0000.parquet", "default/test/0000.parquet"): "default/train/0000.parquet",
    ("anything.parquet", "sample.png"): "anything.parquet",
    ("dogs-train.arrow", "dogs-validation.arrow"): "dogs-train.arrow",
    ("train/test.png", "test/train.png"): "train/test.png",
    (".hidden.parquet", "train.parquet"): "train.parquet",
}


@pytest.mark.parametrize("names", BY_WORDS)
def test_without_a_card_words_in_the_names_say_the_split(names):
    assert choose_shards(names, {}, None, "train") == [BY_WORDS[names]]


@pytest.mark.parametrize(
    "names",
    [
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/dev.parquet"],
        ["data/odd-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
        ["training-part.parquet", "train-2.parquet", "dev.parquet"],
        ["train/a.parquet", "eval/train.parquet", "b.parquet"],
        ["one.parquet", "two.parquet"],
        ["my_test_of_it.parquet", "retrained.parquet"],
    ],
)
def test_the_library_finds_the_same_rows_in_the_same_files(parquet, opened, tmp_path, names):
    from datasets import load_dataset

    folder = tmp_path / "dogs"
    for name in names:
        parquet(folder / name, text=[name])
    theirs = load_dataset(str(folder), cache_dir=str(tmp_path / "theirs"))
    assert len(theirs) >= 1
    for split in theirs:
        assert captions_in(opened(folder, split=split)) == [(text,) for text in theirs[split]["text"]]
    with pytest.raises(DataError, match="no split other"):
        opened(folder, split="other")


def test_the_header_of_the_dataset_s_readme_is_read(parquet, opened, hub):
    parquet(hub / "odd" / "x.parquet", text=["one"])
    parquet(hub / "y.parquet", text=["two"])
    header = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: odd/*\n"
    (hub / "README.md").write_text(f"---\n{header}---\n# Dogs\n", encoding="utf-8")
    assert captions_in(opened("someone/dogs")) == [("one",)]


def test_a_card_whose_header_is_no_yaml_is_named(parquet, opened, hub):
    parquet(hub / "x.parquet", text=["one"])
    (hub / "README.md").write_text("---\na: [1\n---\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"someone/dogs: the header of README\.md cannot be read"):
        opened("someone/dogs")


def settings(tiny_base, tmp_path, **data):
    return from_values(
        TrainConfig,
        {
            "model": {"base": str(tiny_base)},
            "data": {"cache_dir": tmp_path / "kept", **data},
            "training": {"max_train_steps": 4, "device": "cpu"},
            "output": {"output_dir": tmp_path / "runs", "report_to": "none"},
        },
    )


def test_training_on_a_hub_dataset_is_planned_and_its_settings_pin_the_commit(parquet, hub, tiny_base, tmp_path):
    parquet(hub / "data" / "train-00000-of-00001.parquet", text=TEXTS, image=[cell(0), None, cell(2), cell(3)])
    plan = make_plan(settings(tiny_base, tmp_path, dataset_name="someone/dogs"))
    card = planned(plan).card
    assert card["folder"] == (
        "hub dataset someone/dogs at 0123456, split train, pictures in column image, captions in column text: 4 rows, "
        "3 pictures"
    )
    assert plan.name == "dogs"
    assert "1 of 4 rows has no picture, first row 1: its cell is empty" in [note.text for note in plan.notes]
    (tmp_path / "config.toml").write_text(write_toml(plan.config), encoding="utf-8")
    again = make_plan(from_values(TrainConfig, read_toml(tmp_path / "config.toml")))
    assert again.config == plan.config
    assert again.config.data.dataset_revision == COMMIT
    assert again.scan.fingerprint() == plan.scan.fingerprint()


def test_a_local_dataset_is_found_again_from_any_folder(parquet, tiny_base, tmp_path, monkeypatch):
    parquet(tmp_path / "dogs" / "train.parquet", text=TEXTS)
    monkeypatch.chdir(tmp_path)
    plan = make_plan(settings(tiny_base, tmp_path, dataset_name="dogs"))
    assert Path(plan.config.data.dataset_name) == tmp_path / "dogs"
    assert plan.name == "dogs"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"folder": "a", "dataset_name": "b/c"}, "folder and dataset_name both say which pictures"),
        ({"folder": "a", "image_column": "b"}, "image_column would have no effect: it needs dataset_name"),
        ({"folder": "a", "dataset_split": "b"}, "dataset_split would have no effect: it needs dataset_name"),
    ],
)
def test_settings_of_a_dataset_without_one_are_refused(data, said):
    with pytest.raises(ConfigError, match=said):
        from_values(TrainConfig, {"data": data})


def test_the_command_line_of_the_diffusers_script_trains_on_a_dataset(parquet, tiny_base, tmp_path, capsys):
    from scumble.cli.app import exit_code

    name = parquet(tmp_path / "dogs.parquet", pictures="photo", text=TEXTS, alt=["1", "2", "3", "4"])
    words = ["--dataset_name", str(name), "--image_column=photo", "--caption_column=alt"]
    assert exit_code(["train", *words, f"--pretrained_model_name_or_path={tiny_base}", "--dry-run", "--no-probe"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "pictures in column photo, captions in column alt: 4 rows, 4 pictures" in said

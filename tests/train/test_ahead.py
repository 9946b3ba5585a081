"""What a run says before anything heavy is loaded, and while its pictures are looked at."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scumble.config import DataConfig, OutputConfig, TrainConfig, from_values
from scumble.data.captions import CaptionRule
from scumble.data.scan import ScanRule
from scumble.errors import BaseModelError, CheckpointError, ConfigError, DataError
from scumble.train.ahead import name_of, refuse_missing_pictures
from scumble.train.events import Prepared
from scumble.train.loop import train
from scumble.train.pictures import scan_pictures
from scumble.train.taken_name import refuse_taken_name


def test_no_pictures_or_none_of_that_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder of pictures"):
        refuse_missing_pictures(DataConfig())
    with pytest.raises(DataError, match="nowhere: no such folder"):
        refuse_missing_pictures(DataConfig(folder=tmp_path / "nowhere"))
    refuse_missing_pictures(DataConfig(folder=tmp_path))
    refuse_missing_pictures(DataConfig(dataset_name="someone/dogs"))


def test_a_run_is_called_as_its_pictures_without_a_suffix(tmp_path, monkeypatch):
    (tmp_path / "v1.5 dogs").mkdir()
    for name in ("kohya.toml", "rows.parquet"):
        (tmp_path / name).touch()
    assert name_of(DataConfig(folder=tmp_path / "v1.5 dogs")) == "v1.5 dogs"
    assert name_of(DataConfig(folder=tmp_path / "kohya.toml")) == "kohya"
    assert name_of(DataConfig(dataset_name=str(tmp_path / "rows.parquet"))) == "rows"
    assert name_of(DataConfig(dataset_name="someone/dogs")) == "dogs"
    monkeypatch.chdir(tmp_path / "v1.5 dogs")
    assert name_of(DataConfig(folder=".")) == "v1.5 dogs"


def test_a_name_that_a_run_has_is_refused_unless_that_is_wanted(tmp_path):
    data, runs = DataConfig(folder=tmp_path), tmp_path / "runs"
    refuse_taken_name(data, OutputConfig(output_dir=runs))
    (runs / "dogs").mkdir(parents=True)
    refuse_taken_name(data, OutputConfig(output_dir=runs, name="dogs"))
    (runs / "dogs" / "dogs.safetensors").touch()
    with pytest.raises(CheckpointError, match="dogs holds a run already: --resume goes on with it"):
        refuse_taken_name(data, OutputConfig(output_dir=runs, name="dogs"))
    for wanted in ("resume", "overwrite"):
        refuse_taken_name(data, OutputConfig(output_dir=runs, name="dogs", **{wanted: True}))


@pytest.mark.parametrize(("arguments", "code"), [(["nowhere"], 1), (["nowhere", "--dry-run"], 1), ([], 2)])
def test_the_command_refuses_a_wrong_path_before_torch_is_imported(arguments, code, tmp_path):
    script = (
        "import sys; from scumble.cli.app import exit_code; "
        f"code = exit_code(['train', *{arguments!r}]); print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == [str(code), "False"]
    assert "no such folder" in done.stderr or "no folder of pictures" in done.stderr


def test_the_pictures_are_counted_while_they_are_looked_at_before_anything_else(photos, tmp_path):
    number = len(list(photos.glob("*.png")) + list(photos.glob("*.jpg")))
    values = {"data": {"folder": photos, "trigger": "sks"}, "model": {"base": str(tmp_path / "no base")}}
    events = train(from_values(TrainConfig, values))
    assert [next(events) for _ in range(number)] == [
        Prepared("pictures", done, number) for done in range(1, number + 1)
    ]
    with pytest.raises(BaseModelError):
        next(events)


@pytest.fixture
def rows(tmp_path):
    """A parquet file of three rows: with a caption, without, and with a picture that is cut off."""
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 36, 3), np.uint8)).save(stream, "PNG")
    pictures = [stream.getvalue(), stream.getvalue(), stream.getvalue()[:-900]]
    path = tmp_path / "rows.parquet"
    table = pyarrow.table({"image": pictures, "text": ["a dog", "", "a cat"]})
    pyarrow.parquet.write_table(table, path)
    return path


def test_of_a_dataset_rows_are_named_and_no_files_of_the_cache(rows, tmp_path):
    data = DataConfig(dataset_name=str(rows), cache_dir=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        scan_pictures(data, ScanRule())
    said = str(caught.value)
    assert "rows.parquet: 1 row has no caption, counted from 0: 1; give --trigger" in said
    assert ".txt" not in said and ".png" not in said


def test_a_row_whose_picture_cannot_be_read_is_named_by_its_number(rows, tmp_path):
    data = DataConfig(dataset_name=str(rows), cache_dir=tmp_path / "cache")
    scan, _ = scan_pictures(data, ScanRule(CaptionRule(trigger="sks")))
    (left_out,) = scan.rejected
    assert left_out.reason.startswith("row 2: ")
    assert len(scan.examples) == 2

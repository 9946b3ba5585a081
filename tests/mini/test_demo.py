"""The demonstration: short, that it writes what it says; slow, that it reaches its figures."""

import json

import pytest

from scumble.cli.app import main
from scumble.errors import ScumbleError
from scumble.mini.config import DemoConfig
from scumble.mini.demo import demo


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    config = DemoConfig(out=out, concept_steps=2, style_steps=2, pictures_per_score=9)
    return out, list(demo(config))


def test_the_report_holds_figures_pictures_and_files(short):
    out, _ = short
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert set(report["scores"]) == {"base", "concept", "style", "both"}
    assert all(set(marks) >= {"nine", "old", "style"} for marks in report["scores"].values())
    assert report["seconds"] > 0
    assert all((out / file).is_file() for file in report["files"].values())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert 'src="http' not in page


def test_it_learns_from_folders_like_a_persons_own(short):
    out, _ = short
    for name in ("nines", "scanlines"):
        pictures = sorted((out / "pictures" / name).glob("*.png"))
        assert len(pictures) == 24
        assert all(picture.with_suffix(".txt").read_text(encoding="utf-8").strip() for picture in pictures)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ScumbleError, match="holds something else"):
        list(demo(DemoConfig(out=tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The demonstration in full: its folder."""
    out = tmp_path_factory.mktemp("whole") / "demo"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(out), "--seed", "0"])
    assert ended.value.code == 0
    return out


@pytest.mark.slow
def test_it_reaches_its_figures(whole):
    scores = json.loads((whole / "report.json").read_text(encoding="utf-8"))["scores"]
    assert scores["base"]["nine"] <= 0.10
    assert scores["base"]["old"] >= 0.97
    assert scores["concept"]["nine"] >= 0.95
    assert scores["concept"]["old"] >= scores["base"]["old"] - 0.02
    assert scores["style"]["style"] >= 0.95
    assert scores["both"]["together"] >= 0.90

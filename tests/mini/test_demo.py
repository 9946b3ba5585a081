"""The demonstration in full: what it writes, and that it reaches its figures."""

import json
from pathlib import Path

import pytest

from scripts import load_script
from scumble.cli.app import exit_code
from scumble.errors import ScumbleError
from scumble.mini.config import DemoConfig, PretrainConfig
from scumble.mini.demo import demo
from scumble.mini.pretrain import pretrain

BENCH = Path(__file__).parents[2] / "bench"
SHORT = {
    "vae_steps": 2, "vae_batch_size": 2, "pool_size": 10, "denoiser_steps": 3, "denoiser_batch_size": 4, "judge_steps": 2,
    "judge_batch_size": 4, "examine_rounds": 0,
}  # fmt: skip
"""Of a base that is not trained in full."""


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ScumbleError, match="holds something else"):
        list(demo(DemoConfig(out=tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The demonstration in full: its folder."""
    out = tmp_path_factory.mktemp("whole") / "demo"
    assert exit_code(["demo", "--out", str(out), "--seed", "0"]) == 0
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


@pytest.mark.slow
def test_the_report_holds_figures_pictures_and_files(whole):
    report = json.loads((whole / "report.json").read_text(encoding="utf-8"))
    assert set(report["scores"]) == {"base", "concept", "style", "both"}
    assert all(set(marks) >= {"nine", "old", "style"} for marks in report["scores"].values())
    assert report["seconds"] > 0
    assert all((whole / file).is_file() for file in report["files"].values())
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert 'src="http' not in page


@pytest.mark.slow
def test_it_learns_from_folders_like_a_persons_own(whole):
    for name in ("nines", "scanlines"):
        pictures = sorted((whole / "pictures" / name).glob("*.png"))
        assert len(pictures) == 24
        assert all(picture.with_suffix(".txt").read_text(encoding="utf-8").strip() for picture in pictures)


@pytest.mark.slow
def test_kinship_is_in_the_order_of_what_the_lora_still_does(whole, tmp_path, monkeypatch):
    """On its own base, a finetuned one, and one from another seed; bench/kinship.py has one that was made in full, and
    draws more pictures.
    """
    bench = load_script(BENCH / "kinship.py")
    monkeypatch.setattr(bench, "PICTURES", 24)
    concept = whole / "concept" / "concept.safetensors"
    list(pretrain(PretrainConfig(out=tmp_path / "other", seed=1, **SHORT)))
    change = bench.learnt(whole / "pictures" / "scanlines", tmp_path)
    near, distant = (bench.finetuned(change, strength, tmp_path) for strength in (0.25, 1.0))
    rows = [bench.row(str(base), str(base), concept) for base in ("mini", near, distant, tmp_path / "other")]
    assert [row["verdict"] for row in rows] == ["same", "near", "distant", "stranger"]
    distances, scores = ([row[name] for row in rows] for name in ("distance", "nines with the LoRA"))
    assert distances == sorted(distances)
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > 0.9
    assert scores[-1] < 0.3

"""What is said of files that settings name and that are not there."""

from pathlib import Path

import pytest

from scumble.config.there import LORA_THERE
from scumble.errors import LoraFileError


@pytest.mark.parametrize("asked", ["photos", "photos.safetensors", "elsewhere/photos"])
def test_the_lora_of_the_run_of_that_name_is_pointed_to(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lora = Path("runs") / "photos" / "photos.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"")
    with pytest.raises(LoraFileError) as said:
        LORA_THERE.refuse(Path(asked))
    assert str(said.value) == f"{asked}: there is no such file; look for its name and folder; or did you mean {lora}?"


def test_of_a_runs_folder_the_lora_in_it_is_pointed_to(tmp_path):
    run = tmp_path / "photos"
    run.mkdir()
    (run / "photos.safetensors").write_bytes(b"")
    with pytest.raises(LoraFileError, match=r"is the folder of a run; give the LoRA in it: .*photos\.safetensors"):
        LORA_THERE.refuse(run)


def test_without_such_a_run_nothing_is_pointed_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoraFileError) as said:
        LORA_THERE.refuse(Path("photos"))
    assert str(said.value) == "photos: there is no such file; look for its name and folder"

"""The commands publish and import as people type them."""

import tomllib

import pytest

KOHYA = """
[model_arguments]
pretrained_model_name_or_path = "{base}"
[dataset_arguments]
train_data_dir = "{photos}"
resolution = "32,32"
[training_arguments]
network_module = "networks.lora"
network_dim = 2
network_train_unet_only = true
network_args = ["conv_dim=1", "conv_alpha=1"]
max_train_steps = 4
random_crop = true
face_crop_aug_range = "2,4"
output_name = "dog"
"""


@pytest.fixture
def kohya(tmp_path, tiny_base, photos):
    file = tmp_path / "kohya.toml"
    file.write_text(KOHYA.format(base=tiny_base.as_posix(), photos=photos.as_posix()), encoding="utf-8")
    return file


def test_what_was_imported_is_taken_by_training(scumble, kohya):
    code, out, _ = scumble("import", kohya)
    assert code == 0
    assert "face_crop_aug_range" in out
    code, out, err = scumble("train", "--config", "scumble.toml", "--dry-run", "--no-probe")
    assert (code, err) == (0, "")
    assert "rank 2" in out
    assert "cut at random" in out


def test_importing_never_replaces_a_file_unasked(scumble, kohya, tmp_path):
    assert scumble("import", kohya)[0] == 0
    code, _, err = scumble("import", kohya)
    assert code == 2
    assert "--overwrite" in err
    assert scumble("import", kohya, "--overwrite")[0] == 0
    assert tomllib.loads((tmp_path / "scumble.toml").read_text(encoding="utf-8"))["adapter"]["rank"] == 2


def test_a_trained_lora_is_published_with_what_its_run_knows(scumble, photos, tiny_base, tmp_path):
    trained = scumble(
        "train", photos, "--base", tiny_base, "--steps", 2, "--rank", 2, "--trigger", "sks dog", "--device", "cpu"
    )
    assert trained[0] == 0
    code, out, err = scumble(
        "publish", "runs/photos/photos.safetensors", "--steps", 2, "--n", 1, "--license", "openrail"
    )
    assert (code, err) == (0, "")
    folder = tmp_path / "runs" / "photos" / "photos-published"
    assert "published" in out
    assert {"photos.png", "photos.json", "curves.png", "README.md"} <= {path.name for path in folder.iterdir()}


def test_publishing_what_is_not_there_says_so(scumble):
    code, _, err = scumble("publish", "nothing.safetensors")
    assert code == 1
    assert "nothing.safetensors: there is no such file" in err

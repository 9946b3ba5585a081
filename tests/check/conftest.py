"""Folders as people have them, made of two photographs: as from a phone, and as for kohya's scripts."""

import json

import pytest
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.datasets import load_sample_images

from scumble.cli.app import exit_code

ROTATED = 0x0112


@pytest.fixture(scope="session")
def photographs():
    """Two photographs, 640 x 427."""
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def write_phone_folder(folder, photographs):
    """Ten files as a phone leaves them: turned by EXIF, of several shapes, one blurred, one twice, one cut short, one HEIC."""
    temple, flower = photographs
    folder.mkdir(parents=True)
    turned = Image.Exif()
    turned[ROTATED] = 6
    temple.transpose(Image.Transpose.ROTATE_90).save(folder / "IMG_0001.JPG", quality=92, exif=turned)
    flower.crop((100, 0, 420, 427)).resize((960, 1281)).save(folder / "IMG_0002.jpg", quality=92)
    temple.resize((1280, 854)).filter(ImageFilter.GaussianBlur(6)).crop((0, 0, 900, 854)).save(folder / "IMG_0003.jpg")
    flower.save(folder / "IMG_0004.jpg", quality=92)
    ImageEnhance.Brightness(flower).enhance(1.05).resize((1600, 1068)).save(folder / "IMG_0005.jpg", quality=80)
    (folder / "copy of 花.jpg").write_bytes((folder / "IMG_0004.jpg").read_bytes())
    temple.crop((0, 150, 640, 280)).save(folder / "panorama 全景.png")
    whole = (folder / "IMG_0002.jpg").read_bytes()
    (folder / "IMG_0006.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "IMG_0007.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    Image.new("RGB", (600, 600), (3, 3, 3)).save(folder / "IMG_0008.jpg")
    return folder


@pytest.fixture
def phone(tmp_path, photographs):
    """A folder as from a phone; see `write_phone_folder`."""
    return write_phone_folder(tmp_path / "phone 手机", photographs)


@pytest.fixture
def check(capsys, tmp_path, monkeypatch):
    """`scumble check ... --json`: its exit code and what it printed."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments):
        code = exit_code(["check", *map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run

"""Upscaling as a command does it: exact sizes, everything that a picture is kept, nothing overwritten."""

import json

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo
from tests.upscale.conftest import scene

from scumble.config import from_values
from scumble.config.upscale import ResizePicturesConfig, UpscaleConfig
from scumble.errors import ConfigError, DataError
from scumble.upscale.events import Enlarged, Enlarging, Planned, Tallied, Unread
from scumble.upscale.run import resize_pictures, upscale


@pytest.fixture
def enlarged(write_model, tmp_path):
    """Upscales pictures by a 2x model, and gives the events."""
    model = write_model()

    def run(*pictures, out=tmp_path / "out", **settings):
        values = {"picture": pictures, "model": model, "out": out, "device": "cpu", **settings}
        return list(upscale(from_values(UpscaleConfig, values)))

    return run


@pytest.fixture
def one(enlarged, tmp_path):
    """Saves a picture, upscales it, and gives the event and the opened result."""

    def run(image, name="a.png", saved=None, **settings):
        image.save(tmp_path / name, **(saved or {}))
        events = enlarged(tmp_path / name, overwrite=True, **settings)
        (done,) = [event for event in events if isinstance(event, Enlarged)]
        with Image.open(done.out) as result:
            result.load()
        return done, result

    return run


@pytest.mark.parametrize(
    ("wanted", "size", "passes"),
    [
        ({}, (80, 60), 1),
        ({"scale": 2}, (80, 60), 1),
        ({"scale": 1.5}, (60, 45), 1),
        ({"scale": 3}, (120, 90), 2),
        ({"scale": 4}, (160, 120), 2),
        ({"width": 77}, (77, 58), 1),
        ({"height": 100}, (133, 100), 2),
        ({"width": 100, "height": 75}, (100, 75), 2),
    ],
)
def test_the_result_has_the_size_that_was_asked_for(wanted, size, passes, one):
    done, result = one(scene(), **wanted)
    assert (done.before, done.after, result.size, result.mode) == ((40, 30), size, size, "RGB")
    (said,) = json.loads(result.text["scumble-upscale"])
    assert (said["from"], said["to"], said["passes"]) == ([40, 30], list(size), passes)


def test_a_larger_picture_looks_like_the_picture(one):
    _, result = one(scene())
    before = np.asarray(scene()).astype(float)
    after = np.asarray(result.resize((40, 30), Image.Resampling.BOX)).astype(float)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9


def test_texts_stay_and_what_was_done_is_added_each_time(one, enlarged, tmp_path):
    info = PngInfo()
    info.add_text("parameters", "a dog\nSteps: 20, Size: 40x30")
    info.add_itxt("scumble", '[{"prompt": "ein Hund, größer"}]')
    done, result = one(scene(), saved={"pnginfo": info, "dpi": (72, 72)})
    assert result.text["parameters"] == "a dog\nSteps: 20, Size: 40x30"
    assert result.text["scumble"] == '[{"prompt": "ein Hund, größer"}]'
    assert result.text["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: model"
    enlarged(done.out, out=tmp_path / "again")
    with Image.open(tmp_path / "again" / "a.png") as again:
        again.load()
    first, second = json.loads(again.text["scumble-upscale"])
    assert (first["to"], second["from"], second["to"]) == ([80, 60], [80, 60], [160, 120])
    assert (second["upscaler"], second["architecture"], len(second["sha256"])) == ("model", "RealESRGAN Compact", 64)


def test_transparency_is_enlarged_apart(one):
    image = scene()
    alpha = Image.new("L", image.size)
    alpha.paste(255, (10, 5, 30, 25))
    image.putalpha(alpha)
    _, result = one(image)
    assert (result.mode, result.size) == ("RGBA", (80, 60))
    seen = np.asarray(result.getchannel("A"))
    assert seen[20:40, 30:50].mean() > 150 > 100 > seen[:6, :6].mean()


def test_an_even_transparency_stays_even(one):
    image = scene()
    image.putalpha(128)
    _, result = one(image, scale=3)
    assert set(np.unique(np.asarray(result.getchannel("A")))) == {128}


def test_what_lies_hidden_beneath_transparency_is_not_drawn_into_the_edges(one):
    """A red square, wholly transparent black around it: nothing that is seen becomes darker."""
    image = Image.new("RGBA", (40, 30))
    image.paste((250, 10, 10, 255), (10, 5, 30, 25))
    filled = Image.new("RGB", (40, 30), (250, 10, 10))
    _, expected = one(filled)
    _, result = one(image, "b.png")
    inside = (slice(10, 50), slice(20, 60))
    apart = np.asarray(result.convert("RGB")).astype(int)[inside] - np.asarray(expected)[inside]
    assert np.abs(apart).max() <= 2  # of rounding: with black around it, the edges differ by more than a hundred


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK"])
def test_gray_pictures_stay_gray_and_others_become_rgb(mode, one):
    _, result = one(scene().convert("L").convert(mode) if mode != "CMYK" else scene().convert(mode), "a.tif")
    assert result.mode == {"L": "L", "LA": "LA", "1": "L"}.get(mode, "RGB")


def test_a_photo_is_turned_as_its_exif_says_and_is_not_turned_again(one):
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Make] = 6, "a camera"
    done, result = one(scene(), "a.jpg", {"exif": exif, "quality": 95})
    assert (done.before, result.size) == ((30, 40), (60, 80))
    assert result.getexif().get(Base.Orientation) is None
    assert result.getexif()[Base.Make] == "a camera"
    assert done.lost == ()


def test_what_a_result_cannot_have_is_said(one):
    deep = Image.fromarray((np.asarray(scene().convert("L")).astype(np.uint16)) * 257)
    done, result = one(deep)
    assert done.lost == ("the finer half of its 16 bits",)
    assert result.mode == "L"
    _, expected = one(scene().convert("L"))
    assert np.array_equal(np.asarray(result), np.asarray(expected))
    done, result = one(scene().convert("CMYK"), "a.jpg", {"icc_profile": b"inks"})
    assert done.lost == ("its colour profile, which is one for printing",)
    assert "icc_profile" not in result.info
    done, result = one(scene(), saved={"icc_profile": b"screens"})
    assert (done.lost, result.info["icc_profile"]) == ((), b"screens")


def test_a_folder_is_enlarged_with_its_folders_and_what_cannot_be_read_is_said(enlarged, tmp_path):
    folder = tmp_path / "photos"
    (folder / "dogs").mkdir(parents=True)
    for name in ("a.png", "dogs/a.jpg"):
        scene().save(folder / name)
    (folder / "a.txt").write_text("a caption")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "phone.heic").write_bytes(b"....")
    events = enlarged(folder)
    out = tmp_path / "out"
    assert [event.out for event in events if isinstance(event, Enlarged)] == [out / "a.png", out / "dogs" / "a.png"]
    unread = {event.path.name: event.reason for event in events if isinstance(event, Unread)}
    assert unread.keys() == {"broken.png", "phone.heic"}
    assert events[-1] == Tallied(2, 2, out)
    assert isinstance(events[0], Planned)
    assert sorted(path.name for path in out.rglob("*")) == ["a.png", "a.png", "dogs"]


def test_results_inside_the_folder_are_not_enlarged_again(enlarged, tmp_path):
    (tmp_path / "photos").mkdir()
    scene().save(tmp_path / "photos" / "a.png")
    for _ in range(2):
        events = enlarged(tmp_path / "photos", out=tmp_path / "photos" / "larger", overwrite=True)
        assert events[-1].done == 1


def test_nothing_is_overwritten_unless_it_is_said(enlarged, tmp_path):
    scene().save(tmp_path / "a.png")
    scene().save(tmp_path / "a.jpg")
    enlarged(tmp_path / "a.png", out=tmp_path / "b.png")
    before = (tmp_path / "b.png").read_bytes()
    with pytest.raises(ConfigError, match=r"b\.png is there already; give another --out, or --overwrite"):
        enlarged(tmp_path / "a.jpg", out=tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == before
    enlarged(tmp_path / "a.jpg", out=tmp_path / "b.png", overwrite=True)
    assert (tmp_path / "b.png").read_bytes() != before
    with pytest.raises(ConfigError, match="a result never replaces a picture that it is made from"):
        enlarged(tmp_path / "a.png", out=tmp_path, overwrite=True)
    with pytest.raises(ConfigError, match=r"would both become .*a\.png"):
        enlarged(tmp_path / "a.png", tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match="that is one file, and there may be several results"):
        enlarged(tmp_path / "a.png", tmp_path / "a.jpg", out=tmp_path / "c.png")


def test_sizes_that_cannot_be_are_refused(enlarged, tmp_path):
    scene().save(tmp_path / "a.png")
    with pytest.raises(DataError, match="40 x 30 would be stretched to 100 x 100: give only --width, for 100 x 75"):
        enlarged(tmp_path / "a.png", width=100, height=100)
    with pytest.raises(DataError, match=r"40 x 30 is to become 20 x 15, .* 'scumble resize-pictures' makes it so"):
        enlarged(tmp_path / "a.png", width=20)
    with pytest.raises(DataError, match="it would be 40000 x 30000 pixels on the way, more than 400 million"):
        enlarged(tmp_path / "a.png", width=40_000)
    with pytest.raises(ConfigError, match="say the size twice"):
        enlarged(tmp_path / "a.png", scale=2, width=100)
    with pytest.raises(ConfigError, match="tile=32: must be twice the overlap or more, 64"):
        enlarged(tmp_path / "a.png", tile=32)
    with pytest.raises(ConfigError, match="model=lanczos: is no model; 'scumble resize-pictures' interpolates"):
        enlarged(tmp_path / "a.png", model="lanczos")
    with pytest.raises(DataError, match="there is no such picture or folder"):
        enlarged(tmp_path / "b.png")
    assert not (tmp_path / "out").exists()


def test_progress_comes_with_the_time_that_is_left(enlarged, tmp_path):
    scene(100, 80).save(tmp_path / "a.png")
    steps = [event for event in enlarged(tmp_path / "a.png", tile=64, scale=4) if isinstance(event, Enlarging)]
    shares = [step.share for step in steps]
    assert shares == sorted(set(shares))
    assert shares[-1] == 1
    assert steps[-1].seconds_left == 0 < steps[0].seconds_left


def test_resized_pictures_are_those_of_lanczos(tmp_path):
    image = scene()
    image.putalpha(scene(seed=1).convert("L"))
    image.save(tmp_path / "a.png")
    for values, size in [({"scale": 0.5}, (20, 15)), ({"width": 100}, (100, 75)), ({"height": 60}, (80, 60))]:
        settings = {"picture": [tmp_path / "a.png"], "out": tmp_path / "b.png", "overwrite": True, **values}
        list(resize_pictures(from_values(ResizePicturesConfig, settings)))
        with Image.open(tmp_path / "b.png") as result:
            assert (result.size, result.mode) == (size, "RGBA")
            expected = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            assert np.array_equal(np.asarray(result.convert("RGB")), np.asarray(expected))
            assert result.text["postprocessing"].endswith("Postprocess upscaler: Lanczos")
    with pytest.raises(ConfigError, match="scale, width or height must be given"):
        from_values(ResizePicturesConfig, {"picture": [tmp_path / "a.png"], "out": tmp_path})

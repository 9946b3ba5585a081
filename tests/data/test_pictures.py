"""Every kind of picture file becomes the upright RGB picture that a person sees, or is refused by name."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from scumble.data.pictures import fit, read_picture
from scumble.errors import DataError


def read(image, path, **options):
    image.save(path, **options)
    return np.asarray(read_picture(path))


def png_bytes(width, height, bit_depth, colour_type, rows):
    """A PNG written by hand: Pillow cannot write 16 bits a channel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    grey = Image.fromarray(np.full((4, 5), 40000, np.uint16))
    assert (read(grey, tmp_path / "a.png") == 156).all()  # 40000 / 65535 * 255 = 155.6


def test_a_dark_sixteen_bit_picture_stays_dark(tmp_path):
    assert (read(Image.fromarray(np.full((4, 5), 200, np.uint16)), tmp_path / "a.png") == 1).all()


def test_sixteen_bit_colour_is_scaled(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(1, 1, 16, 2, b"\x00" + struct.pack(">HHH", 40000, 0, 65535)))
    assert np.asarray(read_picture(path)).tolist() == [[[156, 0, 255]]]


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_real_numbers_are_scaled_to_their_white(tmp_path, top):
    ramp = Image.fromarray(np.array([[0.0, 0.5 * top, top]], np.float32))
    assert read(ramp, tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 128, 255]


def test_values_that_are_not_finite_are_refused(tmp_path):
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match="not finite"):
        read_picture(tmp_path / "a.tiff")


def test_a_rotated_photo_is_turned_upright(tmp_path):
    photo = Image.new("RGB", (30, 20), "red")
    photo.paste("blue", (0, 0, 10, 20))  # the left third
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to see it
    upright = read(photo, tmp_path / "a.png", exif=exif)
    assert upright.shape == (30, 20, 3)
    assert (upright[:10] == (0, 0, 255)).all()
    assert (upright[10:] == (255, 0, 0)).all()


def test_transparency_lies_over_white(tmp_path):
    layer = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 128)]):
        layer.putpixel((x, 0), pixel)
    assert read(layer, tmp_path / "a.png")[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]


def test_grey_with_transparency_lies_over_white(tmp_path):
    assert (read(Image.new("LA", (2, 2), (0, 0)), tmp_path / "a.png") == 255).all()


def test_a_palette_with_a_transparent_colour_lies_over_white(tmp_path):
    drawing = Image.new("P", (2, 1))
    drawing.putpalette([255, 0, 0, 0, 0, 255])
    drawing.putpixel((1, 0), 1)
    assert read(drawing, tmp_path / "a.png", transparency=0)[0].tolist() == [[255, 255, 255], [0, 0, 255]]


def test_a_palette_becomes_its_colours(tmp_path):
    drawing = Image.new("P", (1, 1))
    drawing.putpalette([12, 34, 56])
    assert read(drawing, tmp_path / "a.gif")[0, 0].tolist() == [12, 34, 56]


def test_printing_colours_become_screen_colours(tmp_path):
    no_ink, no_cyan = (0, 0, 0, 0), (0, 255, 255, 0)
    page = Image.new("CMYK", (16, 16), no_ink)
    page.paste(no_cyan, (0, 0, 8, 16))
    page.save(tmp_path / "a.jpg", quality=100)
    pixels = np.asarray(read_picture(tmp_path / "a.jpg")).astype(int)
    assert abs(pixels[8, 2] - (255, 0, 0)).max() <= 4
    assert abs(pixels[8, 13] - 255).max() <= 4


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_refused(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="an animation"):
        read_picture(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    ("width", "reason"), [(20_000, "20000 x 6000 pixels, more than 100 million"), (60_000, "more than 100 million")]
)
def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path, width, reason):
    path = tmp_path / "huge.png"
    path.write_bytes(png_bytes(width, 6000, 8, 2, b""))  # no pixels at all: decoding would say so
    with pytest.raises(DataError, match=reason):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_a_picture_that_is_cut_short_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    whole, cut = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    Image.fromarray(noise).save(whole)
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(DataError):
        read_picture(cut)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_no_damage_escapes_as_another_error(tmp_path):
    """Bytes changed at random in each format: read or refused, never a traceback."""
    random = np.random.default_rng(3)
    picture = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
    outcomes = []
    for suffix in ("png", "jpg", "webp", "bmp", "tiff", "gif"):
        picture.save(tmp_path / f"a.{suffix}")
        whole = (tmp_path / f"a.{suffix}").read_bytes()
        for _ in range(60):
            damaged = bytearray(whole)
            for place in random.integers(0, min(len(whole), 200), 3):
                damaged[place] = random.integers(256)
            (tmp_path / f"b.{suffix}").write_bytes(damaged)
            try:
                outcomes.append(read_picture(tmp_path / f"b.{suffix}").mode)
            except DataError:
                outcomes.append("refused")
    assert set(outcomes) == {"RGB", "refused"}
    assert len(outcomes) == 360


def test_a_tiff_with_a_page_that_has_no_size_is_refused(tmp_path):
    """Pillow answers it with a TypeError."""
    path = tmp_path / "a.tiff"
    Image.new("RGB", (4, 4)).save(path)
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * entries, len(content))  # one more page, at the end
    content += struct.pack("<HHHIII", 1, 60000, 3, 1, 0, 0)  # of which nothing is said but a tag that nobody knows
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be decoded: Missing dimensions"):
        read_picture(path)


def test_the_square_is_the_middle_and_spans_minus_one_to_one():
    wide = Image.new("RGB", (30, 10), "red")
    wide.paste("white", (10, 0, 20, 10))
    wide.putpixel((10, 0), (0, 0, 0))
    square = fit(wide, (10, 10))
    assert (square.shape, square.dtype) == ((3, 10, 10), torch.float32)
    assert square[:, 0, 0].tolist() == [-1, -1, -1]
    assert (square[:, 1:] == 1).all()

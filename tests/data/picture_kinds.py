"""Files of every kind that a folder of pictures may hold, each with what must become of it.

Most show one scene of flat fields of 8 x 8 pixels, which JPEG and WebP give back within a few values.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

RED, GREEN, BLUE, WHITE, BLACK, YELLOW = (
    (200, 30, 40),
    (20, 160, 60),
    (30, 50, 190),
    (255,) * 3,
    (0,) * 3,
    (240, 220, 20),
)
SCENE = np.array([[RED, GREEN, BLUE], [WHITE, BLACK, YELLOW]], np.uint8).repeat(8, 0).repeat(8, 1)
"""24 x 16 pixels."""
PICTURE = Image.fromarray(SCENE)
GREYS = np.array([[0, 60, 120], [180, 255, 30]], np.uint8).repeat(8, 0).repeat(8, 1)
ALPHA = np.array([[255, 255, 0], [255, 128, 0]], np.uint8).repeat(8, 0).repeat(8, 1)
LAYER = Image.fromarray(np.dstack([SCENE, ALPHA]))
DEEP = (GREYS.astype(np.uint16) * 257) - (GREYS > 0)  # 16 bits that are no multiple of 257
INKS = np.array([[(0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0)]], np.uint8).repeat(8, 0).repeat(8, 1)
"""Cyan, magenta, yellow, black: what prints as red, green, white."""
PRINTED = np.array([[(255, 0, 0), (0, 255, 0), WHITE]], np.uint8).repeat(8, 0).repeat(8, 1)


@dataclass(frozen=True)
class Kind:
    """A file, and what must become of it.

    Attributes:
        name: of the file.
        make: writes it.
        pixels: [height, width, 3] or, of greys, [height, width], that must be read; None = it is rejected.
        within: by how much values may differ; from 2 on, inside the fields only, because their edges blur.
        reason: words of the reason for which it is rejected.
    """

    name: str
    make: Callable[[Path], object]
    pixels: np.ndarray | None = None
    within: int = 0
    reason: str = ""


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def other():
    """A second frame; Pillow keeps in a picture how it was saved last."""
    return Image.fromarray(255 - SCENE)


def kept(name, content, pixels=SCENE, within=0):
    return Kind(name, lambda path: path.write_bytes(content), pixels, within)


def rejected(name, content, reason):
    return Kind(name, lambda path: path.write_bytes(content), reason=reason)


def over(background, pixels=SCENE, alpha=ALPHA):
    """Pixels with transparency as they look on a background."""
    share = alpha[..., None] / 255
    return (pixels * share + np.array(background) * (1 - share)).round().astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour_type, rows, *before, interlaced=0):
    """A PNG written by hand: Pillow writes neither 16 bits a channel nor interlaced ones."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def rows_of(values):
    """Values of a PNG with 8 or 16 bits each, every row without a filter."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in values)


def adam7(values):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    return b"".join(rows_of(values[top::down, left::right]) for left, top, right, down in passes)


def tagged(content, tag, value, page=0):
    """A TIFF in which a number that fits into its entry is changed."""
    changed = bytearray(content)
    (place,) = struct.unpack_from("<I", changed, 4)
    for _ in range(page + 1):
        entries, here = struct.unpack_from("<H", changed, place)[0], place + 2
        place = struct.unpack_from("<I", changed, here + 12 * entries)[0]
    found = [each for each in range(entries) if struct.unpack_from("<H", changed, here + 12 * each)[0] == tag]
    struct.pack_into("<I", changed, here + 12 * found[0] + 8, value)
    return bytes(changed)


def without_segment(content, marker):
    """A JPEG without its first segment of a kind."""
    place = content.index(marker)
    return content[:place] + content[place + 2 + struct.unpack_from(">H", content, place + 2)[0] :]


def bmp_with_alpha():
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 24, -16, 1, 32, 3, 0, 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + 108 + 24 * 16 * 4, 0, 0, 122) + header + LAYER.tobytes("raw", "BGRA")


def turned(orientation):
    """EXIF with an orientation, and the scene as it is stored so that turning it gives it back."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {
        1: SCENE,
        2: SCENE[:, ::-1],
        3: SCENE[::-1, ::-1],
        4: SCENE[::-1],
        5: SCENE.transpose(1, 0, 2),
        6: np.rot90(SCENE),
        7: np.rot90(SCENE, 2).transpose(1, 0, 2),
        8: np.rot90(SCENE, -1),
    }[orientation]
    return {"exif": exif}, Image.fromarray(np.ascontiguousarray(stored))


def rotations():
    for orientation in range(1, 9):
        exif, stored = turned(orientation)
        yield kept(f"turned {orientation}.jpg", encoded(stored, "JPEG", quality=95, **exif), within=12)
        yield kept(f"turned {orientation}.png", encoded(stored, "PNG", **exif))
        yield kept(f"turned {orientation}.webp", encoded(stored, "WEBP", lossless=True, **exif))
        yield kept(f"turned {orientation}.tiff", encoded(stored, "TIFF", compression="tiff_lzw", **exif))


def jpegs():
    inks = encoded(Image.fromarray(INKS, "CMYK"), "JPEG", quality=100)
    turned_inks = encoded(Image.fromarray(255 - INKS, "CMYK"), "JPEG", quality=100)
    whole = encoded(PICTURE, "JPEG", quality=95)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    yield kept("baseline.jpg", whole, within=12)
    yield kept("progressive.jpeg", encoded(PICTURE, "JPEG", quality=95, progressive=True), within=12)
    yield kept("grey.jpg", encoded(Image.fromarray(GREYS), "JPEG", quality=95), GREYS, 4)
    yield kept("inks of adobe.jpg", inks, PRINTED, 4)
    yield kept("inks.jpg", without_segment(turned_inks, b"\xff\xee"), PRINTED, 4)
    yield kept("odd profile.jpg", encoded(PICTURE, "JPEG", quality=95, icc_profile=profile), within=12)
    yield kept("damaged profile.jpg", encoded(PICTURE, "JPEG", quality=95, icc_profile=b"no profile"), within=12)
    yield kept(
        "several pictures.jpg", encoded(PICTURE, "MPO", quality=95, save_all=True, append_images=[other()]), within=12
    )
    yield kept("CAPITALS.JPG", whole, within=12)
    yield kept("a png in truth.jpg", encoded(PICTURE, "PNG"))
    yield rejected("cut.jpg", whole[:-40], "truncated")
    yield rejected("header only.jpg", whole[:300], "cannot be decoded")
    yield kept("damaged exif.jpg", encoded(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0no tags at all"), within=12)
    height = whole.index(b"\xff\xc0") + 5
    tall = whole[:height] + struct.pack(">H", 60_000) + whole[height + 2 :]
    yield rejected("too tall for its bytes.jpg", tall, "24 x 60000 pixels in .* bytes: damaged")


def pngs():
    ones = np.array([[True, False]]).repeat(8, 0).repeat(8, 1)
    drawn = PICTURE.quantize(6, dither=Image.Dither.NONE)
    index = drawn.getpixel((0, 0))  # of red
    opaque = bytes(128 if each == index else 255 for each in range(6))
    wide = np.array([[(40000, 0, 65535), (40001, 256, 65535)]], np.uint16)
    sent = np.array([[(156, 0, 255), (156, 1, 255)]], np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "{}" * 1_500_000)
    red_gone, red_half = (SCENE != RED).any(-1) * np.uint8(255), np.where((SCENE == RED).all(-1), 128, 255)
    one_frame = (
        (b"acTL", struct.pack(">II", 1, 0)),
        (b"fcTL", struct.pack(">IIIIIHHBB", 0, 24, 16, 0, 0, 1, 10, 0, 0)),
    )
    yield kept("colours.png", encoded(PICTURE, "PNG"))
    yield kept("1 bit.png", encoded(Image.fromarray(ones), "PNG"), ones * np.uint8(255))
    yield kept("grey.png", encoded(Image.fromarray(GREYS), "PNG"), GREYS)
    yield kept("grey 16.png", encoded(Image.fromarray(DEEP), "PNG"), GREYS)
    yield kept("grey 4, one transparent.png", png(2, 1, 4, 0, b"\0\x72", (b"tRNS", b"\0\7")), np.array([[255, 34]]))
    yield kept(
        "grey 2, one transparent.png", png(4, 1, 2, 0, b"\0\x1b", (b"tRNS", b"\0\1")), np.array([[0, 255, 170, 255]])
    )
    deep = rows_of(np.array([[40000, 100]], np.uint16))
    yield kept("grey 16, one transparent.png", png(2, 1, 16, 0, deep, (b"tRNS", b"\x9c\x40")), np.array([[255, 0]]))
    yield kept("colours 16.png", png(2, 1, 16, 2, rows_of(wide)), sent)
    gone = (b"tRNS", struct.pack(">3H", 40000, 0, 65535))
    yield kept(
        "colours 16, one transparent.png", png(2, 1, 16, 2, rows_of(wide), gone), np.array([[WHITE, sent[0, 1]]])
    )
    layer = np.array([[(65535, 0, 0, 65535), (0, 0, 0, 0)]], np.uint16)
    yield kept("layer 16.png", png(2, 1, 16, 6, rows_of(layer)), np.array([[(255, 0, 0), WHITE]]))
    yield kept("palette.png", encoded(drawn, "PNG"))
    yield kept("palette, one transparent.png", encoded(drawn, "PNG", transparency=index), over(WHITE, alpha=red_gone))
    yield kept("palette, one half.png", encoded(drawn, "PNG", transparency=opaque), over(WHITE, alpha=red_half), 1)
    yield kept("layer.png", encoded(LAYER, "PNG"), over(WHITE), 1)
    yield kept(
        "grey layer.png",
        encoded(LAYER.convert("LA"), "PNG"),
        over(WHITE, np.array(PICTURE.convert("L"))[..., None]).squeeze(),
        1,
    )
    yield kept("interlaced.png", png(24, 16, 8, 2, adam7(SCENE), interlaced=1))
    yield kept(
        "screen profile.png",
        encoded(PICTURE, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    )
    yield kept("an animation of one frame.png", png(24, 16, 8, 2, rows_of(SCENE), *one_frame))
    yield kept("three megabytes of text.png", encoded(PICTURE, "PNG", pnginfo=text))
    yield kept("a jpeg in truth.png", encoded(PICTURE, "JPEG", quality=95), within=12)
    yield kept("one pixel.png", encoded(Image.new("RGB", (1, 1), RED), "PNG"), np.array([[RED]]))
    yield kept("wide.png", encoded(PICTURE.resize((3000, 1), 0), "PNG"), SCENE[8:9].repeat(125, 1))
    yield kept("high.png", encoded(PICTURE.resize((1, 3000), 0), "PNG"), np.array([[GREEN], [BLACK]]).repeat(1500, 0))
    yield rejected("animation.png", encoded(PICTURE, "PNG", save_all=True, append_images=[other()]), "an animation")
    endless = (b"acTL", struct.pack(">II", 2**31, 0))
    yield rejected("two thousand million frames.png", png(24, 16, 8, 2, rows_of(SCENE), endless), "an animation")
    packed = (b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))
    yield rejected("a bomb of text.png", png(24, 16, 8, 2, rows_of(SCENE), packed), "MAX_TEXT_CHUNK")
    flipped = bytearray(encoded(PICTURE, "PNG"))
    flipped[-20] ^= 1  # of the last bytes of the pixels: their checksum, or the pixels'
    yield rejected("one bit flipped.png", bytes(flipped), "checksum")
    yield rejected("cut.png", encoded(PICTURE, "PNG")[:-30], "cannot be decoded")
    yield rejected("a bomb.png", png(20_000, 6_000, 8, 2, b""), "20000 x 6000 pixels, more than 100 million")
    yield rejected("a larger bomb.png", png(2**31 - 1, 2**31 - 1, 8, 2, b""), "more than 100 million pixels")
    yield rejected("a flat bomb.png", png(9_000, 9_000, 8, 2, b""), "9000 x 9000 pixels in .* bytes")


def other_formats():
    drawn = PICTURE.quantize(6, dither=Image.Dither.NONE)
    ones = np.array([[True, False]]).repeat(8, 0).repeat(8, 1)
    yield kept("still.gif", encoded(drawn, "GIF"))
    red_gone = (SCENE != RED).any(-1) * np.uint8(255)
    yield kept(
        "transparent.gif", encoded(drawn, "GIF", transparency=drawn.getpixel((0, 0))), over(WHITE, alpha=red_gone)
    )
    yield rejected("animation.gif", encoded(PICTURE, "GIF", save_all=True, append_images=[other()]), "an animation")
    canvas = bytearray(encoded(drawn, "GIF"))
    struct.pack_into("<HH", canvas, 6, 9_000, 9_000)
    yield rejected("a large canvas.gif", bytes(canvas), "9000 x 9000 pixels in .* bytes")
    yield kept("lossy.webp", encoded(PICTURE, "WEBP", quality=95), within=20)
    yield kept("lossless.webp", encoded(PICTURE, "WEBP", lossless=True))
    yield kept("damaged exif.webp", encoded(PICTURE, "WEBP", lossless=True, exif=b"no tags at all"))
    yield kept("layer.webp", encoded(LAYER, "WEBP", lossless=True, exact=True), over(WHITE), 1)
    yield rejected("animation.webp", encoded(PICTURE, "WEBP", save_all=True, append_images=[other()]), "an animation")
    yield kept("colours.bmp", encoded(PICTURE, "BMP"))
    yield kept("1 bit.bmp", encoded(Image.fromarray(ones), "BMP"), ones * np.uint8(255))
    yield kept("palette.bmp", encoded(drawn, "BMP"))
    yield kept("layer.bmp", bmp_with_alpha(), over(WHITE), 1)


def tiffs():
    pages = encoded(PICTURE, "TIFF", save_all=True, append_images=[other()], tiffinfo={254: 0})
    real = GREYS.astype(np.float32) / 255
    yield kept("colours.tif", encoded(PICTURE, "TIFF"))
    yield kept("packed.tiff", encoded(PICTURE, "TIFF", compression="tiff_lzw"))
    yield kept("deflated layer.tiff", encoded(LAYER, "TIFF", compression="tiff_adobe_deflate"), over(WHITE), 1)
    yield kept("jpeg within.tiff", encoded(PICTURE, "TIFF", compression="jpeg", quality=95), within=12)
    yield kept(
        "fax.tiff", encoded(Image.fromarray(GREYS > 100), "TIFF", compression="group4"), (GREYS > 100) * np.uint8(255)
    )
    yield kept("inks.tiff", encoded(Image.fromarray(INKS, "CMYK"), "TIFF"), PRINTED)
    yield kept("grey.tiff", encoded(Image.fromarray(GREYS), "TIFF"), GREYS)
    yield kept("grey 16.tiff", encoded(Image.fromarray(DEEP), "TIFF"), GREYS)
    yield kept("white is zero.tiff", tagged(encoded(Image.fromarray(65535 - DEEP), "TIFF"), 262, 0), GREYS)
    yield kept("real.tiff", encoded(Image.fromarray(real), "TIFF"), GREYS)
    bright = encoded(Image.fromarray(real * np.float32(1.5)), "TIFF")
    yield kept("brighter than white.tiff", bright, (real * 382.5).round().clip(0, 255).astype(np.uint8))
    yield kept("with a preview.tiff", tagged(pages, 254, 1, page=1))
    yield kept("preview first.tiff", tagged(pages, 254, 1, page=0), 255 - SCENE)
    yield rejected("pages.tiff", pages, "several pages")
    endless = Image.fromarray(
        np.array([[0, 0x7F800000], [0, 0x7FA00000]], np.uint32).view(np.float32)
    )  # infinite, signalling
    yield rejected("not finite.tiff", encoded(endless, "TIFF"), "not finite")
    yield rejected("32 bits.tiff", encoded(Image.fromarray(np.array([[0, 2**30]], np.int32)), "TIFF"), "values up to")
    yield rejected("without its rows.tiff", tagged(encoded(PICTURE, "TIFF"), 257, 1600), "of which it holds 24 x 16")
    yield rejected("cut.tiff", tagged(encoded(PICTURE, "TIFF"), 279, 10**6)[:-300], "cannot be decoded")


def foreign():
    names = {"icon.ico": "ICO", "targa.tga": "TGA", "map.ppm": "PPM", "wavelets.jp2": "JPEG2000"}
    for name, kind in names.items():
        content = encoded(PICTURE, kind)
        yield rejected(name, content, f"{Path(name).suffix} pictures are not read: save it as PNG or JPEG")
    yield rejected("icon.png", encoded(PICTURE, "ICO"), "an icon, whatever its name")
    yield rejected("wavelets.jpg", encoded(PICTURE, "JPEG2000"), "a JPEG 2000 picture, whatever its name")
    yield rejected("map.png", encoded(PICTURE, "PPM"), "not a picture that can be read")
    yield rejected("map 16.pgm", encoded(Image.fromarray(DEEP), "PPM"), ".pgm pictures are not read")
    yield rejected("program.png", encoded(PICTURE, "EPS"), "a PostScript document")
    yield rejected("document.png", encoded(PICTURE, "PDF"), "a PDF document")
    if features.check("avif"):
        yield rejected("new.avif", encoded(PICTURE, "AVIF"), ".avif pictures are not read")
        yield rejected("new.jpg", encoded(PICTURE, "AVIF"), "an AVIF picture, whatever its name")
    phone = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(300)
    yield rejected("phone.heic", phone, ".heic pictures are not read")
    yield rejected("phone.jpg", phone, "a HEIC picture, whatever its name")
    yield rejected("not found.jpg", b"<!DOCTYPE html><title>404</title>", "a web page")
    yield rejected("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a drawing in SVG")


def files():
    whole = encoded(PICTURE, "PNG")
    yield kept("猫 一.png", whole)
    yield kept("🐈‍⬛.png", whole)
    yield kept("with spaces, commas; and 'signs' [red].png", whole)
    yield rejected("no suffix", whole, "not a picture|a picture whose name does not say so")
    yield rejected("empty.png", b"", "empty file")
    yield rejected("text.png", b"not a picture at all", "not a picture that can be read")
    yield Kind("folder.png", lambda path: path.mkdir(), reason="a folder, not a picture")
    yield Kind("lost.png", lambda path: path.symlink_to("gone"), reason="No such file|a link to gone")
    yield Kind("itself.png", lambda path: path.symlink_to("itself.png"), reason="cannot be read|a link to itself")
    if getattr(os, "geteuid", lambda: 0)():  # an administrator, and Windows, may read it all the same
        yield Kind("forbidden.png", lambda path: (path.write_bytes(whole), path.chmod(0)), reason="Permission denied")
    if hasattr(os, "mkfifo"):
        yield Kind("pipe.png", os.mkfifo, reason="a pipe or device")


KINDS = [*rotations(), *jpegs(), *pngs(), *other_formats(), *tiffs(), *foreign(), *files()]

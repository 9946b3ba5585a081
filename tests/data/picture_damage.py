"""Picture files damaged in many ways, always the same ones for a seed."""

import struct
import zlib

import numpy as np
from picture_kinds import tagged


def bytes_changed(content, random, others):
    changed = bytearray(content)
    for place in random.integers(0, len(changed), random.integers(1, 6)):
        changed[place] = random.integers(256)
    return changed


def bits_flipped_in_the_header(content, random, others):
    changed = bytearray(content)
    for place in random.integers(0, min(len(changed), 200), 3):
        changed[place] ^= 1 << int(random.integers(8))
    return changed


def cut_short(content, random, others):
    return content[: random.integers(len(content))]


def a_part_repeated(content, random, others):
    first, last = sorted(random.integers(0, len(content), 2))
    place = random.integers(len(content))
    return content[:place] + content[first:last] + content[place:]


def a_part_of_another(content, random, others):
    other = others[random.integers(len(others))]
    place = random.integers(min(len(content), len(other)))
    return content[:place] + other[place:] if random.integers(2) else other[:place] + content[place:]


def a_number_enlarged(content, random, others):
    """A number of the header, in 1, 2 or 4 bytes, is the largest, the largest positive, zero, or any."""
    changed, width = bytearray(content), 2 ** int(random.integers(3))
    place = random.integers(max(1, min(len(changed), 160) - width))
    numbers = (b"\xff" * width, b"\x7f" + b"\xff" * (width - 1), bytes(width), random.bytes(width))
    changed[place : place + width] = numbers[random.integers(4)]
    return changed


def halves_swapped(content, random, others):
    middle = len(content) // 2
    return content[middle:] + content[:middle]


def the_rest_reversed(content, random, others):
    place = random.integers(len(content))
    return content[:place] + content[place:][::-1]


def zeros_inserted(content, random, others):
    place = random.integers(len(content))
    return content[:place] + bytes(int(random.integers(1, 60))) + content[place:]


def zeroed(content, random, others):
    place = random.integers(len(content))
    length = min(int(random.integers(1, 60)), len(content) - place)
    return content[:place] + bytes(length) + content[place + length :]


WAYS = (
    bytes_changed,
    bits_flipped_in_the_header,
    cut_short,
    a_part_repeated,
    a_part_of_another,
    a_number_enlarged,
    halves_swapped,
    the_rest_reversed,
    zeros_inserted,
    zeroed,
)


def damaged(contents, number, seed):
    """So many damaged files, of each content and in each way about as many.

    Args:
        contents: name of a file -> its bytes.
        number: of files.
        seed: of the damage.
    Yields:
        A new name and the damaged bytes.
    """
    random = np.random.default_rng(seed)
    names = sorted(contents)
    for index in range(number):
        name = names[index % len(names)]
        way = WAYS[index // len(names) % len(WAYS)]
        others = [contents[other] for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
        yield f"{index:05d} {way.__name__} of {name}", bytes(way(contents[name], random, others))


def claiming(name, content, width, height):
    """A picture whose header says another size, as its format says it, with a right checksum."""
    changed = bytearray(content)
    match name.rpartition(".")[2]:
        case "png":
            struct.pack_into(">II", changed, 16, width, height)
            struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
        case "jpg" | "jpeg":
            place = max(changed.find(b"\xff\xc0"), changed.find(b"\xff\xc2"))
            struct.pack_into(">HH", changed, place + 5, height, width)
        case "gif":
            struct.pack_into("<HH", changed, 6, width, height)
        case "bmp":
            struct.pack_into("<ii", changed, 18, width, -height)
        case "tif" | "tiff":
            return tagged(tagged(tagged(content, 256, width), 257, height), 278, height)
        case "webp" if b"VP8L" in changed:
            place = changed.find(b"VP8L") + 9
            (bits,) = struct.unpack_from("<I", changed, place)
            struct.pack_into("<I", changed, place, bits & ~0xFFFFFFF | (height - 1) << 14 | width - 1)
        case "webp":
            struct.pack_into("<HH", changed, changed.find(b"\x9d\x01\x2a") + 3, width, height)
    return bytes(changed)

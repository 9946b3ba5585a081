"""Decodes pictures as a process of its own: python decode_alone.py FILE...

Prints a line for each: the most bytes of memory while it was decoded, less those before the first, and what became of it.
"""

import sys
from pathlib import Path

from PIL import Image

from scumble.data.pictures import decode_picture
from scumble.errors import DataError

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Where Linux says how much memory a process took at most, and where 5 makes it count anew."""


def most_bytes():
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    Image.init()
    before = most_bytes()
    for name in sys.argv[1:]:
        RESET.write_text("5")
        try:
            outcome = "kept {} x {}".format(*decode_picture(Path(name)).size)
        except DataError as error:
            outcome = str(error)
        print(most_bytes() - before, outcome)

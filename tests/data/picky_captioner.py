"""A captioner as a plug-in: it says a word, and fails on batches with a red picture as models fail on odd input."""

from scumble.data.captioners.base import Caption

DEFAULT_MODEL = "someone/picky"
GIVES_TAGS = False
WANTED = ()
RED = (255, 0, 0)


class Picky:
    """Fails on red."""

    notes = ()
    max_tokens = None

    def caption(self, images):
        """One word a picture."""
        if any(image.getpixel((0, 0)) == RED for image in images):
            raise IndexError("index out of range in self\nand more")
        return [Caption("noise") for _ in images]


def open_captioner(folder, wishes, device):
    """There is nothing to load."""
    return Picky()

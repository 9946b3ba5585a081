"""What of a LoRA file was not read where only a part of it had to be, in words."""

from collections.abc import Sequence

from scumble.files.assemble import first_names


def left_out_words(names: Sequence[str]) -> str:
    """How many layers and tensors were left out, and the first of them.

    Args:
        names: `LoraFile.left_out`, not empty.
    """
    return f"left out {len(names)} of its layers or tensors: {first_names(names)}"

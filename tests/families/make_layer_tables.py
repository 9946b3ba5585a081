"""Writes src/scumble/families/tables/*.txt: the layers of the known architectures, as their models have them.

    python tests/families/make_layer_tables.py

A line is a layer's canonical key and the sizes of its weight. With it a LoRA file's base is found without the seconds that
importing the model's code takes.
"""

from scumble.families.checkpoint import shipped_configs
from scumble.families.find import open_base
from scumble.families.hub import IN_THE_BOX
from scumble.families.layers import TABLES, layer_shapes
from scumble.registry import names


def lines_of(configs):
    """The lines of one table, from the settings of the denoiser and the text encoders."""
    parts = {part: config for part, config in configs.items() if part == "unet" or part.startswith("text_encoder")}
    return "".join(f"{key} {' '.join(map(str, shape))}\n" for key, shape in layer_shapes(parts).items())


def all_tables():
    """Name -> text of its table."""
    tables = {name: lines_of(open_base(name).configs) for name in IN_THE_BOX}
    return tables | {family: lines_of(shipped_configs(family)) for family in names("family")}


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    for name, text in all_tables().items():
        (TABLES / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")

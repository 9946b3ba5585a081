"""Writes src/scumble/families/tables/: the layers of the known architectures, as their models have them.

    python tests/families/make_layer_tables.py

What a line is, families/outline.py says. With the tables a base's layers, and the base that a LoRA file is for, are found
without the seconds that importing the model's code takes.
"""

import inspect
import json

from diffusers import UNet2DConditionModel

from scumble.families.checkpoint import shipped_configs
from scumble.families.find import open_base
from scumble.families.hub import IN_THE_BOX
from scumble.families.shapes import DEFAULTS, TABLES, empty_unet, shapes_in, text_shapes
from scumble.registry import names


def lines_of(configs):
    """The text of one table, from the settings of the denoiser and the text encoders."""
    denoiser = empty_unet(configs["unet"])
    shapes = shapes_in(denoiser)
    for part, config in configs.items():
        shapes |= text_shapes(part, config) if part.startswith("text_encoder") else {}
    lines = [f"unet {sum(parameter.numel() for parameter in denoiser.parameters())}"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{key} {' '.join(map(str, shapes[key]))}" for key in shapes)])


def all_files():
    """Name -> text of its file."""
    tables = {f"{name}.txt": lines_of(open_base(name).configs) for name in IN_THE_BOX}
    tables |= {f"{family}.txt": lines_of(shipped_configs(family)) for family in names("family")}
    settings = inspect.signature(UNet2DConditionModel.__init__).parameters.values()
    defaults = {each.name: each.default for each in settings if each.name != "self"}
    return tables | {DEFAULTS.name: json.dumps(defaults, indent=2) + "\n"}


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    for name, text in all_files().items():
        (TABLES / name).write_text(text, encoding="utf-8", newline="\n")

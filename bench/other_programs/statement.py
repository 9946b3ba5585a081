"""What scumble says that the other programs make of a file: the side of the comparison that is ours."""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from torch import Tensor

Changes = Mapping[str, Tensor]


class Statements:
    """Our statements for files of one base.

    Args:
        folder: the base's pipeline folder.
        programs: of which programs.
    """

    def __init__(self, folder: Path, programs: Collection[str]) -> None:
        from scumble.families.find import open_base
        from scumble.families.layers import table_of

        self.programs = programs
        self.table = table_of(open_base(str(folder)))

    def of(self, path: Path) -> dict[str, Changes]:
        """Program -> canonical key -> change as applied, float32; keys that stay as they are lack.

        Raises:
            ScumbleError: we cannot read the file ourselves.
        """
        from scumble.edit.change import whole_change
        from scumble.edit.programs.readings import readings_of
        from scumble.files.read import read_lora

        file = read_lora(path, self.table.paths())
        whole = cache(lambda key: whole_change(key, file.layers[key], self.table))  # most programs apply the same
        return {
            program: {
                key: whole(key) if effect.change is None else effect.change(key, file.layers[key], self.table)
                for key, effect in reading.effects.items()
                if effect.is_applied
            }
            for program, reading in readings_of(path, file, self.table).items()
            if program in self.programs
        }

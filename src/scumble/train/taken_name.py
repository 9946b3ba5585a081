"""Whether the folder that a new run would get holds a run, asked before anything heavy is imported."""

from scumble.config import DataConfig, OutputConfig
from scumble.errors import CheckpointError
from scumble.train.ahead import name_of


def refuse_taken_name(data: DataConfig, output: OutputConfig) -> None:
    """Raise where a run lies in the folder that a new run would get.

    Args:
        data: names the pictures.
        output: of the new run.
    Raises:
        CheckpointError: says how to go on with it, replace it, or call the new one.
    """
    name = output.name or name_of(data)
    folder = output.output_dir / name
    if output.resume or output.overwrite or not folder.is_dir():
        return
    from scumble.train.runfolder import RunFolder, another_run_in, holds_run  # imports torch

    if holds_run(RunFolder(folder, name, "")):
        raise CheckpointError(another_run_in(folder))

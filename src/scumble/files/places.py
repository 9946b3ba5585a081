"""Where LoRAs lie on the disk: in one file, or in a folder of PEFT with a folder in it for each model part."""

from pathlib import Path

PARTS = ("unet", "text_encoder", "text_encoder_2")
"""The model parts that a LoRA may change, as diffusers' pipelines call them."""

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""The files of a PEFT folder."""

OLD_WEIGHTS = "adapter_model.bin"
"""What PEFT called the weights when they were pickles; still read where the others are not there."""

FILE_SUFFIX = ".safetensors"
PEFT_SUFFIX = ".peft"
"""How this program ends the names of PEFT folders, so that they are called by the same name as files."""
SUFFIXES = (FILE_SUFFIX, PEFT_SUFFIX)

PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
"""Endings of files that can run any program when they are opened."""


def plain_name(name: str) -> str:
    """What a LoRA is called: the name of its file or folder without the ending."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def words_beside(lora: Path) -> Path:
    """The folder beside a LoRA in which its words lie in files of their own."""
    return lora.with_name(f"{plain_name(lora.name)}-words")


def lora_of(file: Path) -> Path:
    """The LoRA that a safetensors file is, or whose PEFT folder it lies in."""
    if file.name != WEIGHTS:
        return file
    folder = file.parent
    return folder.parent if folder.name in PARTS else folder

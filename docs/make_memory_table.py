"""Writes the table of docs/how-to/little-memory.md: what weights take, from the published architectures' shapes alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from scumble.adapters.pack import Storage, stored_bytes
from scumble.families.checkpoint import shipped_configs

PAGE = Path(__file__).parent / "how-to" / "little-memory.md"
START, END = "<!-- the table: make docs -->\n", "<!-- its end -->\n"
BASES = {"Stable Diffusion 1.5": "sd1", "SDXL": "sdxl"}
OPTIONS = {
    "`--mixed-precision no`": (torch.float32, Storage()),
    "`--mixed-precision bf16` or `fp16`": (torch.bfloat16, Storage()),
    "the same, `--base-packing int8`": (torch.bfloat16, Storage("int8")),
    "the same, `--base-packing nf4`": (torch.bfloat16, Storage("nf4")),
    "16 bits, `--group-offload`": (torch.bfloat16, Storage(None, is_offloaded=True)),
    "`--base-packing nf4 --group-offload`": (torch.bfloat16, Storage("nf4", is_offloaded=True)),
}
"""What is typed -> how the denoiser's frozen weights are kept."""


def rows() -> Iterator[str]:
    """The table's lines."""
    models = [_models(family) for family in BASES.values()]
    yield "| what | " + " | ".join(BASES) + " |"
    yield "|---|" + "---:|" * len(BASES)
    for option, (dtype, storage) in OPTIONS.items():
        cells = []
        for parts in models:
            stored = stored_bytes(parts["unet"], dtype, storage)
            away = f" (and {_megabytes(stored.elsewhere)} in the computer)" if stored.elsewhere else ""
            cells.append(_megabytes(stored.on_device) + away)
        yield f"| denoiser, {option} | {' | '.join(cells)} |"
    for what, names in {"text encoder(s)": ("text_encoder", "text_encoder_2"), "autoencoder": ("vae",)}.items():
        cells = [_megabytes(sum(_bytes(parts[name]) for name in names if name in parts)) for parts in models]
        yield f"| {what}, in float32, gone before the first step | {' | '.join(cells)} |"


def page() -> str:
    """The page with its table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{''.join(line + chr(10) for line in rows())}{END}{after}"


def _models(family: str) -> dict[str, nn.Module]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    configs = shipped_configs(family)
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "unet": UNet2DConditionModel.from_config(configs["unet"]),
            "vae": AutoencoderKL.from_config(configs["vae"]),
        }
        for part, kind in {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}.items():
            if part in configs:
                parts[part] = kind(CLIPTextConfig.from_dict(configs[part]))
    return parts


def _bytes(model: nn.Module) -> int:
    return stored_bytes(model, torch.float32, Storage()).on_device


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()

"""LoRAs of every algorithm for the tiny base, as files."""

import pytest
import torch
from tests.files.kinds import random_layer

from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora

LINEAR = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CROSS = "unet.up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k"
CONV = "unet.down_blocks.0.resnets.0.conv1"
SMALL_CONV = "unet.down_blocks.0.attentions.0.proj_in"
TEXT = [f"text_encoder.text_model.encoder.layers.0.self_attn.{name}_proj" for name in ("q", "k", "v", "out")]
PLACES = (LINEAR, CROSS, CONV, SMALL_CONV, *TEXT)


@pytest.fixture(scope="session")
def table(tiny_base):
    return table_of(open_base(str(tiny_base)))


@pytest.fixture
def layers_of(table):
    """Random layers, one a place, of one kind or of one kind for each place."""

    def make(kind="lora", rank=3, alpha=2.0, seed=0, places=PLACES, dora=None):
        kinds = [kind] * len(places) if isinstance(kind, str) else kind
        return {
            place: random_layer(kind, table.shapes[place], rank, alpha, seed + index, dora)
            for index, (place, kind) in enumerate(zip(places, kinds, strict=True))
        }

    return make


@pytest.fixture
def lora_file(layers_of, tmp_path):
    """Writes a file with random layers; its path."""

    def write(name="a", metadata=None, dtype=torch.float32, **how):
        path = tmp_path / f"{name}.safetensors"
        write_lora(LoraFile(layers_of(**how), metadata or {}), path, dtype=dtype)
        return path

    return write

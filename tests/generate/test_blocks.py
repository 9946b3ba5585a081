"""Weights per block, by the names and counts that people know."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from scumble.adapters.targets import find_targets
from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.generate.blocks import BLOCKS, LAYOUTS, block_factors, block_of, parse_blocks
from scumble.generate.prompt import LoraTag, parse_tags
from scumble.generate.recipe import LoraUse, Recipe


@pytest.fixture(scope="module")
def layers(narrow_base):
    """Canonical keys of the layers of Stable Diffusion 1.5's blocks, by target."""
    denoiser = open_base(str(narrow_base)).empty_denoiser()
    return lambda *targets: [f"unet.{path}" for path in find_targets(denoiser, targets)]


def test_the_counts_are_those_that_people_know():
    assert {count: len(layout) for count, layout in LAYOUTS.items()} == {12: 12, 17: 17, 20: 20, 26: 26}
    assert LAYOUTS[17] == (
        "BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00",
        "OUT03", "OUT04", "OUT05", "OUT06", "OUT07", "OUT08", "OUT09", "OUT10", "OUT11",
    )  # fmt: skip


def test_attention_lies_in_exactly_the_17_blocks(layers):
    found = Counter(map(block_of, layers("attention")))
    assert set(found) == set(LAYOUTS[17]) - {"BASE"}
    assert set(found.values()) == {8}


def test_every_layer_of_the_blocks_has_its_block(layers):
    found = set(map(block_of, layers("all-linear", "all-conv")))
    assert found == set(BLOCKS)
    assert block_of("unet.conv_in") == "IN00"
    assert block_of("unet.down_blocks.0.downsamplers.0.conv") == "IN03"
    assert block_of("unet.up_blocks.0.upsamplers.0.conv") == "OUT02"
    assert block_of("unet.up_blocks.3.attentions.2.proj_out") == "OUT11"
    assert block_of("unet.time_embedding.linear_1") == "BASE"
    assert block_of("text_encoder.text_model.encoder.layers.0.mlp.fc1") == "BASE"


def test_values_in_order_and_by_name():
    numbers = ",".join(str(index) for index in range(17))
    assert parse_blocks(numbers) == {block: float(index) for index, block in enumerate(LAYOUTS[17])}
    named = parse_blocks("in04=0.5, OUT03=0")
    assert (named["IN04"], named["OUT03"], named["M00"], len(named)) == (0.5, 0.0, 1.0, 26)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3", "found 3 values, expected 12, 17, 20, 26"),
        ("IN4=1", "unknown block 'IN4': did you mean 'IN04'"),
        ("IN04=much", "the weight 'much' is not a number"),
        (",".join(["nan"] * 17), "the weight 'nan' is not a number"),
    ],
)
def test_what_is_not_understood_is_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_blocks(text)
    with pytest.raises(ConfigError, match=said):
        parse_tags(f"a dog <lora:sks:1:lbw={text}>")


def test_a_block_without_a_weight_is_an_error(layers):
    keys = layers("attention", "conv")
    with pytest.raises(ConfigError, match=r"'sks' changes IN03.* leave out: give 26 values"):
        block_factors(keys, parse_blocks(",".join(["1"] * 17)), "sks")
    assert set(block_factors(keys, parse_blocks(",".join(["1"] * 26)), "sks").values()) == {1.0}


def test_a_tag_says_its_block_weights():
    cleaned, tags = parse_tags("a dog <lora:sks:0.8:lbw=IN04=0.5,M00=0> here")
    assert (cleaned, tags) == ("a dog here", [LoraTag("sks", 0.8, "IN04=0.5,M00=0")])
    assert LoraUse("sks", 0.8, "", "IN04=0.5,M00=0").tag == "<lora:sks:0.8:lbw=IN04=0.5,M00=0>"
    with pytest.raises(ConfigError, match="'dyn' is not understood"):
        parse_tags("a dog <lora:sks:0.8:dyn=8>")


def test_a_block_of_weight_0_is_a_lora_without_that_block(painter, make_lora):
    lora = make_lora()
    kept = LoraFile({key: layer for key, layer in lora.layers.items() if block_of(key) != "M00"})
    assert 0 < len(kept.layers) < len(lora.layers)
    painter.add_lora("ink", lora)
    painter.add_lora("kept", kept)
    recipe = Recipe("a dog", 32, 32, steps=3)
    one, other, whole = (
        painter.paint([replace(recipe, loras=(use,))])[0].image.tobytes()
        for use in (LoraUse("ink", 0.7, "", "M00=0"), LoraUse("kept", 0.7), LoraUse("ink", 0.7))
    )
    assert one == other
    assert one != whole
    folded = painter.paint([replace(recipe, loras=(LoraUse("ink", 0.7, "", "M00=0"),))], folded=True)[0].image
    difference = (
        torch.frombuffer(bytearray(folded.tobytes()), dtype=torch.uint8).int()
        - torch.frombuffer(bytearray(one), dtype=torch.uint8).int()
    )
    assert difference.abs().max() <= 1

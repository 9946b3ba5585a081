"""Which layers a preset or a pattern names, on the block structure of Stable Diffusion 1.5."""

import pytest

from scumble.adapters.inject import attach
from scumble.adapters.targets import find_targets
from scumble.errors import TargetError
from scumble.families.find import open_base


@pytest.fixture(scope="module")
def skeleton(narrow_base):
    return open_base(str(narrow_base)).empty_denoiser()


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        (("attention",), 128),
        (("self-attention",), 64),
        (("cross-attention",), 64),
        (("*.attn2.to_q",), 16),
        (("*.attn2.to_[qkv]",), 48),
        (("self-attention", "cross-attention"), 128),
        (("attention", "*.attn1.to_q"), 128),
        (("mid_block.*.attn2.to_k", "*.ff.net.0.proj"), 1 + 16),
    ],
)
def test_presets_and_patterns_name_this_many_layers(skeleton, targets, count):
    paths = find_targets(skeleton, targets)
    assert len(paths) == len(set(paths)) == count


def test_cross_attention_is_attn2_only(skeleton):
    assert {path.split(".")[-2] for path in find_targets(skeleton, ["*.attn2.to_q"])} == {"attn2"}
    assert not any("attn1" in path for path in find_targets(skeleton, ["cross-attention"]))


def test_paths_come_in_the_order_of_the_model(skeleton):
    order = [path for path, _ in skeleton.named_modules()]
    paths = find_targets(skeleton, ["cross-attention", "self-attention"])
    assert paths == sorted(paths, key=order.index)


def test_adapted_layers_are_found_under_the_same_paths(denoiser, new_adapters):
    before = find_targets(denoiser, ["attention"])
    attach(denoiser, "new", new_adapters(denoiser))
    assert find_targets(denoiser, ["attention"]) == before


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("*.attn2.to_qq", "*.attn2.to_q"),
        ("attn2.to_q", "*.attn2.to_q"),
        ("to_k", "*.to_k"),
        ("cross_attention", "cross-attention"),
        ("atention", "attention"),
    ],
)
def test_an_unknown_pattern_names_the_nearest(skeleton, target, meant):
    with pytest.raises(TargetError) as caught:
        find_targets(skeleton, [target])
    assert str(caught.value) == f"target '{target}' matches no layer: did you mean '{meant}'?"


def test_one_bad_pattern_among_good_ones_is_not_passed_over(skeleton):
    with pytest.raises(TargetError, match=r"'nothing\.like\.it' matches no layer"):
        find_targets(skeleton, ["attention", "nothing.like.it"])


def test_a_pattern_for_a_layer_that_cannot_be_adapted_says_what_it_is(skeleton):
    with pytest.raises(TargetError, match="conv_norm_out, a GroupNorm, which cannot be adapted"):
        find_targets(skeleton, ["conv_norm_out"])

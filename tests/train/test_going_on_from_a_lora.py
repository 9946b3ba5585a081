"""Training that goes on from a LoRA file: what is wholly for the base is trained on, anything else is an error."""

import json

import pytest
from safetensors.torch import load_file
from tests.files.kinds import random_layer
from tests.files.mismatches import MISMATCHES, write_spoilt

from scumble.errors import CheckpointError, ConfigError, LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora
from scumble.train.card import planned
from scumble.train.events import Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan


@pytest.fixture
def settings(common, tmp_path):
    """Settings that go on from the file `a.safetensors`."""
    own = {"output": {"init_lora": tmp_path / "a.safetensors"}}
    return lambda **changes: common(own, changes)


@pytest.mark.parametrize("kind", MISMATCHES)
def test_no_kind_of_mismatch_is_trained_on(kind, attention_lora, narrow_base, settings, tmp_path):
    def there():  # a look at pictures older than two seconds is noted in the cache
        return sorted(path for path in tmp_path.iterdir() if path.name != "cache")

    write_spoilt(attention_lora, MISMATCHES[kind], tmp_path / "a.safetensors")
    before = there()
    with pytest.raises(LoraFileError, match=MISMATCHES[kind].says) as error:
        list(train(settings(model={"base": str(narrow_base)})))
    assert "a.safetensors: " in str(error.value)
    assert there() == before


def test_a_shape_that_does_not_fit_is_an_error_before_anything_is_written(
    attention_lora, narrow_base, settings, tmp_path
):
    first = next(iter(attention_lora.layers))
    layers = {**attention_lora.layers, first: random_layer("lora", (60, 64), 2, 1.0, seed=1)}
    write_lora(LoraFile(layers), tmp_path / "a.safetensors")
    with pytest.raises(
        LoraFileError, match=r"a\.safetensors: 1 of 128 layers do not fit .*up \[60, 2\], but the layer is"
    ):
        list(train(settings(model={"base": str(narrow_base)})))
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def lora_of(tiny_base, tmp_path):
    """Writes `a.safetensors`, a LoRA of the tiny base with layers of these kinds: (pattern, kind, rank, alpha, dora)."""
    table = table_of(open_base(str(tiny_base)))

    def write(*parts, metadata=None):
        layers = {
            key: random_layer(kind, table.shapes[key], rank, alpha, 0, dora)
            for pattern, kind, rank, alpha, dora in parts
            for key in table.shapes
            if pattern in key
        }
        write_lora(LoraFile(layers, metadata or {}), tmp_path / "a.safetensors")
        return layers

    return write


def card_of(config):
    return planned(make_plan(config)).card


def test_the_card_says_what_the_file_holds_and_not_what_the_settings_would(lora_of, settings):
    count = len(lora_of((".attn2.", "loha", 3, 2.5, "output")))
    said = card_of(settings())["adapter"]
    assert said.startswith(f"loha with DoRA on output, rank 3, alpha 2.5, on {count} layers, going on from ")
    assert said.endswith("a.safetensors")


def test_the_card_of_a_mixed_file_counts_its_kinds(lora_of, settings):
    lora_of((".attn1.", "lora", 4, 8.0, None), (".attn2.", "lokr", 1, 2.0, None), (".mlp.", "lora", 2, 8.0, None))
    said = card_of(settings(adapter={"dropout": 0.1}))["adapter"]
    kinds = "lora (20), lokr (16), dropout 0.1/0/0, rank 1 to 4, alpha 2 to 8, on 36 layers, going on from "
    assert said.startswith(kinds)


def test_what_is_trained_keeps_the_form_of_the_file_and_says_no_targets_of_its_own(lora_of, settings, tmp_path):
    before = lora_of((".conv1", "lora", 2, 3.0, "input"), (".attn2.", "loha", 3, 1.5, None))
    list(train(settings()))
    path = tmp_path / "runs" / "photos" / "photos.safetensors"
    after = read_lora(path, open_base(settings().model.base).layer_paths()).layers
    assert {key: (layer.algorithm, layer.rank, layer.scale) for key, layer in after.items()} == {
        key: (layer.algorithm, layer.rank, layer.scale) for key, layer in before.items()
    }
    assert all("magnitude" in after[key].tensors for key in before if ".conv1" in key)
    assert "scumble.targets" not in read_metadata(path)


def test_the_targets_that_the_file_tells_are_told_on(lora_of, settings, tmp_path):
    lora_of((".attn2.", "lora", 3, 1.5, None), metadata={"scumble.targets": json.dumps(["*.attn2.*"])})
    list(train(settings()))
    metadata = read_metadata(tmp_path / "runs" / "photos" / "photos.safetensors")
    assert json.loads(metadata["scumble.targets"]) == ["*.attn2.*"]


def test_a_rate_of_a_text_encoder_that_the_file_does_not_change_is_refused(lora_of, settings):
    lora_of((".attn2.", "lora", 3, 1.5, None))
    with pytest.raises(ConfigError, match="text_encoder_lr would have no effect: init_lora has no layer of a text enc"):
        make_plan(settings(optimizer={"text_encoder_lr": 1e-4}))


FILES_IN_BETWEEN = {
    "fewer layers": [(".attn1.to_q", "lora", 3, 1.5, None)],
    "another alpha": [(".attn1.", "lora", 3, 2.5, None)],
    "another algorithm": [(".attn1.", "loha", 3, 1.5, None)],
}


@pytest.mark.parametrize("what", FILES_IN_BETWEEN)
def test_a_run_is_not_resumed_on_a_lora_of_other_layers(what, lora_of, settings, tmp_path):
    lora_of((".attn1.", "lora", 3, 1.5, None))
    events = train(settings())
    next(event for event in events if isinstance(event, Stepped) and event.step == 2)
    events.close()
    lora_of(*FILES_IN_BETWEEN[what])
    with pytest.raises(CheckpointError, match=r"layers of init_lora was \d+ layers, \w+ and is \d+ layers"):
        list(train(settings(output={"resume": True})))


def test_a_run_is_resumed_on_a_lora_of_the_same_layers(lora_of, settings, tmp_path):
    lora_of((".attn1.", "lora", 3, 1.5, None))
    events = train(settings())
    next(event for event in events if isinstance(event, Stepped) and event.step == 2)
    events.close()
    list(train(settings(output={"resume": True})))
    assert load_file(tmp_path / "runs" / "photos" / "photos.safetensors")


@pytest.mark.parametrize("kind", MISMATCHES)
def test_a_part_is_trained_on_only_where_it_is_allowed_and_the_rest_is_named(
    kind, attention_lora, narrow_base, settings, tmp_path
):
    mismatch = MISMATCHES[kind]
    write_spoilt(attention_lora, mismatch, tmp_path / "a.safetensors")
    config = settings(model={"base": str(narrow_base)}, output={"allow_partial": True})
    if mismatch.left_out is None:
        with pytest.raises(LoraFileError, match=mismatch.says):
            make_plan(config)
        return
    plan = make_plan(config)
    said = [note.text for note in plan.notes if note.warning and "left out" in note.text]
    assert said == [f"the LoRA to go on from: left out 1 of its layers or tensors: {mismatch.left_out[0]}"]
    assert len(plan.layers) in (127, 128)
    assert f"on {len(plan.layers)} layers, going on from" in planned(plan).card["adapter"]

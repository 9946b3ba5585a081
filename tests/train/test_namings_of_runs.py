"""A naming that cannot say what is to be trained is refused before any work, and no other is."""

import pytest
from tests.files.kinds import random_layer
from tests.train.test_training_every_adapter import ADAPTERS

from scumble.errors import ConfigError, LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora
from scumble.registry import names
from scumble.train.keep import Keeper
from scumble.train.loop import train
from scumble.train.plan import make_plan
from scumble.train.start import start_session

CANNOT = {
    "kohya": set(),
    "diffusers": {"loha", "lokr", "lokr full", "lokr both", "dora of loha", "dora of lokr", "dora input"},
    "peft": {"dora of loha", "dora of lokr", "dora input"},
}
"""Naming -> adapters that it has no words for."""


def finished(generator):
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def test_every_naming_is_here():
    assert set(CANNOT) == set(names("format"))


@pytest.mark.parametrize("naming", CANNOT)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_plan_refuses_just_what_could_not_be_written(adapter, naming, common, tmp_path):
    settings = {"adapter": {"rank": 4, "alpha": 3.0, "train_text_encoder": True}}
    chosen = common(settings, {"adapter": ADAPTERS[adapter]}, {"output": {"format": naming}})
    if adapter in CANNOT[naming]:
        with pytest.raises(ConfigError, match=f"format={naming}: .*write kohya's"):
            make_plan(chosen)
        chosen = common(settings, {"adapter": ADAPTERS[adapter]})
    plan = make_plan(chosen)
    session = finished(start_session(plan))
    lora = Keeper(plan, session.base_fingerprint).lora_of(session, 0)
    if adapter in CANNOT[naming]:
        with pytest.raises(LoraFileError):
            write_lora(lora, tmp_path / f"x{plan.lora_suffix}", naming)
    else:
        write_lora(lora, tmp_path / f"x{plan.lora_suffix}", naming)
    assert plan.trainable == sum(parameter.numel() for parameter in session.adapter.values())


def test_a_lora_to_go_on_from_must_be_sayable_too(common, tiny_base, tmp_path):
    table = table_of(open_base(str(tiny_base)))
    layers = {key: random_layer("loha", table.shapes[key], 2, 1.0, 0) for key in table.shapes if ".attn2." in key}
    write_lora(LoraFile(layers), tmp_path / "a.safetensors")
    start = {"init_lora": tmp_path / "a.safetensors", "format": "diffusers"}
    with pytest.raises(ConfigError, match=r"format=diffusers: .* has no loha"):
        list(train(common({"output": start})))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("naming", "axis"), [("kohya", "input"), ("diffusers", "output"), ("peft", "output")])
def test_the_axis_of_dora_is_that_of_the_files_readers(common, naming, axis):
    plan = make_plan(common({"adapter": {"dora": "auto"}, "output": {"format": naming}}))
    assert plan.config.adapter.dora == axis

"""A run says how much of what it feeds on came from the cache."""

import pytest

from scumble.config import TrainConfig, from_values
from scumble.generate.events import Noted
from scumble.train.material import prepare_material
from scumble.train.plan import make_plan


@pytest.mark.parametrize("flip", [False, True])
def test_what_came_from_the_cache_is_counted(photos, tiny_base, flip):
    data = {"folder": photos, "resolution": 32, "random_flip": flip}

    def said():
        plan = make_plan(from_values(TrainConfig, {"data": data, "model": {"base": str(tiny_base)}}))
        return [event.text for event in prepare_material(plan, None, []) if isinstance(event, Noted)]

    assert said() == []
    assert said() == ["latents: all 12 from the cache", "text states: all 4 from the cache"]
    (photos / "new.png").write_bytes((photos / "00.png").read_bytes() + b"\0")
    (photos / "new.txt").write_text("another caption")
    assert said() == ["latents: 12 of 13 from the cache", "text states: 4 of 5 from the cache"]

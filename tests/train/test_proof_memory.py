"""When the fresh base is loaded for the proof, the trained one is gone: never two denoisers in memory."""

import weakref

import pytest

from scumble.families.unet import UnetBase
from scumble.train.loop import train


@pytest.mark.parametrize("adapter", [{}, {"dora": "output"}])
def test_the_trained_denoiser_is_gone_before_the_fresh_one_is_loaded(common, monkeypatch, adapter):
    """And its layers, whose weights a DoRA reads, with it."""
    loaded, alive = [], []
    load = UnetBase.load_denoiser

    def counting(base, *asked):
        alive.append(sum(part() is not None for part in loaded))
        denoiser = load(base, *asked)
        layers = [module for path, module in denoiser.named_modules() if path.endswith("to_q")]
        loaded.extend(map(weakref.ref, (denoiser, *layers)))
        return denoiser

    monkeypatch.setattr(UnetBase, "load_denoiser", counting)
    list(train(common({"training": {"max_train_steps": 1}, "adapter": adapter})))
    assert alive == [0, 0]

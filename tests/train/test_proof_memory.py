"""When the fresh base is loaded for the proof, the trained one is gone: never two denoisers in memory."""

import weakref

from scumble.families.unet import UnetBase
from scumble.train.loop import train


def test_the_trained_denoiser_is_gone_before_the_fresh_one_is_loaded(common, monkeypatch):
    loaded, alive = [], []
    load = UnetBase.load_denoiser

    def counting(base, *asked):
        alive.append(sum(denoiser() is not None for denoiser in loaded))
        denoiser = load(base, *asked)
        loaded.append(weakref.ref(denoiser))
        return denoiser

    monkeypatch.setattr(UnetBase, "load_denoiser", counting)
    list(train(common({"training": {"max_train_steps": 1}})))
    assert alive == [0, 0]

"""How each picture was cut reaches the batch beside its caption."""

import torch

from scumble.data.encode import Latents, Moments
from scumble.families.base import Frame
from scumble.families.find import open_base
from scumble.train.batches import Mixture, Pool
from scumble.train.noise import Noise
from scumble.train.timesteps import Timesteps
from scumble.train.views import EncodedViews


def mixture_of(pool, caption_dropout):
    return Mixture([pool], [], 0.0, 1.0, caption_dropout, Noise(), Timesteps(torch.rand(1000), 0, 1000), seed=0)


def test_each_sample_has_the_frame_of_its_own_picture_also_under_the_empty_prompt(sdxl_base):
    base = open_base(str(sdxl_base))
    moments = Moments(torch.zeros(4, 8, 8), torch.ones(4, 8, 8))
    sizes = [(100 + index, 200) for index in range(5)]
    pool = Pool(
        views=EncodedViews(
            [Latents(moments, None)] * 5, [base.frame_state(Frame(size, (0, 0), (64, 64))) for size in sizes]
        ),
        captions=[(f"number {index}",) for index in range(5)],
        states={
            caption: {"hidden": torch.full((77, 64), float(value)), "pooled": torch.zeros(48)}
            for value, caption in enumerate(["number 0", "number 1", "number 2", "number 3", "number 4", ""])
        },
    )
    kept, dropped = (mixture_of(pool, rate).batch_at(0, 5).text for rate in (0.0, 1.0))
    assert torch.equal(kept["time_ids"][:, 1] - 100, kept["hidden"][:, 0, 0])
    assert torch.equal(dropped["time_ids"], kept["time_ids"])
    assert torch.all(dropped["hidden"] == 5)


def test_a_family_that_does_not_ask_gets_nothing(tiny_base):
    assert dict(open_base(str(tiny_base)).frame_state(Frame.whole(32, 32))) == {}

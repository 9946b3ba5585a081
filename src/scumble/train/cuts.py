"""Which size each picture of a run is cut to."""

from collections import Counter
from collections.abc import Sequence

from scumble.config import DataConfig
from scumble.data.buckets import BucketRule, Size, enlargement, nearest_bucket, usual_step
from scumble.data.scan import Example
from scumble.errors import ConfigError

Cut = tuple[Example, Size]


def bucket_rule(data: DataConfig, pixels_per_latent: int) -> BucketRule:
    """How the settings say that sizes are chosen.

    Args:
        data: with the resolution chosen.
        pixels_per_latent: of the base.
    Raises:
        ConfigError: the steps of the sides are not whole latents.
    """
    assert data.resolution is not None
    step = data.bucket_reso_steps or usual_step(data.resolution, pixels_per_latent)
    if step % pixels_per_latent:
        raise ConfigError(
            f"bucket_reso_steps={step}: this base needs a multiple of {pixels_per_latent}, such as "
            f"{-(-step // pixels_per_latent) * pixels_per_latent}"
        )
    return BucketRule(data.resolution, step, data.enable_bucket, not data.bucket_no_upscale)


def cuts_of(examples: Sequence[Example], rule: BucketRule) -> tuple[Cut, ...]:
    """Each picture, with its size."""
    return tuple((example, rule.size_for(example.size_px)) for example in examples)


def class_cuts(classes: Sequence[Example], sizes: Sequence[Size]) -> tuple[Cut, ...]:
    """Class pictures in the sizes of the own ones, because a batch is of one size: each in the nearest; all of them in a
    size that is nearest to none.
    """
    wanted = sorted(set(sizes))
    cuts = [(example, nearest_bucket(example.size_px, wanted)) for example in classes]
    served = {size for _, size in cuts}
    return (*cuts, *((example, size) for size in wanted if size not in served for example in classes))


def buckets_in_words(cuts: Sequence[Cut]) -> str:
    """ "512x512 (12), 640x384 (3)", most frequent first."""
    counts = Counter(size for _, size in cuts).most_common()
    return ", ".join(f"{width}x{height} ({count})" for (width, height), count in counts)


def enlarged(cuts: Sequence[Cut]) -> list[Example]:
    """The pictures that are smaller than what they are cut to."""
    return [example for example, size in cuts if enlargement(example.size_px, size) > 1]

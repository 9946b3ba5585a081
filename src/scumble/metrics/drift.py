"""Drift: how far prompts without the trigger are from what the base makes of them, from the same noise. 0 = untouched.

By the pixels, and by what the eyes see, as in perceptual distances (Zhang et al. 2018, "The Unreasonable Effectiveness of
Deep Features as a Perceptual Metric", arXiv:1801.03924). What a LoRA does where nobody asked for it is what prior
preservation is against (Ruiz et al. 2022, arXiv:2208.12242, 3.3: language drift).
"""

from collections.abc import Iterator

from scumble.errors import MetricError
from scumble.metrics import sources
from scumble.metrics.base import Event, Measured, Subject
from scumble.metrics.figures import pixel_distances, pixels, seen_distances, standard_error


def measure(subject: Subject) -> Iterator[Event]:
    """Mean distance of the pairs: `drift` as 1 - cosine of features, `drift_pixels` as RMS of pixels in 0..1.

    Raises:
        MetricError: there are no prompts without the trigger.
    """
    if not subject.other_prompts:
        raise MetricError('there is no prompt that the LoRA is not for: --other-prompt "a photo of a cat" gives one')
    yield from subject.draw(subject.other_prompts)
    before, after = subject.other_base_pictures, subject.other_lora_pictures
    source = f"{sources.drawn_of_others(subject)}, each beside the base's from the same noise"
    if subject.eyes is not None:
        seen = seen_distances(subject.eyes.see(before), subject.eyes.see(after))
        said = f"{source}; 1 - cosine of {subject.eyes.said}"
        yield Measured("drift", float(seen.mean()), "lower", said, standard_error(seen), 0.0)
    apart = pixel_distances(pixels(before), pixels(after))
    said = f"{source}; root-mean-square difference of pixels in 0..1"
    yield Measured("drift_pixels", float(apart.mean()), "lower", said, standard_error(apart), 0.0)

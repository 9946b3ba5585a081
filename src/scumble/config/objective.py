"""The settings of what is minimised."""

from typing import Annotated

from pydantic import Field

from scumble.config.section import Section


class ObjectiveConfig(Section):
    """What is minimised: how pictures are noised, and how errors are counted."""

    snr_gamma: Annotated[
        float | None, Field(gt=0, description="min-SNR loss weighting with this ceiling (5 is usual)")
    ] = None
    noise_offset: Annotated[float, Field(ge=0, le=1, description="constant per-channel noise added to the noise")] = 0.0

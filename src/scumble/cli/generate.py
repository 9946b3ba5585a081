"""The command generate: pictures from a base and LoRAs."""

from typing import Annotated

from cyclopts import Parameter

from scumble.cli.ahead import ready
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config import GenerateConfig
from scumble.generate.ahead import refuse_missing_sources

GenerateFlags = flags_model(GenerateConfig, without=frozenset({"prompt"}), several=frozenset({"seeds"}))


def generate(
    prompt: Annotated[str | None, Parameter(help="what to draw; <lora:name:weight> applies a LoRA")] = None,
    *,
    flags: Annotated[GenerateFlags, Parameter(name="*")] = GenerateFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Draw pictures with a base model and LoRAs.

    scumble generate "photo of sks dog on the moon <lora:photos:0.8>" --n 4
    """
    given = {} if prompt is None else {"prompt": prompt}
    settings = ready(GenerateConfig, {**given, **nested(GenerateConfig, flags)})
    refuse_missing_sources(settings)
    from scumble.generate.run import generate as run

    play(run(settings))

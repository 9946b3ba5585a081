"""What can be said of pictures to draw before anything heavy is imported: whether all that they are drawn from is there."""

from scumble.config.generate import GenerateConfig
from scumble.families.hub import refuse_no_base
from scumble.generate.prompt import find_loras, parse_tags
from scumble.generate.prompts_file import wishes


def refuse_missing_sources(config: GenerateConfig) -> None:
    """Raise where a LoRA, the file of prompts or the base is not there.

    Raises:
        ConfigError: a LoRA that is not found, a tag that cannot be, or a file of prompts that cannot be used.
        BaseModelError: the base is neither here, nor named as one on the hub is.
    """
    tags = {tag.name: tag for wish in wishes(config) for tag in parse_tags(wish.settings.prompt or "")[1]}
    find_loras([*tags.values()], config.lora, config.lora_dir, config.runs_dir)
    refuse_no_base(config.base)

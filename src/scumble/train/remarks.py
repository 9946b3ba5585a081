"""What a person should know of their pictures and captions before the training starts."""

from scumble.config import TrainConfig
from scumble.data.scan import Scan
from scumble.errors import ConfigError
from scumble.families.base import BaseModel
from scumble.files.lorafile import LoraFile
from scumble.generate.events import Noted
from scumble.generate.prepare import note_prompts
from scumble.generate.prompt import split_prompts
from scumble.quantities import counted
from scumble.train.going_on import notes_on
from scumble.train.new_words import planned_words, word_remarks
from scumble.train.picture_remarks import picture_remarks, tag_remarks
from scumble.train.validation import Split

GOOD_PICTURES = (15, 30)


def remarks(
    config: TrainConfig, base: BaseModel, scan: Scan, split: Split, init: LoraFile | None = None
) -> list[Noted]:
    """What the person should know before the run.

    Args:
        config: the settings.
        base: what is trained on.
        scan: the own pictures.
        split: which of them train.
        init: the LoRA that the run goes on from.
    Raises:
        ConfigError: a setting of the captions would have no effect, or a new word is in no caption.
    """
    notes = [Noted(text) for text in base.notes]
    notes += picture_remarks(config.data, scan)
    count = len(scan.examples)
    if count < GOOD_PICTURES[0]:
        notes.append(
            Noted(
                f"{counted(count, 'picture is', 'pictures are')} few: {GOOD_PICTURES[0]}-{GOOD_PICTURES[1]} good pictures is the field's advice",
                warning=True,
            )
        )
    if not split.held_out:
        notes.append(
            Noted(
                "no picture is held out: the validation loss is measured on the training pictures, and cannot show overfitting",
                warning=True,
            )
        )
    _refuse_idle_settings(config, scan)
    words = planned_words(config.tokens, init)
    notes += word_remarks(words, [scan.examples[index] for index in split.training])
    return [*notes, *tag_remarks(config.data, scan), *notes_on(init)]


def _refuse_idle_settings(config: TrainConfig, scan: Scan) -> None:
    """Raise for a setting of captions or masks that changes nothing for these pictures."""
    if config.data.caption is not None and all(example.source != "given" for example in scan.examples):
        raise ConfigError("caption would have no effect: every picture has a caption of its own; leave caption out")
    has_masks = config.data.mask_dir is not None or config.data.alpha_mask
    if has_masks and not any(example.mask for example in scan.examples):
        name = "mask_dir" if config.data.mask_dir is not None else "alpha_mask"
        raise ConfigError(f"{name} would have no effect: no picture has a mask; leave {name} out")
    if config.data.caption_dropout_rate > 0 and not any(any(example.captions) for example in scan.examples):
        raise ConfigError("caption_dropout_rate would have no effect: every caption is empty already; leave it out")


def prompt_remarks(config: TrainConfig) -> list[Noted]:
    """What the person should know of the prompts that the run will draw.

    Raises:
        ConfigError: a weight on words is no number.
    """
    prompts = [*split_prompts(config.validation.validation_prompt), *split_prompts(config.prior.class_prompt)]
    return list(note_prompts(prompts))

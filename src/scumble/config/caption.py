"""The settings of captioning: which pictures, by which model, and what the captions become."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Place, Section
from scumble.config.there import PICTURE_THERE
from scumble.errors import ConfigError

UNDERSTOOD = {
    "blip": {"prompt", "max_tokens"},
    "florence": {"prompt", "max_tokens"},
    "wd14": {"general_threshold", "character_threshold", "keep_underscores"},
    "any": {"prompt", "max_tokens"},
}
"""Captioner -> the settings that only some have, and it does."""


CAPTION_TASKS = ("caption", "detailed_caption", "more_detailed_caption")
"""What Florence-2 can be asked for, with ever more words."""


def caption_task(prompt: str) -> str:
    """The caption task of Florence-2 that a prompt names, with or without its brackets, in any case.

    Raises:
        ConfigError: none of `CAPTION_TASKS`.
    """
    task = prompt.strip().strip("<>").lower()
    if task not in CAPTION_TASKS:
        raise ConfigError(f"prompt={prompt}: florence takes {', '.join(CAPTION_TASKS[:-1])} or {CAPTION_TASKS[-1]}")
    return task


class CaptionConfig(Section):
    """Everything `caption` needs: pictures, and a model that says what is in them."""

    path: Annotated[
        Place, PICTURE_THERE, Field(description="folder of pictures, laid out as for training, or one picture")
    ]
    caption_column: Annotated[
        str | None,
        Field(
            description="column with the captions that are there, of metadata.jsonl or .csv; none = text, caption, prompt or the only one"
        ),
    ] = None
    first_frame: Annotated[
        bool, Field(description="caption an animation by its first frame; otherwise it gets no caption")
    ] = False
    captioner: Annotated[
        Literal["blip", "florence", "wd14", "any"],
        Field(
            description="kind of model: blip = one plain sentence, florence = sentences of three lengths, wd14 = tags, "
            "any = any image-to-text model of transformers"
        ),
    ] = "blip"
    model: Annotated[
        str | None,
        Also("caption_model"),
        Field(
            description="hub id or folder; none = Salesforce/blip-image-captioning-base, florence-community/Florence-2-base "
            "or SmilingWolf/wd-vit-tagger-v3; must be given for any"
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Field(
            description="blip: how each caption begins; florence: caption, detailed_caption (the default) or "
            "more_detailed_caption; any: what the model is asked, or how each caption begins"
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        Also("max_new_tokens"),
        Field(
            ge=1,
            le=2048,
            description="most tokens that the model says of a picture; none = 75. Trigger, prefix and suffix come on top, "
            "and text encoders count other tokens than the model: scumble check says what they see",
        ),
    ] = None
    general_threshold: Annotated[
        float | None, Field(gt=0, lt=1, description="probability from which wd14 takes a tag; none = 0.35")
    ] = None
    character_threshold: Annotated[
        float | None,
        Field(gt=0, lt=1, description="probability from which wd14 takes the name of a character; none = 0.85"),
    ] = None
    keep_underscores: Annotated[bool, Field(description="tags as wd14 has them: long_hair instead of long hair")] = (
        False
    )
    trigger: Annotated[str | None, Field(description="words that each caption begins with, and a comma")] = None
    prefix: Annotated[
        str | None, Also("caption_prefix"), Field(description="words before each caption, after the trigger")
    ] = None
    suffix: Annotated[str | None, Also("caption_suffix"), Field(description="words after each caption")] = None
    forbidden: Annotated[
        tuple[str, ...],
        Field(description="word or tag that no caption may have, repeatable: it is taken out"),
    ] = ()
    overwrite: Annotated[
        bool, Field(description="write captions anew where there are some; otherwise those stay as they are")
    ] = False
    batch_size: Annotated[int, Field(ge=1, description="pictures per forward pass")] = 8
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    review: Annotated[
        Place | None,
        Field(
            description="page to write, with the captions beside the pictures; none = NAME-captions.html beside PATH"
        ),
    ] = None

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        for name in sorted(set().union(*UNDERSTOOD.values()) - UNDERSTOOD[self.captioner]):
            if getattr(self, name) not in (None, False):
                able = " or ".join(f"captioner={each}" for each, names in UNDERSTOOD.items() if name in names)
                raise ConfigError(f"{name} would have no effect with captioner={self.captioner}: it is for {able}")
        if self.captioner == "any" and self.model is None:
            raise ConfigError("model must be given with captioner=any: --model OWNER/NAME or a folder")
        if self.captioner == "florence" and self.prompt is not None:
            caption_task(self.prompt)
        for name in ("prompt", "trigger", "prefix", "suffix", "forbidden"):
            said = getattr(self, name)
            if any(not words.strip() for words in ([said] if isinstance(said, str) else said or ())):
                raise ConfigError(f"{name} is empty: leave it out, or say what")
        return self

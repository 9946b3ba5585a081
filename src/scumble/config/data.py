"""The settings of the pictures and their captions."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from scumble.config.section import Also, Place, Rule, Section
from scumble.errors import ConfigError

TOKENS_OF_A_CHUNK, MOST_TOKENS = 75, 225


def whole_chunks(tokens: int) -> int:
    """The number of tokens, if it is that of one to three chunks.

    Raises:
        ValueError: it is not; inside a validator, pydantic collects it.
    """
    if tokens not in range(TOKENS_OF_A_CHUNK, MOST_TOKENS + 1, TOKENS_OF_A_CHUNK):
        raise ValueError("must be 75, 150 or 225: whole chunks of the text encoder")
    return tokens


class DataConfig(Section):
    """The pictures and their captions."""

    folder: Annotated[
        Place | None,
        Also("train_data_dir"),
        Field(
            description="folder of pictures: flat, nested, kohya's 10_words, an imagefolder with metadata.jsonl or .csv; or kohya's dataset .toml"
        ),
    ] = None
    dataset_name: Annotated[
        str | None,
        Field(
            description="in place of a folder: dataset of the hub (owner/name), or a folder or file of parquet, arrow or WebDataset tar here"
        ),
    ] = None
    dataset_config_name: Annotated[
        str | None, Field(description="configuration of the dataset; none = the usual or only one")
    ] = None
    dataset_split: Annotated[str | None, Field(description="split of the dataset; none = train")] = None
    dataset_revision: Annotated[
        str | None, Field(description="branch, tag or commit of the dataset on the hub; none = the newest")
    ] = None
    image_column: Annotated[
        str | None,
        Field(description="column of the dataset with the pictures; none = image, img, picture or the only one"),
    ] = None
    trigger: Annotated[
        str | None,
        Field(description="the word that calls what is learnt; pictures without a caption get 'a photo of TRIGGER'"),
    ] = None
    caption: Annotated[
        str | None, Field(description='one caption for all pictures that have none; "" trains the empty prompt')
    ] = None
    caption_column: Annotated[
        str | None,
        Field(
            description="column with the captions, of metadata.jsonl or .csv or of the dataset; none = text, caption, prompt or the only one"
        ),
    ] = None
    caption_per_line: Annotated[
        bool, Field(description="each line of a caption file is a caption of its own, drawn at random; else all is one")
    ] = False
    caption_prefix: Annotated[str, Field(description="words before every caption")] = ""
    caption_suffix: Annotated[str, Field(description="words after every caption")] = ""
    caption_dropout_rate: Annotated[
        float,
        Field(ge=0, le=1, description="share of samples trained on the empty prompt, which guidance steers away from"),
    ] = 0.0
    max_token_length: Annotated[
        int,
        AfterValidator(whole_chunks),
        Field(
            description="75, 150 or 225 tokens of a caption are seen, in chunks of 75 as in the WebUI; BREAK begins a chunk, brackets are plain signs"
        ),
    ] = 75
    shuffle_caption: Annotated[
        bool, Field(description="tags, the pieces of a caption between commas, come in another order each time")
    ] = False
    keep_tokens: Annotated[int, Field(ge=0, description="so many tags stay first: neither shuffled nor left out")] = 0
    caption_tag_dropout_rate: Annotated[
        float, Field(ge=0, lt=1, description="share of tags that are left out, others each time")
    ] = 0.0
    caption_separator: Annotated[str, Field(min_length=1, description="what stands between tags")] = ","
    resolution: Annotated[
        int | None, Field(ge=16, le=4096, description="side of the training square in pixels; none = the base's own")
    ] = None
    enable_bucket: Annotated[
        bool,
        Field(
            description="cut each picture to a shape near its own, of about the same area; otherwise to the middle square"
        ),
    ] = True
    bucket_reso_steps: Annotated[
        int | None,
        Field(
            ge=8,
            description="steps of the sides of these shapes in pixels; none = 64, less where resolution is below 512",
        ),
    ] = None
    bucket_no_upscale: Annotated[
        bool,
        Field(description="cut a picture that is smaller than its shape to its own size; otherwise it is enlarged"),
    ] = True
    center_crop: Annotated[
        bool,
        Field(
            description="crop the middle of each picture; otherwise another place each time, for which the autoencoder stays loaded and no latents are kept"
        ),
    ] = True
    mask_dir: Annotated[
        Place | None,
        Field(description="folder of masks with the names of the pictures: the loss counts where they are white"),
    ] = None
    alpha_mask: Annotated[bool, Field(description="the alpha channel of a picture that has one is its mask")] = False
    random_flip: Annotated[bool, Field(description="mirror pictures left-right at random")] = False
    background: Annotated[str, Field(description="colour under transparent pictures, by name or as #rrggbb")] = "white"
    first_frame: Annotated[
        bool, Field(description="take the first frame of an animation; otherwise animations are left out")
    ] = False
    cache_dir: Annotated[
        Place | None,
        Field(description="where latents, text states and exported datasets are kept; none = the user's cache folder"),
    ] = None

    @model_validator(mode="after")
    def _refuse_idle_dataset(self) -> Self:
        if self.dataset_name is not None and self.folder is not None:
            raise ConfigError("folder and dataset_name both say which pictures: give one of them")
        for name in ("dataset_config_name", "dataset_split", "dataset_revision", "image_column"):
            if self.dataset_name is None and getattr(self, name) is not None:
                raise ConfigError(
                    f"{name} would have no effect: it needs dataset_name; change that or leave {name} out"
                )
        return self

    @property
    def num_chunks(self) -> int:
        """Chunks that each caption's text state has."""
        return self.max_token_length // TOKENS_OF_A_CHUNK


def idle_data_settings(data: DataConfig) -> list[Rule]:
    """Settings of pictures and captions that would do nothing."""
    varies = data.shuffle_caption or data.caption_tag_dropout_rate > 0
    tags, buckets = "shuffle_caption or caption_tag_dropout_rate", "enable_bucket"
    return [
        (data.keep_tokens > 0 and not varies, "keep_tokens", tags),
        (data.caption_separator != "," and not varies, "caption_separator", tags),
        (data.bucket_reso_steps is not None and not data.enable_bucket, "bucket_reso_steps", buckets),
        (not data.bucket_no_upscale and not data.enable_bucket, "bucket_no_upscale", buckets),
    ]

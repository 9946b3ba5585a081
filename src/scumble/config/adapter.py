"""The settings of the adapter: what is trained, and how the change of a layer is written."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scumble.config.section import Also, Section


def _patterns(entries: tuple[str, ...]) -> tuple[str, ...]:
    parse_patterns(entries)
    return entries


def parse_patterns(entries: tuple[str, ...]) -> dict[str, float]:
    """Entries such as "*.attn2.*=8" as pattern -> number.

    Raises:
        ValueError: an entry is not PATTERN=NUMBER, the number is not above zero, or a pattern is there twice.
    """
    found: dict[str, float] = {}
    for entry in entries:
        pattern, equals, number = entry.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if not equals or not pattern or not 0 < value < float("inf"):
            raise ValueError(f"found '{entry}', expected PATTERN=NUMBER such as '*.attn2.*=8'")
        if pattern in found:
            raise ValueError(f"the pattern '{pattern}' is there twice")
        found[pattern] = value
    return found


def _ranks(entries: tuple[str, ...]) -> tuple[str, ...]:
    odd = [pattern for pattern, rank in parse_patterns(entries).items() if rank != int(rank)]
    if odd:
        raise ValueError(f"the rank of '{odd[0]}' is not a whole number")
    return entries


class AdapterConfig(Section):
    """The low-rank adapter."""

    algorithm: Annotated[
        Literal["lora", "loha", "lokr"],
        Field(description="how the weight change is written: lora (LoCon where it is on convolutions), loha or lokr"),
    ] = "lora"
    rank: Annotated[
        int | None,
        Also("network_dim"),
        Field(ge=1, le=1024, description="rank of the weight change; none = by --for, else 16"),
    ] = None
    alpha: Annotated[
        float | None,
        Also("lora_alpha", "network_alpha"),
        Field(gt=0, description="the change is scaled by alpha / rank; none = equal to the rank"),
    ] = None
    rank_pattern: Annotated[
        tuple[str, ...],
        AfterValidator(_ranks),
        Field(description="other ranks for some layers, repeatable: PATTERN=RANK; the last that matches holds"),
    ] = ()
    alpha_pattern: Annotated[
        tuple[str, ...],
        AfterValidator(_patterns),
        Field(description="other alphas for some layers, repeatable: PATTERN=ALPHA; the last that matches holds"),
    ] = ()
    rank_stabilized: Annotated[
        bool, Also("use_rslora"), Field(description="rsLoRA: scale by alpha / sqrt(rank) instead of alpha / rank")
    ] = False
    dora: Annotated[
        Literal["output", "input", "auto"] | None,
        Field(
            description="DoRA: train the length of each output row (PEFT, LyCORIS) or of each input channel (A1111, ComfyUI) apart from its direction; auto = input for files in kohya's naming, else output"
        ),
    ] = None
    targets: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            description="layers to adapt, repeatable: a preset (attention, self-attention, cross-attention, feed-forward, proj, conv, all-linear, all-conv) or a path pattern such as '*.attn2.to_q'",
        ),
    ] = ("attention",)
    train_text_encoder: Annotated[bool, Field(description="also train the text encoder, or both of them")] = False
    text_encoder_targets: Annotated[
        tuple[str, ...],
        Field(
            min_length=1, description="layers of the text encoder: presets (attention, feed-forward) or path patterns"
        ),
    ] = ("attention",)
    text_encoder_rank: Annotated[
        int | None,
        Field(
            ge=1, le=1024, description="rank in the text encoder, with alpha in proportion; none = as in the denoiser"
        ),
    ] = None
    init: Annotated[
        Literal["kaiming", "gaussian", "orthogonal", "pissa"],
        Field(
            description="how A of a LoRA starts: Kaiming uniform, Gaussian of deviation 0.01, orthogonal rows (B is zero), or PiSSA: both from the weight's largest directions"
        ),
    ] = "kaiming"
    dropout: Annotated[
        float,
        Also("network_dropout"),
        Field(ge=0, lt=1, description="share of the adapter's input left out at random while training"),
    ] = 0.0
    rank_dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of the ranks (of loha and lokr: output rows) left out at random")
    ] = 0.0
    module_dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of the adapters left out whole at random in each pass")
    ] = 0.0
    lokr_factor: Annotated[
        int, Field(description="lokr: size of the small factor; -1 = as near to a square split as can be")
    ] = -1
    lokr_full_matrix: Annotated[
        bool, Field(description="lokr: keep the large factor whole; the rank has no effect")
    ] = False
    lokr_decompose_both: Annotated[bool, Field(description="lokr: split the small factor too")] = False


OF_LOKR = ("lokr_factor", "lokr_full_matrix", "lokr_decompose_both")
OF_THE_TEXT_ENCODER = ("text_encoder_targets", "text_encoder_rank")
WITH_INIT_LORA = ("rank", "alpha", "dropout", "rank_dropout", "module_dropout")
"""Settings that matter although the adapter is read from a file."""


def idle_adapter_settings(adapter: AdapterConfig, has_init: bool) -> list[tuple[bool, str, str]]:
    """(would do nothing, setting, what it needs) of every setting that depends on another.

    Args:
        adapter: the settings.
        has_init: whether the adapter starts from a LoRA file.
    """
    plain = AdapterConfig()
    given = {name for name in AdapterConfig.model_fields if getattr(adapter, name) != getattr(plain, name)}
    rules = [
        (name in given, name, "init_lora left out, which has its own layers and form")
        for name in AdapterConfig.model_fields
        if has_init and name not in WITH_INIT_LORA
    ]
    rules += [(name in given and adapter.algorithm != "lokr", name, "algorithm = 'lokr'") for name in OF_LOKR]
    rules += [
        (name in given and not adapter.train_text_encoder, name, "train_text_encoder") for name in OF_THE_TEXT_ENCODER
    ]
    return [
        *rules,
        ("init" in given and adapter.algorithm != "lora", "init", "algorithm = 'lora'"),
        (
            adapter.lokr_full_matrix and adapter.lokr_decompose_both,
            "lokr_decompose_both",
            "lokr_full_matrix left out",
        ),
    ]

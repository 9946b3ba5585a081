"""The settings of the commands that work on LoRA files: inspect, verify, convert, merge, extract and resize."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scumble.config.base import AllowPartial
from scumble.config.section import Also, Place, Section
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError

Precision = Literal["fp32", "fp16", "bf16"]

BASE_HELP = (
    "base model: hub id, pipeline folder or .safetensors checkpoint; none = found among the known architectures by the "
    "LoRA's names and shapes; a DoRA's change depends on its weights"
)
OVERWRITE_HELP = "replace what is there under the name of the result"
PRECISION_HELP = "precision of the numbers in the result; none = that of what it is made from"
RANK_HELP = "largest rank of a layer of the result"
ENERGY_HELP = "share of the squared norm of each layer's change that is kept; each layer gets the smallest rank for it"


class InspectConfig(Section):
    """What `inspect` looks at."""

    file: Annotated[Place, LORA_THERE, Field(description="LoRA file, or PEFT folder")]
    base: Annotated[str | None, Field(description=BASE_HELP)] = None
    allow_partial: AllowPartial = False
    as_json: Annotated[bool, Also("json"), Field(description="print everything as one JSON object")] = False


class VerifyConfig(Section):
    """What `verify` looks at."""

    file: Annotated[Place, LORA_THERE, Field(description="LoRA file, or PEFT folder")]
    base: Annotated[str, Field(description="base that it is to be used with: hub id, pipeline folder or checkpoint")]
    allow_partial: AllowPartial = False
    as_json: Annotated[bool, Also("json"), Field(description="print everything as one JSON object")] = False


class ConvertConfig(Section):
    """Everything `convert` needs: a LoRA in another naming, as plain LoRA, or out of a pickle."""

    file: Annotated[
        Place,
        LORA_THERE,
        Field(
            description="LoRA file or PEFT folder; also a .pt, .pth, .ckpt, .bin or .pkl pickle, of a checkpoint too"
        ),
    ]
    out: Annotated[Place, Field(description="file to write; for PEFT a folder")]
    to: Annotated[
        Literal["kohya", "diffusers", "peft"] | None, Field(description="naming of the result; none = kohya")
    ] = None
    base: Annotated[str | None, Field(description=BASE_HELP)] = None
    allow_partial: AllowPartial = False
    as_lora: Annotated[
        int | None, Field(ge=1, description="make a plain LoRA of up to this rank of any LoHa, LoKr or DoRA, by SVD")
    ] = None
    save_precision: Annotated[Precision | None, Field(description=PRECISION_HELP)] = None
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False


class MergeConfig(Section):
    """Everything `merge` needs: LoRAs added up, or added to the weights of a base."""

    lora: Annotated[
        tuple[Place, ...], LORA_THERE, Field(min_length=1, description="LoRA file or PEFT folder, repeatable")
    ]
    out: Annotated[Place, Field(description="file to write; with --into a folder if the base is one")]
    weights: Annotated[
        tuple[float, ...], Field(description="strength of each LoRA, in their order; none = 1 each")
    ] = ()
    into: Annotated[
        str | None,
        Field(description="base to whose weights the LoRAs are added: hub id, pipeline folder or checkpoint"),
    ] = None
    base: Annotated[str | None, Field(description=BASE_HELP)] = None
    allow_partial: AllowPartial = False
    rank: Annotated[
        int | None,
        Field(
            ge=1,
            description=f"{RANK_HELP}, by SVD; none = the sum of the LoRAs' ranks, which is exact; "
            "must be given for LoHa, LoKr and DoRA",
        ),
    ] = None
    save_precision: Annotated[Precision | None, Field(description=PRECISION_HELP)] = None
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        if self.weights and len(self.weights) != len(self.lora):
            raise ConfigError(f"weights: found {len(self.weights)} for {len(self.lora)} LoRAs; give one for each")
        if 0.0 in self.weights:
            raise ConfigError("weights: a LoRA with weight 0 would have no effect: leave its file out")
        for name in ("base", "rank", "save_precision"):
            if self.into is not None and getattr(self, name) is not None:
                raise ConfigError(f"{name} would have no effect: the result is --into {self.into}; leave {name} out")
        return self

    @property
    def strengths(self) -> tuple[float, ...]:
        """One for each LoRA."""
        return self.weights or (1.0,) * len(self.lora)


class ExtractConfig(Section):
    """Everything `extract` needs: the difference of two models as a LoRA, by SVD."""

    base: Annotated[str, Field(description="base model: hub id, pipeline folder or .safetensors checkpoint")]
    tuned: Annotated[
        str, Field(description="the base after tuning: hub id, pipeline folder or .safetensors checkpoint")
    ]
    out: Annotated[Place, Field(description="file to write")]
    rank: Annotated[int | None, Field(ge=1, description=RANK_HELP)] = None
    energy: Annotated[float | None, Field(gt=0, le=1, description=ENERGY_HELP)] = None
    save_precision: Annotated[
        Precision | None, Field(description="precision of the numbers in the result; none = that of the tuned model")
    ] = None
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False

    @model_validator(mode="after")
    def _need_a_size(self) -> Self:
        _refuse_no_size(self.rank, self.energy)
        return self


class ResizeConfig(Section):
    """Everything `resize` needs: a LoRA of lower rank, by SVD."""

    file: Annotated[Place, LORA_THERE, Field(description="LoRA file, or PEFT folder")]
    out: Annotated[Place, Field(description="file to write")]
    rank: Annotated[int | None, Field(ge=1, description=RANK_HELP)] = None
    energy: Annotated[float | None, Field(gt=0, le=1, description=ENERGY_HELP)] = None
    base: Annotated[str | None, Field(description=BASE_HELP)] = None
    allow_partial: AllowPartial = False
    save_precision: Annotated[Precision | None, Field(description=PRECISION_HELP)] = None
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False

    @model_validator(mode="after")
    def _need_a_size(self) -> Self:
        _refuse_no_size(self.rank, self.energy)
        return self


def _refuse_no_size(rank: int | None, energy: float | None) -> None:
    if rank is None and energy is None:
        raise ConfigError("rank or energy must be given: --rank 32, or --energy 0.95")

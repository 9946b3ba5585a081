"""Opening a UNet base from its folder or its checkpoint file: what both kinds of families' plug-ins share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scumble.errors import BaseModelError
from scumble.families.ask import asked
from scumble.families.base import Advice, PredictionType
from scumble.families.checkpoint import CheckpointParts, Header
from scumble.families.convert import UNET
from scumble.families.folder import FolderParts
from scumble.families.noising import is_marked_zero_snr, marked_prediction, scheduler_for
from scumble.families.parts import Parts
from scumble.families.shapes import Configs
from scumble.families.unet import UnetBase, UnetKind
from scumble.families.vae import Vae, other_vae, own_vae

CLEAR_MARGIN = 2.0
"""Errors nearer than this leave open what a denoiser predicts; trained ones are 4 to 700 apart."""


@dataclass(frozen=True)
class Choices:
    """What the person, or a preset, has decided about a base; None = as the base says.

    Attributes:
        vae: hub id, folder or file of another autoencoder.
        prediction_type: what the denoiser predicts.
        zero_terminal_snr: whether the noise schedule ends in pure noise.
    """

    vae: str | None = None
    prediction_type: PredictionType | None = None
    zero_terminal_snr: bool | None = None


def open_unet_folder(kind: UnetKind, parts: FolderParts, choices: Choices, notes: Sequence[str]) -> UnetBase:
    """Read the small files of a pipeline folder.

    Raises:
        BaseModelError: one is missing or not JSON.
        ConfigError: a choice does not fit the base.
    """
    parts.refuse_without(list(kind.text_parts.values()))
    scheduler = parts.config("scheduler")
    before = _noising(scheduler)
    scheduler = scheduler_for(scheduler, choices.prediction_type, choices.zero_terminal_snr)
    said = [f"base {parts.name} says that it {before}; taking that it {_noising(scheduler)}"]
    vae = _vae(parts, choices)
    configs = _configs(kind, parts)
    return UnetBase(
        name=parts.name,
        kind=kind,
        parts=parts,
        vae=vae,
        scheduler=scheduler,
        configs=configs,
        resolution=int(configs["unet"]["sample_size"]) * vae.pixels_per_latent,
        advice=parts.advice(),
        notes=[*notes, *(said if before != _noising(scheduler) else [])],
    )


def open_unet_checkpoint(
    kind: UnetKind,
    parts: CheckpointParts,
    choices: Choices,
    notes: Sequence[str],
    sides: Mapping[PredictionType, int],
    unmarked: PredictionType | None,
) -> UnetBase:
    """Read the header of a checkpoint file; its denoiser is loaded only where it has to be asked what it predicts.

    Args:
        kind: the family.
        parts: the file.
        choices: what is decided already.
        notes: what was noted before.
        sides: prediction type -> side in pixels that such a base was made for.
        unmarked: what a file without a mark predicts; None = to be asked.
    Raises:
        BaseModelError: the file lacks a part, or is for inpainting.
        ConfigError: a choice does not fit the base.
    """
    _refuse_other_inputs(parts)
    base = UnetBase(
        name=parts.name,
        kind=kind,
        parts=parts,
        vae=_vae(parts, choices),
        scheduler=parts.config("scheduler"),
        configs=_configs(kind, parts),
        resolution=max(sides.values()),
        advice=Advice(),
        notes=[*notes, *parts.notes],
    )
    prediction_type, why = _found_prediction(base, parts.header, parts.path, choices, unmarked)
    zero_snr = choices.zero_terminal_snr
    if zero_snr is None:
        zero_snr = prediction_type == "v_prediction" and is_marked_zero_snr(parts.header)
    scheduler = scheduler_for(base.scheduler, prediction_type, zero_snr)
    found = f"base {parts.name} is a checkpoint file of {kind.family}; it {_noising(scheduler)} ({why})"
    return replace(base, scheduler=scheduler, resolution=sides[prediction_type], notes=[*base.notes, found])


def _found_prediction(
    base: UnetBase, header: Header, file: Path, choices: Choices, unmarked: PredictionType | None
) -> tuple[PredictionType, str]:
    """What the denoiser predicts, and by what that is known."""
    marked = marked_prediction(header)
    if choices.prediction_type is not None:
        against = marked is not None and marked[0] != choices.prediction_type
        return choices.prediction_type, f"as chosen, against {marked[1]}" if marked and against else "as chosen"
    if marked is not None:
        return marked
    if unmarked is not None:
        return unmarked, "the file has no mark, and the family predicts that"
    answer = asked(base, file)
    clear = "" if answer.margin >= CLEAR_MARGIN else ", which is not clear: set prediction_type"
    return answer.prediction_type, (
        f"its denoiser was asked: the other explains its output {answer.margin:.1f} times worse{clear}"
    )


def _refuse_other_inputs(parts: CheckpointParts) -> None:
    found = parts.header.shapes.get(f"{UNET.prefix}input_blocks.0.0.weight")
    expected = int(parts.config("unet")["in_channels"])
    if found is None or found[1] != expected:
        what = "no first layer" if found is None else f"{found[1]} input channels"
        raise BaseModelError(
            f"base {parts.name}: its denoiser has {what}, expected {expected} input channels: checkpoints for "
            "inpainting and other inputs are not there yet"
        )


def _vae(parts: Parts, choices: Choices) -> Vae:
    return own_vae(parts) if choices.vae is None else other_vae(choices.vae, parts)


def _configs(kind: UnetKind, parts: Parts) -> Configs:
    return {part: parts.config(part) for part in ("unet", *kind.text_parts)}


def _noising(scheduler: Mapping[str, object]) -> str:
    end = " on zero-terminal SNR" if scheduler.get("rescale_betas_zero_snr") else ""
    return f"predicts {scheduler.get('prediction_type', 'epsilon')}{end}"

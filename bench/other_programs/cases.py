"""The files that are read: a table."""

from collections.abc import Mapping
from functools import partial

import factors
import layer_names as names
import torch
from case import Case
from factors import Change, with_lengths, without_alpha
from selections import (
    Select,
    attention,
    both,
    convolutions,
    ends,
    few,
    linear,
    mlp,
    projections,
    text,
    without_out,
    without_out_and_mlp,
)
from tensor_names import diffusers_alpha, diffusers_lora, linear_layer, peft, processor

SD1 = names.kohya(sgm=False, text=names.ONE)
SDXL = names.kohya(sgm=True, text=names.TWO)
USUAL = {"sd1": SD1, "sdxl": SDXL}
"""kohya's names as every program takes them."""

MIXED = Change(ranks=(2, 4, 3, 6), alphas=(1.0, 2.5, 5.0, 1.5, 0.5))
MIXED_RANKS = Change(ranks=(2, 4, 3, 6), alphas=(1.0,))
MIXED_ALPHAS = Change(alphas=(3.0, 1.0, 2.0, 3.0))

ALGORITHMS: Mapping[str, tuple[Change, Select]] = {
    "LoRA": (Change(), linear),
    "LoCon": (Change(), few),
    "LoCon with a core": (Change(factors.tucker), few),
    "LoHa": (Change(factors.loha, (3,), (2.0,)), few),
    "LoHa with cores": (Change(factors.loha_tucker, (3,), (2.0,)), few),
    "LoKr": (Change(factors.lokr, (2,), (1.5,)), few),
    "LoKr with a core": (Change(partial(factors.lokr, w2="core"), (2,), (1.5,)), few),
    "LoKr, both split": (Change(partial(factors.lokr, w1="split"), (1,), (1.5,)), few),
    "LoKr, both split, rank 2 of 4": (Change(partial(factors.lokr, w1="split"), (2,), (1.5,)), few),
    "LoKr, factors of 2": (Change(partial(factors.lokr, most=2), (2,), (1.5,)), few),
    "LoKr, rank 4 of 8": (Change(factors.lokr), few),
    "LoKr, w1 split, w2 whole": (Change(partial(factors.lokr, w1="split", w2="whole"), (1,), (1.5,)), few),
    "LoKr of two whole factors": (Change(partial(factors.lokr, w2="whole"), (2,), (1.5,)), few),
    "DoRA of outputs": (Change(with_lengths(factors.plain, "output")), few),
    "DoRA of inputs": (Change(with_lengths(factors.plain, "input")), few),
    "LoHa, DoRA of outputs": (Change(with_lengths(factors.loha, "output"), (3,), (2.0,)), few),
    "LoHa, DoRA of inputs": (Change(with_lengths(factors.loha, "input"), (3,), (2.0,)), few),
    "LoKr, DoRA of outputs": (Change(with_lengths(factors.lokr, "output"), (2,), (1.5,)), few),
    "LoKr, DoRA of inputs": (Change(with_lengths(factors.lokr, "input"), (2,), (1.5,)), few),
    "LoCon with a core, DoRA of outputs": (Change(with_lengths(factors.tucker, "output")), few),
    "LoCon with a core, DoRA of inputs": (Change(with_lengths(factors.tucker, "input")), few),
    "mixed ranks and alphas": (MIXED, few),
    "mixed ranks": (MIXED_RANKS, few),
    "mixed alphas": (MIXED_ALPHAS, few),
    "LoRA and LoHa": (Change((factors.plain, factors.loha)), few),
    "LoRA, DoRA of outputs in some layers": (Change((factors.plain, with_lengths(factors.plain, "output"))), few),
    "LoRA, alpha in some layers": (Change((factors.plain, without_alpha(factors.plain))), few),
    "LoRA, alpha of 0 in some layers": (Change(alphas=(3.0, 0.0)), few),
    "LoRA without alpha": (Change(without_alpha(factors.plain)), few),
    "LoHa without alpha": (Change(without_alpha(factors.loha), (3,)), few),
    "LoKr without alpha": (Change(without_alpha(factors.lokr), (2,)), few),
}
"""Files with the usual names, of the denoiser."""

TEXTS: Mapping[str, tuple[Change, Select]] = {
    "text encoders": (Change(), text),
    "text encoders without out_proj": (Change(), without_out),
    "text encoders, q, k and v alone": (Change(), without_out_and_mlp),
    "text encoders, MLP alone": (Change(), mlp),
    "text encoders, mixed ranks and alphas": (MIXED, text),
    "text encoders, LoHa": (Change(factors.loha, (3,), (2.0,)), text),
    "text encoders, LoKr": (Change(factors.lokr, (1,), (1.5,)), text),
    "text encoders, DoRA of outputs": (Change(with_lengths(factors.plain, "output")), text),
    "text encoders, DoRA of inputs": (Change(with_lengths(factors.plain, "input")), text),
}
"""Files with the usual names, of the text encoders."""


def _usual() -> list[Case]:
    table = {**ALGORITHMS, **TEXTS}
    return [
        Case(name, family, select, USUAL[family], change)
        for family in USUAL
        for name, (change, select) in table.items()
    ]


def _half_precision() -> list[Case]:
    """Files as they are shared: the exact change is that of the rounded numbers."""
    return [
        Case(f"{name}, half precision", family, few, USUAL[family], ALGORITHMS[name][0], dtype=torch.float16)
        for family in USUAL
        for name in ("LoCon", "LoHa", "LoKr")
    ]


def _kohya_names() -> list[Case]:
    """Every layer of the denoiser, in both namings; and the beginnings of the text encoders' names."""
    cases = []
    places = {"attention": attention, "LoCon": both(attention, convolutions), "ends": ends}
    for family, texts in {"sd1": names.ONE, "sdxl": names.TWO}.items():
        for names_are, sgm in {"diffusers names": False, "SGM names": True}.items():
            for place, select in places.items():
                cases.append(Case(f"{place}, {names_are}", family, select, names.kohya(sgm, texts)))
    both_halves = both(attention, text)
    return [
        *cases,
        Case("text names without text_model", "sd1", both_halves, names.kohya_flattened),
        Case("text names without text_model", "sdxl", both_halves, names.kohya_flattened),
        Case("both namings in one file", "sdxl", attention, names.kohya_both),
        Case("text names lora_te1_", "sd1", both_halves, names.kohya(False, names.FIRST)),
        Case("text names lora_te_ and lora_te2_", "sdxl", both_halves, names.kohya(True, names.ONE_AND_TWO)),
        Case("text names lora_te1_ and lora_te2_", "sdxl", both_halves, names.kohya(True, names.TWO)),
        Case("text names lora_te_", "sd1", both_halves, names.kohya(False, names.ONE)),
    ]


def _foreign_names() -> list[Case]:
    """The spellings of diffusers, PEFT, ComfyUI and SimpleTuner."""
    dora = Change(with_lengths(factors.plain, "output"))
    whole = both(attention, text)
    cases = []
    for family in USUAL:
        cases += [
            Case("diffusers names", family, whole, names.diffusers, tensors=peft),
            Case("diffusers names, LoCon", family, both(attention, convolutions), names.diffusers, tensors=peft),
            Case("diffusers names, ends", family, ends, names.diffusers, tensors=peft),
            Case("diffusers names, settings", family, whole, names.diffusers, tensors=peft, settings="metadata"),
            Case("diffusers names, settings, mixed", family, whole, names.diffusers, MIXED, peft, settings="metadata"),
            Case("diffusers names, alpha keys", family, whole, names.diffusers, tensors=diffusers_alpha),
            Case("diffusers names without text_model", family, whole, names.flattened, tensors=peft),
            Case("diffusers names, mixed ranks", family, attention, names.diffusers, MIXED_RANKS, peft),
            Case("diffusers names, DoRA", family, few, names.diffusers, dora, peft),
            Case("diffusers names, text encoders, DoRA", family, text, names.diffusers, dora, peft),
            Case("diffusers names, lora.down", family, whole, names.diffusers, tensors=diffusers_lora),
            Case("diffusers names, lora_linear_layer", family, text, names.diffusers, tensors=linear_layer),
            Case("diffusers names, processors", family, projections, names.diffusers, tensors=processor),
            Case("diffusers names, part not said", family, attention, names.without_part, tensors=peft),
            Case("PEFT folder", family, attention, names.peft_folder, tensors=peft, settings="folder"),
            Case("ComfyUI's names", family, whole, names.comfyui, tensors=peft),
            Case("ComfyUI's names, LoCon", family, both(attention, convolutions), names.comfyui),
            Case("SimpleTuner's names, LoKr", family, few, names.simple_tuner, Change(factors.lokr, (2,), (1.5,))),
            Case("SimpleTuner's names, LoCon", family, both(attention, convolutions), names.simple_tuner),
        ]  # fmt: skip
    return cases


PLAIN = ("LoCon", "LoCon with a core", "DoRA of outputs", "mixed ranks and alphas")
WRITTEN: Mapping[str, tuple[str, ...]] = {
    "kohya": (*PLAIN, "LoHa", "LoKr", "LoKr of two whole factors", "DoRA of inputs"),
    "diffusers": PLAIN,
    "peft": ("LoCon", "LoHa", "LoKr", "DoRA of outputs"),
}
"""Format -> of `ALGORITHMS`, what it can express."""


def _ours() -> list[Case]:
    """Files as our own writer writes them."""
    cases = []
    for family, usual in USUAL.items():
        for format, algorithms in WRITTEN.items():
            for name in algorithms:
                change, select = ALGORITHMS[name]
                cases.append(Case(f"ours, {format}: {name}", family, select, usual, change, rewritten=format))
            whole, some = both(attention, text), without_out
            if format == "peft":
                continue  # a folder for each model part, which no other program opens
            cases.append(Case(f"ours, {format}: attention and text", family, whole, usual, MIXED, rewritten=format))
            cases.append(Case(f"ours, {format}: no out_proj", family, some, usual, rewritten=format))
            cases.append(Case(f"ours, {format}: ends", family, ends, usual, rewritten=format))
    return cases


CASES = [*_usual(), *_half_precision(), *_kohya_names(), *_foreign_names(), *_ours()]

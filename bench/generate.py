"""Pictures with LoRAs, and changing LoRAs between pictures, beside diffusers' `load_lora_weights`.

    python bench/generate.py
    python bench/generate.py --base FOLDER --side 256 --steps 2 --rounds 2

Both draw in one process with the same base, sampler (DDIM), steps, guidance, seed and precision (float32). Ours folds
the LoRAs into the weights, as `scumble generate` does where no strength changes between the pictures; theirs runs
them as adapters (set_adapters), or fused (fuse_lora). Before anything is timed the pictures of both are compared, and
afterwards ours without a LoRA must be what it was, to the bit. To change LoRAs is: the old one off, the file of the
new one read, put on and made ready for the next picture.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time

import torch
from harness.command import run_bench
from harness.peers import missing_package, versions
from harness.plot import bars
from harness.result import Goal, Result
from harness.turns import in_turns, ratio, spread

from scumble.adapters import lora
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_lora, write_lora
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse

PROMPT, SEED, GUIDANCE, SIZE = "a handwritten three, red ink on yellow paper", 11, 5.0, 0.02
NAMES = ("one", "two", "three")
WORDS = {1: "1 LoRA", 3: "3 LoRAs"}
ALIKE = 1e-4
"""How far pictures in [0, 1] may be apart: three LoRAs in another order of additions."""


def write_loras(painter: Painter, folder: Path) -> dict[str, Path]:
    """Three LoRAs of rank 8 on the denoiser's attention, with random numbers."""
    found = {}
    for index, name in enumerate(NAMES):
        generator = torch.Generator().manual_seed(index)
        layers = {}
        for path in find_targets(painter.denoiser, ["attention"]):
            adapter = lora.create(painter.denoiser.get_submodule(path), AdapterRecipe("lora", 8, 4.0), generator)
            adapter.up.data.normal_(std=SIZE, generator=generator)
            layers[f"unet.{path}"] = LoraLayer("lora", adapter.tensors(), 8, 4.0)
        found[name] = folder / f"{name}.safetensors"
        write_lora(LoraFile(layers), found[name], "kohya", torch.float32)
    return found


class Ours:
    """scumble's painter."""

    def __init__(self, base: str, side_px: int, steps: int) -> None:
        self.painter = Painter.load(open_base(base), torch.device("cpu"), torch.float32)
        self.settings = Settings(side_px, side_px, steps=steps, guidance_scale=GUIDANCE, sampler="DDIM")

    def draw(self) -> torch.Tensor:
        """A picture in [0, 1]."""
        positive, negative = self.painter.text_states([PROMPT, ""])
        painter = self.painter
        latents = draw_latents(painter.base, painter.denoiser, [positive], [negative], [SEED], self.settings)
        return (painter.autoencoder.decode(latents) / 2 + 0.5).clamp(0, 1)

    def load(self, files: dict[str, Path], names: tuple[str, ...], folded: bool) -> None:
        """Read LoRAs and make them ready."""
        for name in names:
            self.painter.add_lora(name, read_lora(files[name], self.painter.base.layer_paths()))
        self.painter.use_loras([LoraUse(name, 1.0) for name in names], folded)

    def unload(self) -> None:
        """Take all off."""
        for name in self.painter.lora_names:
            self.painter.remove_lora(name)


class Theirs:
    """diffusers' pipeline."""

    def __init__(self, folder: Path, side_px: int, steps: int) -> None:
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        self.pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
        self.pipeline.scheduler = DDIMScheduler.from_config(self.pipeline.scheduler.config)
        self.pipeline.set_progress_bar_config(disable=True)
        self.how = {"num_inference_steps": steps, "width": side_px, "height": side_px, "guidance_scale": GUIDANCE}
        self.fused = False

    def draw(self) -> torch.Tensor:
        """A picture in [0, 1]."""
        source = torch.Generator().manual_seed(SEED)
        return self.pipeline(PROMPT, generator=source, output_type="pt", **self.how).images

    def load(self, files: dict[str, Path], names: tuple[str, ...], folded: bool) -> None:
        """Read LoRAs and make them ready."""
        for name in names:
            self.pipeline.load_lora_weights(files[name], adapter_name=name)
        if names:
            self.pipeline.set_adapters(list(names), [1.0] * len(names))
        if names and folded:
            self.pipeline.fuse_lora(adapter_names=list(names))
            self.fused = True

    def unload(self) -> None:
        """Take all off."""
        if self.fused:
            self.pipeline.unfuse_lora()
            self.fused = False
        self.pipeline.unload_lora_weights()


def timed(act: Callable[[], object]) -> float:
    """Processor seconds."""
    started = process_time()
    act()
    return process_time() - started


def picture(side: Ours | Theirs, files: dict[str, Path], names: tuple[str, ...], folded: bool) -> float:
    """Processor seconds of one picture; loading is not among them, nor is the first one after it, which finds cold caches."""
    side.load(files, names, folded)
    try:
        side.draw()
        return timed(side.draw)
    finally:
        side.unload()


def change(side: Ours | Theirs, files: dict[str, Path], folded: bool) -> float:
    """Processor seconds of taking one LoRA off and another one on."""
    side.load(files, NAMES[:1], folded)

    def act() -> None:
        side.unload()
        side.load(files, NAMES[1:2], folded)

    try:
        return timed(act)
    finally:
        side.unload()


def compare(ours: Ours, theirs: Theirs, files: dict[str, Path], names: tuple[str, ...]) -> float:
    """How far the pictures of both are apart at most.

    Raises:
        AssertionError: further than rounding explains, or the LoRAs change nothing.
    """
    plain = ours.draw()
    ours.load(files, names, True)
    theirs.load(files, names, False)
    mine, other = ours.draw(), theirs.draw()
    ours.unload()
    theirs.unload()
    apart = float((mine - other).abs().max())
    assert apart < ALIKE, f"{names}: the pictures differ by {apart}"
    assert not names or (mine - plain).abs().max() > 10 * ALIKE, f"{names}: the LoRAs change nothing"
    assert torch.equal(ours.draw(), plain), f"{names}: taken off, they leave something"
    return apart


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mini", help="base folder; none = the model in the box")
    parser.add_argument("--side", type=int, default=64, help="of the pictures, pixels")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    missing = missing_package("PEFT")
    if missing:
        raise SystemExit(f"diffusers' load_lora_weights: {missing}")
    torch.set_num_threads(asked.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    ours = Ours(asked.base, asked.side, asked.steps)
    folder = Path(asked.base)
    if not folder.is_dir():
        import scumble

        folder = Path(scumble.__file__).parent / asked.base / "weights"
    theirs = Theirs(folder, asked.side, asked.steps)
    with tempfile.TemporaryDirectory() as work:
        files = write_loras(ours.painter, Path(work))
        apart = {len(names): compare(ours, theirs, files, names) for names in ((), NAMES[:1], NAMES)}
        print(f"pictures differ by at most {apart}", flush=True)
        taken = in_turns(_pictures(ours, theirs, files), asked.rounds, warm_up=1)
        changes = in_turns(
            {
                "scumble, folded": partial(change, ours, files, True),
                "scumble": partial(change, ours, files, False),
                "diffusers": partial(change, theirs, files, False),
                "diffusers, fused": partial(change, theirs, files, True),
            },
            asked.rounds,
            warm_up=1,
        )
    _report(asked, taken, changes, apart)


def _pictures(ours: Ours, theirs: Theirs, files: dict[str, Path]) -> dict[str, Callable[[], float]]:
    sides: dict[str, Callable[[], float]] = {}
    for count in (0, 1, 3):
        names = NAMES[:count]
        sides[f"scumble, {WORDS[count]} folded" if count else "scumble, base alone"] = partial(
            picture, ours, files, names, bool(count)
        )
        sides[f"diffusers, {WORDS[count]}" if count else "diffusers, base alone"] = partial(
            picture, theirs, files, names, False
        )
    sides["scumble, 3 LoRAs as adapters"] = partial(picture, ours, files, NAMES, False)
    sides["diffusers, 3 LoRAs fused"] = partial(picture, theirs, files, NAMES, True)
    return sides


def _report(
    asked: argparse.Namespace, taken: dict[str, list[float]], changes: dict[str, list[float]], apart: dict[int, float]
) -> None:
    alone = taken["scumble, base alone"]
    rows = [
        {
            "what": f"a picture: {label}",
            "processor seconds": str(spread(found)),
            "of base alone": str(ratio(found, alone)),
        }
        for label, found in taken.items()
    ]
    slowest = changes["diffusers"]
    rows += [
        {
            "what": f"change of a LoRA: {label}",
            "processor seconds": str(spread(found)),
            "of diffusers": str(ratio(found, slowest)),
        }
        for label, found in changes.items()
    ]

    def goal(what: str, limit: float, found: list[float], other: list[float]) -> Goal:
        value = ratio(found, other)
        return Goal.of(what, limit, value)

    goals = [
        *(
            goal(f"pictures: {WORDS[count]} folded / base alone", 1.0, taken[f"scumble, {WORDS[count]} folded"], alone)
            for count in (1, 3)
        ),
        *(
            goal(f"pictures: {label} / diffusers", 1.0, taken[f"scumble, {label}"], taken[f"diffusers, {other}"])
            for label, other in (
                ("base alone", "base alone"),
                ("1 LoRA folded", "1 LoRA"),
                ("3 LoRAs folded", "3 LoRAs"),
            )
        ),
        goal("change of a LoRA: folded / diffusers", 0.3, changes["scumble, folded"], changes["diffusers"]),
        goal(
            "change of a LoRA: folded / diffusers, fused", 0.3, changes["scumble, folded"], changes["diffusers, fused"]
        ),
        goal("change of a LoRA: as adapters / diffusers", 0.3, changes["scumble"], changes["diffusers"]),
    ]
    name = "generate-mini" if asked.base == "mini" else "generate-sd15"
    notes = [
        f"{asked.side} px, {asked.steps} DDIM steps, guidance {GUIDANCE:g}, float32; LoRAs of rank 8 on the attention.",
        f"Pictures of both sides, values from 0 to 1, differ by at most {max(apart.values()):.1e}; without LoRAs ours are "
        "the same to the bit before and after.",
        "Processor seconds, because other programs used the machine.",
    ]
    both = {**taken, **{f"{label}: another LoRA": found for label, found in changes.items()}}
    bars(name, "One picture, and a change of LoRA", "processor seconds", {key: spread(both[key]) for key in both})
    question = "How fast are pictures with LoRAs, and how fast does one change them?"
    used = versions("torch", "diffusers", "peft", "transformers")
    Result(name, question, rows, goals, notes, used, asked.threads, {"changes": changes, "pictures": taken}).write()


if __name__ == "__main__":
    run_bench(main)

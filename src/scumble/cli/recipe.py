"""The command recipe: from what a picture was drawn, in words or as JSON, and drawing it again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from scumble.cli.ahead import ready
from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config.recipe import RecipeConfig

if TYPE_CHECKING:
    from scumble.generate.recipe import Made, Recipe

RecipeFlags = flags_model(RecipeConfig, without=frozenset({"picture"}))


def recipe(
    picture: Annotated[Path, Parameter(name=["--picture"], help=RecipeConfig.model_fields["picture"].description)],
    *,
    flags: Annotated[RecipeFlags, Parameter(name="*")] = RecipeFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Print from what a picture was drawn; with --run draw it again, and say whether the pixels are the same.

    scumble recipe pictures/00001-1025.png --run
    """
    settings = ready(RecipeConfig, {"picture": picture, **nested(RecipeConfig, flags)})
    if settings.run:
        from scumble.generate.redraw import redraw

        play(redraw(settings))
        return
    from scumble.generate.infotext import as_data, read_all

    entries = read_all(settings.picture)
    if settings.as_json:
        values = [as_data(*entry) for entry in entries]
        sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
        return
    for entry in entries:
        _print(*entry)


def _print(recipe: "Recipe", made: "Made | None") -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(recipe):
        table.add_row(label, escape(text))
    for label, text in _of_making(made) if made is not None else ():
        table.add_row(label, escape(text))
    console = plain_console()
    console.print(table)
    if made is None:
        console.print("[yellow]! it does not say with which weights, device and batch it was drawn[/]")
    if recipe.source is not None and not recipe.source.hash:
        console.print("[yellow]! it does not say from which picture it started[/]")
    console.print()


def _lines(recipe: "Recipe") -> Iterator[tuple[str, str]]:
    yield "prompt", recipe.prompt or "(empty)"
    if recipe.negative_prompt:
        yield "negative", recipe.negative_prompt
    yield "size", f"{recipe.width} x {recipe.height}"
    yield (
        "drawn by",
        f"{recipe.sampler}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}, clip skip {recipe.clip_skip}",
    )
    yield "seed", str(recipe.seed)
    yield "base", recipe.base or "(not said)"
    for lora in recipe.loras:
        yield "LoRA", f"{lora.tag}, " + (f"hash {lora.hash[:12]}" if lora.hash else "no hash")
    if recipe.source is not None:
        name = recipe.source.name or "a picture"
        yield "over", f"{name}, hash {recipe.source.hash[:12] or 'not said'}, strength {recipe.source.strength:g}"
    if recipe.hires is not None:
        again = recipe.hires
        steps = f"{again.steps or recipe.steps} steps"
        by = again.upscaler + (f" (hash {again.upscaler_hash[:12]})" if again.upscaler_hash else "")
        yield "again", f"{again.scale:g} times as large by {by}, {steps}, strength {again.strength:g}"


def _of_making(made: "Made") -> Iterator[tuple[str, str]]:
    yield "weights", ", ".join(f"{part} {digest}" for part, digest in made.base.items())
    schedule = ", on zero-terminal SNR" if made.zero_terminal_snr else ""
    yield "taken to", f"predict {made.prediction_type}{schedule}"
    if made.vae or made.is_tiled:
        yield "decoded by", (made.vae or "its own autoencoder") + (", in tiles" if made.is_tiled else "")
    precision = {"no": "float32"}.get(made.precision, made.precision)
    yield "computed in", f"{precision} on {made.device}" + (", LoRAs folded in" if made.is_folded else "")
    if made.batch_size > 1:
        yield "batch", f"{made.batch_place + 1} of {made.batch_size}"
    if made.upscaler_tile_px:
        yield "enlarged", f"in tiles of {made.upscaler_tile_px} px"
    yield "versions", ", ".join(f"{package} {version}" for package, version in made.versions.items())
    yield "pixels", made.pixels[:16]

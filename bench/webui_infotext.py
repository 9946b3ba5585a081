"""Does A1111's WebUI read our infotext as we mean it? Its own parser on recipes made of pieces drawn at random.

    python bench/webui_infotext.py --checkout A1111 --recipes 20000

Modules of the WebUI that have no part in this are stand-ins. Results go to bench/results/.
"""

import argparse
import datetime
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from scumble.generate.recipe import HiresPass, LoraUse, Recipe, SourcePicture, plain_number
from scumble.generate.samplers.names import SAMPLERS, SCHEDULES, join_sampler, split_sampler, told_schedule
from scumble.generate.webui_text import WEBUI_UPSCALERS, from_infotext, to_infotext

PIECES = (
    "a", "red", "line", " ", ", ", ",", "\n", "\n\n", ": ", ":", '"', '"quoted, here"', "'", "(dog:1.2)", "((old))", "[new]", r"\(",
    "\\", "\\n", "BREAK", "Steps: 20, ", "Seed: 5, Size: 1x2, CFG scale: 7", "Negative prompt", "<lora>", "<", ">", "一只狗", "512x512",
    "{", "}", "#", "\t", "Sampler: Euler a", "&amp;", "%", "é",
)  # fmt: skip
NAMES = ("ink", "my style", "v1.5", "墨", "a_b-c", 'q"q', "512x512x")


def webui(checkout: Path) -> Any:
    """Its module of infotexts."""
    options = SimpleNamespace(
        infotext_skip_pasting=[],
        infotext_styles="Ignore",
        auto_backcompat=True,
        emphasis="Original",
        use_old_hires_fix_width_height=False,
    )
    gradio = {"update": lambda **_: {}, "Image": object, "HTML": object, "Gallery": object}
    stand_ins: dict[str, dict[str, Any]] = {
        "gradio": gradio,
        "lark": {"Lark": lambda *_: None, "Visitor": object, "Transformer": object},
        "modules": {"__path__": [str(checkout / "modules")]},
        "modules.paths": {"data_path": ""},
        "modules.shared": {"opts": options},
        **{f"modules.{name}": {} for name in ("ui_tempdir", "script_callbacks", "processing", "images", "errors")},
    }
    for name, contents in stand_ins.items():
        module = ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    from modules import infotext_utils

    return infotext_utils


def drawn_text(source: random.Random) -> str:
    """A prompt of none to forty pieces, of a few kinds or of all."""
    kinds = source.sample(PIECES, source.choice((4, 8, len(PIECES))))
    return "".join(source.choices(kinds, k=source.choice((0, 1, 3, 10, 40))))


def drawn_recipe(source: random.Random) -> Recipe:
    """A recipe that could have been asked for."""
    sampler = source.choice(list(SAMPLERS))
    schedule = source.choice(("Automatic", *SCHEDULES)) if SAMPLERS[sampler].takes_schedule else "Automatic"
    loras = [
        LoraUse(name, source.choice((1.0, 0.8, -0.25)), source.choice(("", "0123456789abcdef" * 4)))
        for name in source.sample(NAMES, source.choice((0, 0, 1, 3)))
    ]
    passes: dict[str, dict[str, Any]] = {
        "alone": {},
        "img2img": {"source": SourcePicture("", source.choice((0.0, 0.3, 0.75, 1.0)))},
        "hires": {"hires": drawn_hires(source)},
    }
    return Recipe(
        prompt=drawn_text(source),
        negative_prompt=drawn_text(source),
        width=source.choice((64, 512, 1024)),
        height=source.choice((64, 768)),
        steps=source.randint(1, 150),
        guidance_scale=source.choice((1.0, 7.0, 7.5)),
        sampler=join_sampler(sampler, schedule),
        seed=source.choice((0, 1025, 2**63 - 1)),
        clip_skip=source.choice((1, 2)),
        loras=tuple(loras),
        base=source.choice(("mini", "runwayml/stable-diffusion-v1-5", "folder, my: own/x", 'a "b".safetensors')),
        **passes[source.choice(list(passes))],
    )


def drawn_hires(source: random.Random) -> HiresPass:
    """A second pass."""
    upscaler = source.choice(("latent", "lanczos", "4x-UltraSharp.pth", "my, model: 4x", '"q" 2x'))
    return HiresPass(
        source.choice((1.5, 2.0, 1.3333)), source.choice((0, 1, 20)), source.choice((0.3, 0.7, 1.0)), upscaler
    )


def meant(recipe: Recipe) -> dict[str, str]:
    """What the WebUI shall read."""
    sampler, schedule = split_sampler(recipe.sampler)
    prompt = " ".join([recipe.prompt, *(lora.tag for lora in recipe.loras)])
    hashes = ", ".join(f"{lora.name}: {lora.hash[:12]}" for lora in recipe.loras if lora.hash)
    second, picture = recipe.hires, recipe.source
    strength = second.strength if second is not None else picture.strength if picture is not None else None
    return {
        "Prompt": as_read(prompt),
        "Negative prompt": as_read(recipe.negative_prompt),
        "Steps": str(recipe.steps),
        "Sampler": sampler,
        "Schedule type": told_schedule(sampler, schedule),
        "CFG scale": f"{recipe.guidance_scale:g}",
        "Seed": str(recipe.seed),
        "Size-1": str(recipe.width),
        "Size-2": str(recipe.height),
        "Model": recipe.base.rpartition("/")[2],
        "Clip skip": str(recipe.clip_skip),
        "Lora hashes": hashes,
        "Denoising strength": "" if strength is None else plain_number(strength),
        "Hires upscale": "" if second is None else plain_number(second.scale),
        "Hires steps": str(second.steps) if second is not None and second.steps else "",
        "Hires upscaler": "" if second is None else WEBUI_UPSCALERS.get(second.upscaler, second.upscaler),
    }


def as_read(text: str) -> str:
    """With one blank for many and for line breaks, as the text encoder sees it."""
    return " ".join(text.split())


def compare(host: Any, recipes: list[Recipe]) -> dict[str, object]:
    """How many recipes the WebUI, and we, read as they were meant."""
    counts = {"recipes": len(recipes), "read by the WebUI": 0, "read by us as by the WebUI": 0}
    different: list[dict[str, object]] = []
    for recipe in recipes:
        text = to_infotext(recipe)
        theirs = host.parse_generation_parameters(text, [])
        said = {key: as_read(theirs.get(key, "")) for key in meant(recipe)}
        wrong = {key: [value, said[key]] for key, value in meant(recipe).items() if said[key] != value}
        counts["read by the WebUI"] += not wrong
        if wrong and len(different) < 5:
            different.append({"infotext": text, "meant and read": wrong})
        back, whole = from_infotext(text), replace(recipe, prompt=as_read(recipe.prompt))
        same = meant(replace(back, prompt=as_read(back.prompt))) == meant(whole)
        counts["read by us as by the WebUI"] += same
        if not same and len(different) < 5:
            different.append({"infotext": text, "read back by us": repr(back)})
    return {**counts, "different": different}


def main() -> None:
    """Compare and write the result."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--checkout", type=Path, required=True, help="folder of the WebUI's sources")
    arguments.add_argument("--recipes", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    source = random.Random(options.seed)
    result = {
        "date": datetime.date.today().isoformat(),
        "command": f"python bench/webui_infotext.py --checkout A1111 --recipes {options.recipes} --seed {options.seed}",
        "WebUI": (options.checkout / "CHANGELOG.md").read_text(encoding="utf-8").split()[1],
        **compare(webui(options.checkout), [drawn_recipe(source) for _ in range(options.recipes)]),
    }
    text = json.dumps(result, indent=1, ensure_ascii=False)
    print(text)
    out = Path(__file__).parent / "results" / f"{datetime.date.today()}-webui-infotext.json"
    out.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

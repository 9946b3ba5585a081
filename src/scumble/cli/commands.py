"""Which commands there are, where each is, and a line on each: a table, so that none is imported for the sake of another."""

import shutil
import textwrap

PURPOSE = "The LoRA workshop for Stable Diffusion: from a folder of pictures to a proven LoRA file."
HELP = ("--help", "-h")

COMMANDS = {
    "train": (
        "scumble.cli.train:train",
        "Train a LoRA on a folder of pictures.",
    ),
    "generate": (
        "scumble.cli.generate:generate",
        "Draw pictures with a base model and LoRAs.",
    ),
    "compare": (
        "scumble.cli.compare:compare",
        "Draw pictures side by side from the same noise: base and LoRAs, or whatever --x, --y and --z say.",
    ),
    "sweep": (
        "scumble.cli.sweep:sweep",
        "Train LoRAs that differ in rank, rate or anything else on the same budget, and say which to keep.",
    ),
    "check": (
        "scumble.cli.check:check",
        "Say whether a folder of pictures is fit for training, what is wrong with it, and what the training will cost.",
    ),
    "caption": (
        "scumble.cli.data:caption",
        "Write a caption beside each picture, by BLIP, Florence-2, a WD14 tagger or another model.",
    ),
    "measure": (
        "scumble.cli.metrics:measure",
        "Say in numbers what a LoRA did: its loss, how like the training pictures, how far from the base, and what each is made of.",
    ),
    "report": (
        "scumble.cli.report:report",
        "Write what is known of a run as one page: what it learnt, from what, how it went, and how to use the file.",
    ),
    "runs": (
        "scumble.cli.runs:runs",
        "List the runs of a folder: what became of each, how far it came, its best loss; or all that is known of one.",
    ),
    "inspect": (
        "scumble.cli.edit:inspect",
        "Say what is in a LoRA file: algorithm, ranks, alpha, what it changes and how much, what it was trained on.",
    ),
    "verify": (
        "scumble.cli.edit:verify",
        "Say whether a base is the one a LoRA was trained on, and what other programs apply of the file.",
    ),
    "convert": (
        "scumble.cli.edit:convert",
        "Write a LoRA file in another naming, or as plain LoRA; make a .safetensors file of a pickle.",
    ),
    "merge": (
        "scumble.cli.edit:merge",
        "Add LoRAs up to one, or add them to the weights of a base.",
    ),
    "extract": (
        "scumble.cli.edit:extract",
        "Make a LoRA of the difference of two models.",
    ),
    "resize": (
        "scumble.cli.edit:resize",
        "Make a LoRA of lower rank.",
    ),
    "publish": (
        "scumble.cli.share:publish",
        "Make a folder that is ready to share: the LoRA, previews, a model card, and files for the WebUI and ComfyUI.",
    ),
    "import": (
        "scumble.cli.share:import_",
        "Read the settings of kohya's scripts or of OneTrainer into a file for `scumble train --config`.",
    ),
    "recipe": (
        "scumble.cli.recipe:recipe",
        "Print from what a picture was drawn; with --run draw it again, and say whether the pixels are the same.",
    ),
    "upscale": (
        "scumble.cli.upscale:upscale",
        "Enlarge pictures by a model that was made for it (ESRGAN, SwinIR, HAT, DAT, SPAN, ...), or let a base draw over them.",
    ),
    "resize-pictures": (
        "scumble.cli.upscale:resize_pictures",
        "Make pictures larger or smaller by interpolation, without a model; to make a LoRA smaller is scumble resize.",
    ),
    "doctor": (
        "scumble.cli.doctor:doctor",
        "Try what training needs, and every extra, in small: what works here, and what to do about the rest.",
    ),
    "cache": (
        "scumble.cli.cache:app",
        "Show what is kept of pictures, captions and datasets; scumble cache prune clears it away.",
    ),
    "demo": (
        "scumble.cli.box:demo",
        "Train two LoRAs on the model in the box, judge them and write a report: minutes on a CPU, offline.",
    ),
    "pretrain": (
        "scumble.cli.box:pretrain",
        "Make the model in the box from real handwriting: an hour or two on a CPU. The same command goes on after a stop.",
    ),
}
"""Command, in the order in which people need them -> module and name of its function, first line of its help."""

FLAGS = {
    "--help (-h)": "Show this page and exit; scumble COMMAND --help shows that of a command.",
    "--version": "Show the version and exit.",
}


def front_page() -> str:
    """What `scumble --help` says, as wide as the terminal."""
    width = min(shutil.get_terminal_size().columns, 120)
    lines = {**{name: summary for name, (_, summary) in COMMANDS.items()}, **FLAGS}
    indent = " " * (max(map(len, lines)) + 4)
    shown = [
        textwrap.fill(text, width, initial_indent=f"  {name}".ljust(len(indent)), subsequent_indent=indent)
        for name, text in lines.items()
    ]
    return "\n".join(["Usage: scumble COMMAND", "", textwrap.fill(PURPOSE, width), "", "Commands:", *shown])

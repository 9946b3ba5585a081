"""What a prompt says: LoRA tags, which files they mean, and the words that a text encoder will not see."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.config.generate import LORA_TAGS
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError, nearest
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX, WEIGHTS, lora_of, plain_name
from scumble.generate.blocks import parse_blocks

_BEGIN = f"(?:{'|'.join(LORA_TAGS)})"
_OPEN = re.compile(_BEGIN)
_TAG = re.compile(
    rf"(?:[ \t]+(?={_BEGIN}[^<>]*>(?:\s|$)))?{_BEGIN}([^<>]*)>"
)  # of blanks on both sides, one side goes too
OPTIONS = ("te", "unet", "lbw")
"""What a tag may name: strengths of the text encoder and of the denoiser, and weights of its blocks."""

GIVEN = "the --lora files"

_WORD = re.compile(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+")  # scripts without spaces: each sign is a word


@dataclass(frozen=True)
class LoraTag:
    """`<lora:name:weight>`, `<lora:name:te:unet>` or `<lora:name:weight:lbw=blocks>` as found in a prompt.

    Attributes:
        weight: strength in the denoiser, and in the text encoders unless they have their own.
        text_weight: strength in the text encoders; None = as in the denoiser.
        blocks: weights of the denoiser's blocks; "" = 1 everywhere.
    """

    name: str
    weight: float = 1.0
    blocks: str = ""
    text_weight: float | None = None


@dataclass(frozen=True)
class FoundLora:
    """A LoRA that takes part in a picture.

    Attributes:
        name: what a tag calls it.
        weight: strength of its change.
        path: its file, or PEFT folder.
        also: others of the same name at places looked up later, which are not used.
        blocks: weights of the denoiser's blocks, see `blocks.parse_blocks`; "" = 1 everywhere.
        text_weight: strength in the text encoders; None = as in the denoiser.
    """

    name: str
    weight: float
    path: Path
    also: tuple[Path, ...] = ()
    blocks: str = ""
    text_weight: float | None = None


def parse_tags(prompt: str) -> tuple[str, list[LoraTag]]:
    """Take the LoRA tags out of a prompt.

    >>> parse_tags("a dog <lora:sks:0.8> on the moon")
    ('a dog on the moon', [LoraTag(name='sks', weight=0.8)])

    Raises:
        ConfigError: a tag without name or closing sign, a weight that is no finite number, a name given twice.
    """
    tags = [_parse_tag(content) for content in _TAG.findall(prompt)]
    cleaned = _TAG.sub("", prompt).strip()
    opened = _OPEN.search(cleaned)
    if opened:
        tag = cleaned[opened.start() :][:40]
        raise ConfigError(f"prompt: '{tag}' is not closed; a LoRA is written <lora:name:weight>")
    names = [tag.name for tag in tags]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"prompt: LoRA '{name}' is named twice; write it once, with the sum of the weights")
    return cleaned, tags


def _parse_tag(content: str) -> LoraTag:
    """What stands between `<lora:` and `>`, read as the WebUI 1.10 reads it: the first number is the text encoder's, and the
    denoiser's too unless a second one or `unet=` gives its own; a name beats a place.
    """
    first, *rest = [part.strip() for part in content.split(":")]
    name = plain_name(first)
    if not name:
        raise ConfigError(f"prompt: <lora:{content}> has no name; a LoRA is written <lora:name:weight>")
    numbers = [part for part in rest if "=" not in part]
    named = dict(part.partition("=")[::2] for part in rest if "=" in part)
    odd = [*numbers[2:], *(key for key in named if key not in OPTIONS)]
    if odd:
        raise ConfigError(
            f"prompt: <lora:{content}>: '{odd[0]}' is not understood; after the name come the strength in the text encoder "
            "and that in the denoiser, by place or as te= and unet=, and lbw= with block weights"
        )
    text = named.get("te", numbers[0] if numbers else "1")
    denoiser = named.get("unet", numbers[1] if len(numbers) > 1 else text)
    weight, text_weight = (_finite(number, content, name) for number in (denoiser, text))
    blocks = named.get("lbw", "")
    if "lbw" in named:
        parse_blocks(blocks)
    return LoraTag(name, weight, blocks, None if text_weight == weight else text_weight)


def _finite(text: str, content: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"prompt: <lora:{content}>: weight '{text}' is not a number; write such as <lora:{name}:0.8>")
    return number


def find_loras(
    tags: Sequence[LoraTag], lora_files: Sequence[Path], lora_dir: Path | None, runs_dir: Path
) -> list[FoundLora]:
    """The files that the tags mean, then the given files that no tag names, at weight 1.

    A name is looked up among the given files, then in the runs (RUN/RUN.safetensors before other files of a run),
    then in `lora_dir` and its folders. A PEFT folder is a file in this.

    Raises:
        ConfigError: a file or folder that is not there, a name that is not found, or that two files of one place have.
    """
    places = places_of(lora_files, lora_dir, runs_dir)
    given = places[GIVEN]
    named = [_find(tag, places) for tag in tags]
    names = {lora.name for lora in named}
    rest = [_find(LoraTag(name), {GIVEN: given}) for name in given if name not in names]
    return named + rest


def places_of(lora_files: Sequence[Path], lora_dir: Path | None, runs_dir: Path) -> dict[str, dict[str, list[Path]]]:
    """Where LoRAs are looked for, in words -> name -> files, in the order in which they are looked for.

    Raises:
        ConfigError: a file or folder that is not there.
    """
    places = {GIVEN: _by_name(_existing(lora_files)), f"the runs in {runs_dir}": _runs(runs_dir)}
    if lora_dir is not None:
        if not lora_dir.is_dir():
            raise ConfigError(f"lora_dir={lora_dir}: no such folder")
        places[f"the folder {lora_dir}"] = _by_name(_below(lora_dir.rglob(f"*{FILE_SUFFIX}")))
    return places


def _find(tag: LoraTag, places: dict[str, dict[str, list[Path]]]) -> FoundLora:
    found = [(place, files[tag.name]) for place, files in places.items() if tag.name in files]
    if not found:
        known = sorted({name for files in places.values() for name in files})
        hint = nearest(tag.name, known) if known else ": no LoRA is there at all"
        raise ConfigError(
            f"LoRA '{tag.name}' not found among {' or '.join(places)}{hint} (or give its file with --lora, its folder with --lora-dir)"
        )
    place, files = found[0]
    if len(files) > 1:
        raise ConfigError(
            f"LoRA '{tag.name}' may be any of {', '.join(map(str, files))} among {place}: "
            "give the one you mean by --lora, or rename one"
        )
    also = tuple(path for _, others in found[1:] for path in others)
    return FoundLora(tag.name, tag.weight, files[0], also, tag.blocks, tag.text_weight)


def _existing(files: Iterable[Path]) -> list[Path]:
    unique = list(dict.fromkeys(files))
    for path in unique:
        LORA_THERE.refuse(path)
    return unique


def _runs(runs_dir: Path) -> dict[str, list[Path]]:
    """LoRA files of all runs by name; a run's own final file hides others of that name."""
    files = _below([*runs_dir.glob(f"*/*{FILE_SUFFIX}"), *runs_dir.glob(f"*/*{PEFT_SUFFIX}/**/{WEIGHTS}")])
    own = [path for path in files if path.parent.name == plain_name(path.name)]
    return _by_name(files) | _by_name(own)


def _below(files: Iterable[Path]) -> list[Path]:
    """The LoRAs that safetensors files are, or lie in as a part."""
    return sorted({lora_of(file) for file in files})


def _by_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = {}
    for path in files:
        names.setdefault(plain_name(path.name), []).append(path)
    return names


def split_prompts(text: str | None) -> list[str]:
    """Prompts that one setting holds, separated by '|'."""
    return [] if text is None else [prompt.strip() for prompt in text.split("|")]


def cut_off(prompt: str, is_seen: Callable[[str], bool]) -> str:
    """The end of a prompt that the text encoder does not see, in whole words; "" if it sees all.

    Args:
        prompt: without LoRA tags.
        is_seen: whether all of a text is seen; what begins a text that is seen is seen too.
    """
    if is_seen(prompt):
        return ""
    ends = [match.end() for match in _WORD.finditer(prompt)]
    fits, too_long = 0, len(ends)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if is_seen(prompt[: ends[middle - 1]]):
            fits = middle
        else:
            too_long = middle
    return prompt[ends[fits - 1] if fits else 0 :].strip()

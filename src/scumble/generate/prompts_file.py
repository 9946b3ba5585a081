"""A text file of prompts, one a line, each with settings of its own: `a dog --n blurry --w 512 --d 7`, as kohya's scripts
read them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scumble.config import from_values
from scumble.config.generate import GenerateConfig
from scumble.errors import ConfigError, nearest

OPTIONS: Mapping[str, str] = {
    "n": "negative_prompt",
    "w": "width",
    "h": "height",
    "d": "seed",
    "s": "steps",
    "l": "guidance_scale",
    "ss": "sampler",
    **{name.replace("_", "-"): name for name in ("negative_prompt", "width", "height", "seed", "steps", "sampler")},
    **{name.replace("_", "-"): name for name in ("guidance_scale", "clip_skip")},
    "cfg-scale": "guidance_scale",
}
"""What may follow the prompt in its line, after `--` -> the setting that it is."""

_OPTION = re.compile(r"(?:^|\s)--(?=[A-Za-z])")


def read_prompts(path: Path) -> dict[str, dict[str, Any]]:
    """Place -> settings of every prompt in a file; blank lines, and those that begin with #, are passed over.

    Raises:
        ConfigError: no such file, none in UTF-8, no prompt in it, or a line that cannot be, named by its number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"prompts_file={path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompts_file={path}: is not text in UTF-8: {error}") from None
    places = {
        f"{path}, line {number}": line.strip()
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#")
    }
    found = {place: _of_line(line, place) for place, line in places.items()}
    if not found:
        raise ConfigError(f"prompts_file={path}: there is no prompt in it; write one a line")
    return found


@dataclass(frozen=True)
class Wish:
    """The settings of one prompt.

    Attributes:
        settings: the command's, with those of the prompt's own line.
        place: file and line of the prompt; "" = the command itself.
    """

    settings: GenerateConfig
    place: str = ""

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """An error about these settings names their place."""
        try:
            yield
        except ConfigError as error:
            raise (ConfigError(f"{self.place}: {error}") if self.place else error) from None


def wishes(config: GenerateConfig) -> list[Wish]:
    """The settings of every prompt: one, or those of the prompts' file, where a line's own go before the command's.

    Raises:
        ConfigError: the file cannot be used.
    """
    if config.prompts_file is None:
        return [Wish(config)]
    same = {"prompts_file": None}
    return [
        Wish(config.model_copy(update={**same, **({"seeds": ()} if "seed" in values else {}), **values}), place)
        for place, values in read_prompts(config.prompts_file).items()
    ]


def _of_line(line: str, place: str) -> dict[str, Any]:
    """A line's settings by name, each of the setting's type."""
    prompt, *options = _OPTION.split(line)
    if not prompt.strip():
        raise ConfigError(f"{place}: there is no prompt before its options")
    values: dict[str, Any] = {"prompt": prompt.strip()}
    for option in options:
        name, _, value = option.strip().partition(" ")
        setting = OPTIONS.get(name.replace("_", "-"))
        if setting is None:
            raise ConfigError(f"{place}: unknown option '--{name}'{nearest(name, OPTIONS)}")
        if setting in values:
            raise ConfigError(f"{place}: {setting} is said twice; leave one out")
        if not value.strip():
            raise ConfigError(f"{place}: --{name} has no value")
        values[setting] = value.strip()
    try:
        config = from_values(GenerateConfig, values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    return {name: getattr(config, name) for name in values}

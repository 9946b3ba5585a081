"""The command line as its parser knows it: each command is imported when it is the one that was typed."""

from typing import Any

import cyclopts
from cyclopts import App
from pydantic import ValidationError

from scumble.cli.commands import COMMANDS, PURPOSE
from scumble.config.section import in_words
from scumble.errors import ConfigError, nearest

app = App(
    name="scumble",
    help=PURPOSE,
    help_flags=["--help", "-h"],
    help_format="plaintext",  # in any richer form <lora:name:weight> is taken for markup, and loses its brackets
    result_action="return_value",
)
for name, (place, _) in COMMANDS.items():
    app.command(place, name=name)


def run_command(arguments: list[str]) -> Any:
    """Parse and call, with the parser's own complaints as our errors.

    Raises:
        ConfigError: the command line cannot be understood.
    """
    try:
        return app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        values = error.__cause__
        text = in_words(values) if isinstance(values, ValidationError) else str(error).strip()
        if "--" in arguments:
            text += ' After "--" nothing is a flag: leave it out.'
        if isinstance(error, cyclopts.UnusedCliTokensError):
            _refuse_subcommand(arguments)
            text += ' Put a value with spaces in quotes; a switch takes none, or one after "=".'
        if any(word.startswith("-") and " " in word for word in arguments):
            text += ' Text that begins with "-" needs its flag before it: --prompt "-5 dogs".'
        command = next((f" {name}" for name in arguments[:1] if name in COMMANDS), "")
        raise ConfigError(f"{text} (see: scumble{command} --help)") from None


def _refuse_subcommand(arguments: list[str]) -> None:
    """Raise where a command that has commands of its own was given another one."""
    command, *rest = arguments
    own = [name for name in app[command] if not name.startswith("-")] if command in COMMANDS else []
    if own and rest and not rest[0].startswith("-") and rest[0] not in own:
        raise ConfigError(f"scumble {command} has no command '{rest[0]}'{nearest(rest[0], own)}")

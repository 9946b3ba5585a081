"""What the pages tell people to type is understood: command lines, TOML files and Python."""

import ast
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from scumble.cli.flags import nested
from scumble.cli.foreign import translate
from scumble.cli.parser import app
from scumble.config import TrainConfig, from_values

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language):
    """(page, text) of every block in a language."""
    return [
        (page.relative_to(ROOT).as_posix(), text)
        for page in PAGES
        for found, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def command_lines():
    joined = [(page, line) for page, text in blocks("sh") for line in text.replace("\\\n", " ").splitlines()]
    return [(page, line) for page, line in joined if line.startswith("scumble ")]


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_are_understood(page, line):
    arguments = translate(shlex.split(line, comments=True)[1:])
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    named, _, _ = app.parse_commands(arguments)
    assert named[0] == arguments[0]
    # a command that is called like a word of Python ends in _
    assert command.__name__.rstrip("_").replace("_", "-") == named[-1]
    if arguments[0] == "train":
        assert from_values(TrainConfig, nested(TrainConfig, bound.arguments.get("flags")))


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_settings_files_are_settings(page, text):
    assert from_values(TrainConfig, tomllib.loads(text))


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_compiles_and_its_imports_exist(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_there_are_snippets_of_each_kind():
    assert len(command_lines()) > 20
    assert len(blocks("toml")) > 1
    assert len(blocks("python")) > 2

"""A command line, run as a person runs it."""

import pytest

from scumble.cli.app import exit_code


@pytest.fixture
def scumble(capsys, tmp_path, monkeypatch):
    """Run a command line; its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = exit_code([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run

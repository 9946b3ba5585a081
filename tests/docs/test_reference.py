"""The page of settings is what the settings say."""

from pathlib import Path

import pytest

from scripts import load_script
from scumble.cli.flags import leaves
from scumble.cli.parser import app

SCRIPT = Path(__file__).parents[2] / "docs" / "make_reference.py"


@pytest.fixture(scope="module")
def reference():
    return load_script(SCRIPT)


def test_the_committed_page_is_current(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make docs`"


def test_the_page_has_every_command(reference):
    named = {command.partition(" ")[0] for command in reference.COMMANDS}
    assert named == {name for name in app if not name.startswith("-")}


def test_every_setting_has_a_row_and_a_description(reference):
    rows = 0
    for schema in reference.COMMANDS.values():
        for path, field in leaves(schema):
            assert field.description, path
            assert f"| `{path[-1]}` |" in reference.page()
            rows += 1
    assert rows > 80

"""The notebook runs from top to bottom, and is stored without what it printed."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
REPLACED = {
    'BASE = "mini"': "BASE = {base!r}",
    'FOLDER = Path("../demo/pictures/nines")': "FOLDER = Path({folder!r})",
    "STEPS = 1000": "STEPS = 4",
}
"""Lines that the test replaces: a base with random weights, pictures of its own, few steps."""


@pytest.fixture(scope="module")
def cells():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_no_output_is_stored(cells):
    assert len(cells) > 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_it_imports_the_public_names_only(cells):
    modules = [
        node.module
        for cell in cells
        for node in ast.walk(ast.parse("".join(cell["source"])))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("scumble")
    ]
    assert modules == ["scumble"]


def test_it_runs_from_top_to_bottom(cells, tiny_base, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in cells:
        code = "".join(cell["source"])
        for line, replacement in REPLACED.items():
            code = code.replace(line, replacement.format(base=str(tiny_base), folder=str(photos)))
        exec(compile(code, str(NOTEBOOK), "exec"), names)
    assert (tmp_path / "runs" / "nines" / "nines.safetensors").is_file()
    assert names["with_lora"].shape == names["without"].shape
    assert (names["with_lora"] != names["without"]).any()


def test_the_lines_to_replace_are_there(cells):
    whole = "\n".join("".join(cell["source"]) for cell in cells)
    assert all(line in whole.splitlines() for line in REPLACED)

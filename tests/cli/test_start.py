"""What the command says before it imports anything heavy: its front page, and what is not there."""

import os
import subprocess
import sys

import pytest

from scumble.cli.commands import COMMANDS, front_page
from scumble.cli.parser import app

HEAVY = ("torch", "diffusers", "transformers", "peft", "numpy", "PIL")


def test_the_front_page_has_the_first_line_of_every_command():
    assert {name for name in app if not name.startswith("-")} == COMMANDS.keys()
    said = {name: app[name].help.partition("\n")[0] for name in COMMANDS}
    assert said == {name: summary for name, (_, summary) in COMMANDS.items()}


@pytest.mark.parametrize("columns", ["60", "100"])
def test_the_front_page_is_as_wide_as_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = front_page().splitlines()
    assert 50 < max(map(len, lines)) <= int(columns)
    assert "  train            Train a LoRA on a folder of pictures." in lines


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_front_page_needs_no_parser(words, monkeypatch):
    code = "import sys; from scumble.cli.app import exit_code; "
    code += f"print(exit_code({words!r}), 'cyclopts' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[0] == "Usage: scumble COMMAND"
    assert done.stdout.splitlines()[-1] == "0 False False"


MISSING = [
    (["generate", "a dog", "--lora", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["generate", "a dog <lora:nobody:1>"], 2, "LoRA 'nobody' not found"),
    (["generate", "a dog", "--image", "no.png"], 1, "no.png: there is no such picture"),
    (["generate", "--prompts-file", "no.txt"], 2, "prompts_file=no.txt: cannot be read"),
    (["generate", "a dog", "--base", "./no/base"], 1, "base ./no/base: no such folder"),
    (["generate", "a dog", "--base", "no.safetensors"], 1, "base no.safetensors: there is no such file"),
    (
        ["generate", "a dog", "--base", "mni"],
        1,
        "base mni: no such folder, and not a hub id (owner/name); did you mean 'mini'?",
    ),
    (["compare", "--prompt", "a dog", "--lora", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["train", "no"], 1, "no: no such folder"),
    (["train", ".", "--base", "./no/base"], 1, "base ./no/base: no such folder"),
    (["train", ".", "--init-lora", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["sweep", "no"], 1, "no: no such folder"),
    (["merge", "no.safetensors", "--out", "two.safetensors"], 1, "no.safetensors: there is no such file"),
    (["inspect", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["verify", "no.safetensors", "--base", "mini"], 1, "no.safetensors: there is no such file"),
    (["convert", "no.pt", "--out", "new.safetensors"], 1, "no.pt: there is no such file"),
    (["resize", "no.safetensors", "--rank", "4", "--out", "new.safetensors"], 1, "there is no such file"),
    (["publish", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["measure", "no.safetensors"], 1, "no.safetensors: there is no such file"),
    (["upscale", "no.png", "--out", "new.png", "--model", "no.pth"], 1, "no.png: there is no such picture"),
    (["check", "no"], 1, "no: no such folder"),
    (["report", "no"], 1, "no: no run there, nor one of that name in runs"),
    (["caption", "no"], 1, "no: there is no such picture or folder"),
    (["recipe", "no.png"], 1, "no.png: there is no such picture"),
]


def test_a_missing_file_is_said_before_anything_heavy_is_imported(tmp_path):
    code = (
        "import sys; from scumble.cli.app import exit_code\n"
        f"for words, _, _ in {MISSING!r}:\n"
        "    print('code', exit_code(words), file=sys.stderr)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.stdout == "[]\n", done.stderr
    ends = done.stderr.split("code ")
    said = [end.partition("\n")[2] for end in ["\n" + ends[0], *ends[1:-1]]]
    codes = [int(end.partition("\n")[0]) for end in ends[1:]]
    assert codes == [code for _, code, _ in MISSING], done.stderr
    assert [words for (words, _, text), found in zip(MISSING, said, strict=True) if text not in found] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says it otherwise")
def test_when_nobody_reads_it_ends_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scumble", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")

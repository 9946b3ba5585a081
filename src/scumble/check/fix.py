"""Putting a folder in order without deleting anything: what is in the way moves aside, and a journal can take it back.

The journal, a line of JSON an act, is written before each act. A path in it is relative to the folder of pictures where it
lies in that, else to the folder aside.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scumble.check.findings import Findings
from scumble.data.caption_lint import normal_caption
from scumble.data.scan import Example
from scumble.data.text_files import read_text
from scumble.errors import ConfigError, DataError
from scumble.files.atomic import write_atomically

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Act:
    """One thing that was done, or, by undoing, taken back.

    Attributes:
        kind: a file moved aside, or a caption written anew whose old text was copied aside.
        path: where it lies, or lay, in the folder of pictures.
        aside: where it, or its old text, lies aside.
        reason: why.
    """

    kind: str
    path: Path
    aside: Path
    reason: str


def aside_of(folder: Path, chosen: Path | None) -> Path:
    """The folder that things are moved to.

    Args:
        folder: of pictures, or a dataset file.
        chosen: by the person; None = NAME-aside beside it.
    Raises:
        ConfigError: it would lie among the pictures.
    """
    place = folder.resolve()
    aside = (chosen or place.with_name(f"{place.stem if place.is_file() else place.name}-aside")).resolve()
    if aside.is_relative_to(place):
        raise ConfigError(f"fix_dir={chosen}: lies among the pictures; choose a folder beside {folder}")
    return aside


def fix(findings: Findings, aside: Path, *, by_line: bool) -> Iterator[Act]:
    """Move aside what cannot be used and extra copies of the same bytes; write captions as one clean line.

    Left where they are: folders, links, files outside the folder of pictures, and copies that a table names.

    Args:
        findings: of the folder.
        aside: folder to move to; made where it is missing.
        by_line: each line of a caption file is a caption of its own.
    Yields:
        Each act, when it is done.
    Raises:
        OSError: a file cannot be moved or written; the acts before it are done, and in the journal.
    """
    root = _root(findings.scan.folder)
    moved: set[Path] = set()
    for path, reason in _in_the_way(findings, root):
        if path not in moved and os.path.lexists(path):
            moved.add(path)
            yield _move(path, root, aside, reason)
    examples = [seen.example for seen in findings.seen]
    captions = {each.caption_path for each in examples if each.caption_path and each.caption_path not in moved}
    for path in sorted(captions):
        text = _normal(read_text(path), by_line)
        if path.is_relative_to(root) and not path.is_symlink() and path.read_bytes() != text.encode():
            yield _rewrite(path, text, root, aside)


def undo(folder: Path, aside: Path) -> Iterator[Act]:
    """Take back what `fix` did, the last act first; what was taken back leaves the journal.

    Yields:
        Each act, when it is taken back.
    Raises:
        DataError: there is no journal, or the place of a file is taken by another now; nothing is overwritten.
    """
    root, journal = _root(folder), aside / JOURNAL
    if not journal.is_file():
        raise DataError(f"{aside}: no {JOURNAL} in it, so nothing is known that could be taken back")
    lines = read_text(journal).splitlines()
    while lines:
        entry = json.loads(lines[-1])
        act = Act(entry["kind"], root / entry["path"], aside / entry["aside"], entry["reason"])
        if os.path.lexists(act.aside):  # else the process ended between journal and act
            _take_back(act)
        lines.pop()
        write_atomically(journal, "".join(f"{line}\n" for line in lines).encode())
        yield act


def _take_back(act: Act) -> None:
    act.path.parent.mkdir(parents=True, exist_ok=True)
    if act.kind == "moved":
        if os.path.lexists(act.path):
            raise DataError(f"{act.path}: there is another file of this name now; move it, and undo again")
        shutil.move(act.aside, act.path)
        return
    old = read_text(act.aside)
    if act.path.exists() and read_text(act.path) not in (_normal(old, True), _normal(old, False)):
        raise DataError(f"{act.path}: was changed since; remove it, and undo again")
    act.aside.replace(act.path)


def _in_the_way(findings: Findings, root: Path) -> Iterator[tuple[Path, str]]:
    """Files to move, and why: what is not used, then copies with the captions that are theirs alone."""
    for item in findings.scan.rejected:
        if item.path != findings.scan.folder and _may_move(item.path, root):
            yield item.path, item.reason
            yield from ((path, f"caption of {item.path.name}") for path in _captions_alone(item.path, findings))
    for group in findings.equal:
        first, *others = sorted(
            group, key=lambda example: (example in findings.scan.classes, example.caption_path is None)
        )
        for example in others:
            if example.source != "table" and _may_move(example.path, root):
                yield example.path, f"the same bytes as {_relative(first.path, root)}"
                if example.caption_path is not None and not _is_shared(example, findings):
                    yield example.caption_path, f"caption of {example.path.name}"


def _may_move(path: Path, root: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root.resolve())


def _captions_alone(path: Path, findings: Findings) -> list[Path]:
    """Captions beside a picture that cannot be read, if no picture that can be has them."""
    used = {seen.example.path.with_suffix("") for seen in findings.seen}
    if path.with_suffix("") in used:
        return []
    suffixes = (".txt", ".TXT", ".caption", ".CAPTION")
    return [each for each in map(path.with_suffix, suffixes) if each != path and each.is_file()]


def _is_shared(example: Example, findings: Findings) -> bool:
    """Whether another picture has the same caption file, as a.png and a.jpg have."""
    return any(
        seen.example.caption_path == example.caption_path for seen in findings.seen if seen.example is not example
    )


def _move(path: Path, root: Path, aside: Path, reason: str) -> Act:
    target = _free(aside / _relative(path, root))
    act = Act("moved", path, target, reason)
    _note(act, root, aside)
    shutil.move(path, target)
    return act


def _rewrite(path: Path, text: str, root: Path, aside: Path) -> Act:
    backup = _free(aside / _relative(path, root))
    act = Act("rewritten", path, backup, "written as one clean line")
    _note(act, root, aside)
    shutil.copy2(path, backup)
    write_atomically(path, text.encode())
    return act


def _note(act: Act, root: Path, aside: Path) -> None:
    act.aside.parent.mkdir(parents=True, exist_ok=True)
    places = {"path": _relative(act.path, root).as_posix(), "aside": act.aside.relative_to(aside).as_posix()}
    with (aside / JOURNAL).open("a", encoding="utf-8", newline="\n") as journal:
        journal.write(json.dumps({**asdict(act), **places}, ensure_ascii=False) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def _normal(text: str, by_line: bool) -> str:
    lines: Iterable[str] = (normal_caption(line) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line) if by_line else f"{normal_caption(text)}\n"


def _free(path: Path) -> Path:
    """The path, or, where something lies there, one with a number."""
    names: Sequence[Path] = [path]
    number = 1
    while os.path.lexists(names[-1]):
        number += 1
        names = [path.with_name(f"{path.stem} ({number}){path.suffix}")]
    return names[-1]


def _root(folder: Path) -> Path:
    """What paths are relative to: the folder of pictures, or the one that a dataset file lies in."""
    return folder.parent if folder.is_file() else folder


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else Path(path.name)

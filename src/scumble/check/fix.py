"""Putting a folder in order without deleting anything: what is in the way moves aside, and a journal can take it back."""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scumble.check.findings import Findings
from scumble.check.journal import Act, Journal
from scumble.data.caption_lint import normal_caption
from scumble.data.masks import blames_mask
from scumble.data.names import name_in, relative_to, root_of
from scumble.data.scan import Example
from scumble.data.text_files import read_text
from scumble.errors import ConfigError, DataError
from scumble.files.atomic import write_atomically, written_atomically


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

    Left where they are: folders, links, files outside the folder of pictures, pictures of which only the mask cannot be
    used, and the copies that `copies_that_stay` names.

    Args:
        findings: of the folder.
        aside: folder to move to; made where it is missing.
        by_line: each line of a caption file is a caption of its own.
    Yields:
        Each act, when it is done.
    Raises:
        OSError: a file cannot be moved or written; the acts before it are done, and in the journal.
    """
    root = root_of(findings.scan.folder)
    journal = Journal(root, aside)
    journal.begin()
    moved: set[Path] = set()
    for path, reason in _in_the_way(findings, root):
        if path not in moved and os.path.lexists(path):
            moved.add(path)
            yield _move(path, reason, journal)
    examples = [seen.example for seen in findings.seen]
    captions = {each.caption_path for each in examples if each.caption_path and each.caption_path not in moved}
    for path in sorted(captions):
        text = _normal(read_text(path), by_line)
        if path.is_relative_to(root) and not path.is_symlink() and not _is_clean(path.read_bytes(), text):
            yield _rewrite(path, text, journal)


def undo(folder: Path, aside: Path) -> Iterator[Act]:
    """Take back what `fix` did, the last act first; what was taken back leaves the journal, and the journal the disk.

    Yields:
        Each act, when it is taken back.
    Raises:
        DataError: there is no journal, one that cannot be read, or the place of a file is taken by another now; nothing
            is overwritten.
    """
    journal = Journal(root_of(folder), aside)
    acts = journal.acts()
    while acts:
        act = acts.pop()
        if os.path.lexists(act.aside):  # else the process ended between journal and act
            _take_back(act)
        journal.forget(len(acts))
        yield act
    if journal.path.exists():  # it held no act at all
        journal.forget(0)


def copies_that_stay(findings: Findings) -> Iterator[str]:
    """Of each group of the same bytes that `fix` leaves as it is, in words, why."""
    root = root_of(findings.scan.folder)
    for group in findings.equal:
        staying = _staying(group, findings)
        names = " = ".join(name_in(example.path, root) for example in staying)
        if any(example.source == "table" for example in staying[1:]):
            yield f"{names}: the same bytes, and named in a table: they stay; take the extra lines out of it"
        elif len(staying) > 1:
            repeats = ", ".join(f"{example.repeats}" for example in staying)
            yield f"{names}: the same bytes, but with repeats of their own ({repeats}): they stay; choose between them"


def _take_back(act: Act) -> None:
    act.path.parent.mkdir(parents=True, exist_ok=True)
    if act.kind == "moved":
        if not os.path.lexists(act.path):
            _bring(act.aside, act.path)
        elif act.path.is_file() and filecmp.cmp(act.aside, act.path, shallow=False):
            act.aside.unlink()  # the process ended between copying it to another disk and removing it here
        else:
            raise DataError(f"{act.path}: there is another file of this name now; move it, and undo again")
        return
    old = read_text(act.aside)
    if act.path.exists() and read_text(act.path) not in (old, _normal(old, True), _normal(old, False)):
        raise DataError(
            f"{act.path}: was changed since; to have the old text of {act.aside} back, remove it and undo again"
        )
    _copy(act.aside, act.path)
    act.aside.unlink()


def _in_the_way(findings: Findings, root: Path) -> Iterator[tuple[Path, str]]:
    """Files to move, and why: what is not used, then copies with the captions that are theirs alone."""
    for item in findings.scan.rejected:
        if item.path != findings.scan.folder and _may_move(item.path, root) and not blames_mask(item.reason):
            yield item.path, item.reason
            yield from ((path, f"caption of {item.path.name}") for path in _captions_alone(item.path, findings))
    for group in findings.equal:
        staying = _staying(group, findings)
        for example in group:
            if example not in staying and _may_move(example.path, root):
                differs = "; its caption differs" if example.captions != staying[0].captions else ""
                yield example.path, f"the same bytes as {name_in(staying[0].path, root)}{differs}"
                if example.caption_path is not None and not _is_shared(example, findings):
                    yield example.caption_path, f"caption of {example.path.name}"


def _staying(group: Sequence[Example], findings: Findings) -> list[Example]:
    """Of copies the one that stays, an own one with a caption of its own first; and those that are not for us to choose
    between: which a table names, or which have other repeats.
    """
    best, *others = sorted(group, key=lambda example: (example in findings.scan.classes, example.caption_path is None))
    own = [example for example in group if example not in findings.scan.classes] or group
    if len({example.repeats for example in own}) > 1:
        return list(own)
    return [best, *(example for example in others if example.source == "table")]


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


def _move(path: Path, reason: str, journal: Journal) -> Act:
    act = Act("moved", path, _free(journal.aside / relative_to(path, journal.root)), reason)
    journal.note(act)
    _bring(path, act.aside)
    return act


def _rewrite(path: Path, text: str, journal: Journal) -> Act:
    backup = _free(journal.aside / relative_to(path, journal.root))
    act = Act("rewritten", path, backup, "written as one clean line")
    journal.note(act)
    _copy(path, backup)
    write_atomically(path, text.encode())
    return act


def _bring(source: Path, target: Path) -> None:
    """Move a file so that it lies whole in one of the places at any moment, to another disk too."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target)
        source.unlink()


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, written_atomically(target) as new:
        shutil.copyfileobj(old, new)
    shutil.copystat(source, target)


def _is_clean(content: bytes, text: str) -> bool:
    """Whether a caption file holds this text; the end of its last line does not count."""
    return content.rstrip(b"\r\n") == text.rstrip("\n").encode()


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

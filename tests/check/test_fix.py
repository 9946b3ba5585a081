"""Putting a folder in order: what moves, what stays, that nothing is lost, and that all of it can be taken back."""

import json
import shutil

import pytest
from PIL import Image

from scumble.cli.app import exit_code


def contents(folder):
    """Every file by its name in the folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def messy(phone):
    """The phone's folder with captions of many kinds."""
    (phone / "IMG_0001.txt").write_bytes("  a temple\r\n in the\u200b sun ".encode("utf-16"))
    (phone / "IMG_0002.txt").write_bytes("un cafe\u0301".encode())
    (phone / "IMG_0003.txt").write_bytes(b"a plain one\n")
    (phone / "copy of 花.txt").write_text("花\n", encoding="utf-8")
    (phone / "IMG_0006.txt").write_text("of a damaged one\n", encoding="utf-8")
    (phone / "notes.docx").write_bytes(b"x")
    return phone


def aside(folder):
    return folder.with_name(f"{folder.name}-aside")


def test_what_cannot_be_used_and_copies_move_aside_with_their_captions(check, messy):
    code, found = check(messy, "--trigger", "sks", "--fix")
    assert code == 0
    assert found["rejected"] == []
    assert found["exact_duplicates"] == []
    assert found["kept"] == 7
    moved = {act["path"].rsplit("/", 1)[1] for act in found["fixed"] if act["kind"] == "moved"}
    assert moved == {"IMG_0006.jpg", "IMG_0006.txt", "IMG_0007.HEIC", "notes.docx", "IMG_0004.jpg"}
    assert (messy / "copy of 花.jpg").exists()  # of two copies the one with a caption of its own


def test_captions_become_one_clean_line_and_the_old_text_is_kept(check, messy):
    before = contents(messy)
    check(messy, "--trigger", "sks", "--fix")
    after, kept = contents(messy), contents(aside(messy))
    assert after["IMG_0001.txt"] == b"a temple in the sun\n"
    assert after["IMG_0002.txt"] == "un café\n".encode()
    assert after["IMG_0003.txt"] == before["IMG_0003.txt"]
    assert "IMG_0003.txt" not in kept
    assert kept["IMG_0001.txt"] == before["IMG_0001.txt"]
    assert kept["IMG_0002.txt"] == before["IMG_0002.txt"]


def test_nothing_is_lost_and_undo_takes_all_of_it_back(check, messy):
    before = contents(messy)
    check(messy, "--trigger", "sks", "--fix")
    everything = [*contents(messy).values(), *contents(aside(messy)).values()]
    assert all(content in everything for content in before.values())
    check(messy, "--trigger", "sks", "--undo")
    assert contents(messy) == before
    assert not aside(messy).exists()


def test_what_is_in_order_stays_as_it_is(check, photos):
    before = contents(photos)
    _, found = check(photos, "--fix")
    assert found["fixed"] == []
    assert contents(photos) == before
    assert not aside(photos).exists()


def test_fixing_twice_overwrites_nothing_aside(check, messy):
    check(messy, "--trigger", "sks", "--fix")
    (messy / "notes.docx").write_bytes(b"other notes")
    check(messy, "--trigger", "sks", "--fix")
    kept = contents(aside(messy))
    assert (kept["notes.docx"], kept["notes (2).docx"]) == (b"x", b"other notes")


def test_each_line_stays_a_caption_where_lines_are_captions(check, photos):
    (photos / "00.txt").write_bytes(b" one  caption \r\n\r\nanother\r\n")
    check(photos, "--caption-per-line", "--fix")
    assert (photos / "00.txt").read_bytes() == b"one caption\nanother\n"


def test_links_and_pictures_that_a_table_names_stay(check, tmp_path, photographs):
    folder = tmp_path / "set"
    folder.mkdir()
    photographs[0].save(folder / "a.png")
    shutil.copy(folder / "a.png", folder / "b.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    lines = [json.dumps({"file_name": name, "text": f"picture {name}"}) for name in ("a.png", "b.png")]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    before = sorted(path.name for path in folder.iterdir())
    _, found = check(folder, "--fix")
    assert found["fixed"] == []
    assert sorted(path.name for path in folder.iterdir()) == before


def test_of_an_own_and_a_class_picture_the_own_one_stays(check, tmp_path, photographs):
    for name in ("img/10_sks flower/z.jpg", "reg/1_flower/a.jpg", "img/10_sks flower/y.jpg"):
        path = tmp_path / "kohya" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photographs[name.endswith("y.jpg")].save(path)
    check(tmp_path / "kohya", "--fix")
    assert contents(tmp_path / "kohya").keys() == {"img/10_sks flower/z.jpg", "img/10_sks flower/y.jpg"}


def test_copies_with_repeats_of_their_own_stay_and_it_is_said(tmp_path, photographs, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("2_flower/a.png", "9_flower/a.png", "9_flower/b.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photographs[name.endswith("b.png")].save(path)
    before = contents(tmp_path / "set")
    assert exit_code(["check", str(tmp_path / "set"), "--fix"]) == 0
    assert contents(tmp_path / "set") == before
    said = capsys.readouterr().out.replace("\n", " ")
    assert "2_flower/a.png = 9_flower/a.png: the same bytes, but with repeats of their own (2, 9)" in said


def test_a_copy_whose_caption_differs_is_moved_with_these_words(check, messy):
    (messy / "IMG_0004.txt").write_text("a flower\n", encoding="utf-8")
    _, found = check(messy, "--trigger", "sks", "--fix")
    reasons = {act["reason"] for act in found["fixed"]}
    assert "the same bytes as IMG_0004.jpg; its caption differs" in reasons


def test_a_picture_of_which_only_the_mask_is_bad_stays(check, photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (40, 48)).save(masks / "00.png")
    Image.new("L", (40, 48), 255).save(masks / "01.png")
    (masks / "02.png").write_bytes(b"no picture")
    before = contents(photos)
    code, found = check(photos, "--fix", "--mask-dir", masks)
    assert (code, found["fixed"]) == (0, [])
    assert contents(photos) == before
    why = {item["file"]: item["reason"] for item in found["rejected"]}
    assert why.keys() == {"00.png", "02.png"}
    assert why["00.png"].startswith("its mask 00.png is black everywhere")
    assert why["02.png"].startswith("its mask cannot be used")


def test_a_clean_caption_without_an_end_of_line_is_not_written_anew(check, photos):
    (photos / "00.txt").write_bytes(b"a dog")
    (photos / "01.txt").write_bytes(b"a dog\r\n")
    (photos / "02.txt").write_bytes(b"")
    before = contents(photos)
    assert check(photos, "--fix")[1]["fixed"] == []
    assert contents(photos) == before


def test_that_nothing_was_to_be_done_is_said(photos, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exit_code(["check", str(photos), "--fix"])
    assert "nothing was moved or written" in capsys.readouterr().out


def test_undo_overwrites_no_caption_that_was_changed_since(check, messy, capsys):
    check(messy, "--trigger", "sks", "--fix")
    (messy / "IMG_0002.txt").write_text("written by hand")
    assert exit_code(["check", str(messy), "--trigger", "sks", "--undo"]) == 1
    assert "was changed since" in capsys.readouterr().err
    assert (messy / "IMG_0002.txt").read_text() == "written by hand"


def test_undo_overwrites_no_picture_that_is_there_now(check, messy, capsys):
    check(messy, "--trigger", "sks", "--fix")
    (messy / "IMG_0007.HEIC").write_bytes(b"another")
    assert exit_code(["check", str(messy), "--trigger", "sks", "--undo"]) == 1
    assert "there is another file of this name now" in capsys.readouterr().err
    assert (messy / "IMG_0007.HEIC").read_bytes() == b"another"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fix-dir", "x"], "fix_dir would have no effect"),
        (["--fix", "--undo"], "contradict each other"),
        (["--undo"], "no journal.jsonl in it"),
        (["--report", "page.txt"], "must end in .html"),
        (["--report", "nowhere/page.html"], "there is no folder nowhere"),
    ],
)
def test_flags_that_cannot_be_are_refused(photos, capsys, flags, said):
    assert exit_code(["check", str(photos), *flags]) in {1, 2}
    assert said in capsys.readouterr().err


def test_the_folder_aside_does_not_lie_among_the_pictures(photos, capsys):
    assert exit_code(["check", str(photos), "--fix", "--fix-dir", str(photos / "aside")]) == 2
    assert "lies among the pictures" in capsys.readouterr().err

"""A folder, checked: what is found in it, what is said of it, and whether it can be trained on."""

import json
import tarfile

import pytest
from PIL import Image

from scumble.cli.app import exit_code

ISSUE_KEYS = {"layout", "kept", "rejected", "captions", "duplicates", "buckets", "plan"}


def reasons(found):
    return {item["file"]: item["reason"] for item in found["rejected"]}


def hints(found):
    return {item["file"]: {hint["kind"] for hint in item["hints"]} for item in found["hints"]}


def test_a_phones_folder_is_told_file_by_file(check, phone):
    code, found = check(phone, "--trigger", "sks flower", "--resolution", 256)
    assert code == 0
    assert found["usable"]
    assert found.keys() >= ISSUE_KEYS
    assert (found["layout"], found["kept"]) == ("flat", 8)
    why = reasons(found)
    assert "truncated" in why.pop("IMG_0006.jpg")
    assert why == {"IMG_0007.HEIC": ".heic pictures are not read: save it as PNG or JPEG"}
    assert hints(found) == {
        "IMG_0003.jpg": {"blurred"},
        "IMG_0008.jpg": {"uniform", "dark"},
        "panorama 全景.png": {"elongated"},
    }
    assert found["exact_duplicates"] == [["IMG_0004.jpg", "copy of 花.jpg"]]
    assert found["duplicates"] == [
        ["IMG_0004.jpg", "copy of 花.jpg"],
        ["IMG_0004.jpg", "IMG_0005.jpg", "copy of 花.jpg"],
    ]


def test_sizes_are_of_the_upright_picture_and_every_picture_has_a_bucket(check, phone):
    _, found = check(phone, "--trigger", "sks", "--resolution", 256)
    assert sum(bucket["pictures"] for bucket in found["buckets"]) == found["kept"]
    upright = Image.open(phone / "IMG_0001.JPG").size
    assert upright == (427, 640)
    sizes = [tuple(bucket["size"]) for bucket in found["buckets"]]
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


def test_nothing_among_the_pictures_is_touched_and_the_page_holds_itself(check, phone, tmp_path):
    before = {path: path.read_bytes() for path in phone.iterdir()}
    _, found = check(phone, "--trigger", "sks")
    assert {path: path.read_bytes() for path in phone.iterdir()} == before
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    assert "copy of 花.jpg" in page
    assert "truncated" in page
    assert page.count("data:image/jpeg;base64,") >= 8
    assert "http" not in page.replace("data:", "")


def test_missing_captions_make_a_folder_unusable_and_it_is_told_all_the_same(check, phone, tmp_path):
    (phone / "IMG_0001.txt").write_text("a temple", encoding="utf-8")
    code, found = check(phone)
    assert code == 1
    assert not found["usable"]
    assert len(found["captions"]["missing"]) == 7
    assert "no caption: 7 pictures" in found["problems"][0]
    assert found["plan"] == {"missing": "the pictures are not ready for training"}
    assert "not usable" in (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "a.png").write_bytes(b"")])
def test_a_folder_without_a_picture_is_not_usable(check, tmp_path, make):
    folder = tmp_path / "empty"
    folder.mkdir()
    make(folder)
    code, found = check(folder, "--trigger", "sks")
    assert (code, found["usable"], found["kept"]) == (1, False, 0)
    assert found["problems"]


def test_a_folder_that_is_not_there_is_an_error(capsys, tmp_path):
    assert exit_code(["check", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_to_programs_too(check, tmp_path):
    for flags in ([tmp_path / "nowhere"], ["--dataset-name", tmp_path / "nowhere"]):
        code, found = check(*flags)
        assert (code, found["usable"], found["report"]) == (1, False, None)
        assert "nowhere" in found["problems"][0]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_page_that_cannot_be_written_is_said_before_anything_is_looked_at(capsys, photos, tmp_path, monkeypatch):
    def forbidden(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.TemporaryFile", forbidden)
    assert exit_code(["check", str(photos)]) == 2
    ended = capsys.readouterr()
    said = ended.err.replace("\n", " ")
    assert f"cannot be written to {tmp_path} (Permission denied); give --report another place" in said
    assert ended.out == ""


def test_masks_are_counted_and_those_of_no_picture_named(check, photos, tmp_path, capsys):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("00.png", "01.png", "somebody.png"):
        Image.new("L", (40, 48), 255).save(masks / name)
    _, found = check(photos, "--mask-dir", masks)
    assert found["masked"] == 2
    assert any("1 file there is of no picture (somebody.png)" in text for text in found["warnings"])
    exit_code(["check", str(photos), "--mask-dir", str(masks)])
    assert "2 of 12 pictures; of the others all counts" in capsys.readouterr().out
    assert check(photos)[1]["masked"] is None


def test_pictures_are_named_with_their_folder(check, tmp_path, photographs):
    for name in ("cats", "dogs"):
        (tmp_path / "set" / name).mkdir(parents=True)
        photographs[0].save(tmp_path / "set" / name / "a.png")
        (tmp_path / "set" / name / "a.txt").write_text("" if name == "dogs" else "a cat")
    _, found = check(tmp_path / "set")
    assert "the same bytes: 1 group of pictures (cats/a.png, dogs/a.png)" in found["warnings"]
    assert "the same bytes, but other captions: 1 group of pictures (cats/a.png, dogs/a.png)" in found["warnings"]
    assert "empty caption: 1 picture (dogs/a.png)" in found["warnings"]


def test_of_several_groups_the_first_is_named_and_the_rest_hinted_at(check, tmp_path, photographs):
    for name in ("cats", "dogs"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(2):
            photographs[number].save(tmp_path / "set" / name / f"{number}.png")
            (tmp_path / "set" / name / f"{number}.txt").write_text(name)
    _, found = check(tmp_path / "set")
    groups = "2 groups of pictures (cats/0.png, dogs/0.png; ...)"
    assert {f"the same bytes: {groups}", f"the same bytes, but other captions: {groups}"} <= set(found["warnings"])


def test_odd_tags_are_told_and_words_that_say_nothing_are_not_shown(check, photos, tmp_path):
    for path in photos.glob("*.txt"):
        path.write_text(f"a photo of sks dog {path.stem}")
    _, found = check(photos)
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    assert found["captions"]["words"]["of"] == 12
    assert "</b>sks</li>" in page
    assert "</b>of</li>" not in page
    for path in photos.glob("*.txt"):
        path.write_text("long hair, smile")
    (photos / "00.txt").write_text("Long_hair, smile, , smile")
    _, found = check(photos)
    (odd,) = found["captions"]["odd_tags"]
    assert (odd["file"], odd["signs"]) == ("00.png", ["'smile' twice", "an empty tag"])
    assert found["captions"]["spellings"] == [["long hair", "Long_hair"]]
    assert "1 tag in several spellings: 'long hair' and 'Long_hair'" in found["warnings"]
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    assert "long hair = Long_hair" in page


def test_the_table_of_sizes_keeps_its_lines_in_a_narrow_window(check, photos, tmp_path):
    _, found = check(photos)
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    sizes = page.split("<h2>Sizes</h2>")[1]
    assert sizes.lstrip().startswith('<div class="wide"><table>')
    assert ".wide { overflow-x: auto; } .wide td, .wide th { white-space: nowrap; }" in page


def test_nothing_is_said_twice(capsys, photos, tiny_base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in photos.glob("*.txt"):
        path.write_text(f"sks dog {path.stem}")
    (photos / "00.txt").write_text("a dog")
    (photos / "copy.png").write_bytes((photos / "03.png").read_bytes())
    (photos / "copy.txt").write_text("sks dog again")
    (photos / "broken.png").write_bytes(b"")
    (photos / "notes.md").write_bytes(b"x")
    flags = ["--trigger", "sks", "--base", str(tiny_base), "--no-probe", "--shuffle-caption"]
    assert exit_code(["check", str(photos), *flags]) == 0
    page = (tmp_path / "scumble-check.html").read_text(encoding="utf-8")
    would = page.split("<h3>Training would say</h3>")[1].split("</ul>")[0]
    assert "shuffle_caption has no effect" in would
    for words in ("copy.png", "trigger", "broken.png", "notes.md"):
        assert words not in would
    said = capsys.readouterr().out.replace("\n", " ")
    assert said.count("broken.png") == 1
    assert "shuffle_caption has no effect" in said
    assert "· 1 file is no picture: notes.md" in said


def test_a_caption_that_cannot_be_read_is_told_once(capsys, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (photos / "00.txt").write_bytes("un café".encode("latin-1"))
    assert exit_code(["check", str(photos)]) == 1
    ended = capsys.readouterr()
    assert (ended.out + ended.err).count("0xe9") == 1


def test_the_page_names_each_picture_of_a_caption_that_several_have(check, photos, tmp_path):
    _, found = check(photos)
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    several = page.split("<h3>Of several pictures each</h3>")[1]
    assert "00.png, 03.png, 06.png, ..." in several


def test_warnings_count_only_where_one_is_strict(check, photos):
    (photos / "05.txt").write_text("a dog", encoding="utf-8")
    assert check(photos, "--trigger", "sks dog", "--resolution", 32)[0] == 0
    code, found = check(photos, "--trigger", "sks dog", "--resolution", 32, "--strict")
    assert code == 1
    assert found["problems"] == []
    assert found["captions"]["without_trigger"] == ["05.png"]


def test_kohyas_folders_and_class_pictures_are_understood(check, tmp_path, photographs):
    for name, crop in {"img/10_sks flower/a": 0, "img/10_sks flower/b": 1, "reg/1_flower/c": 1}.items():
        path = tmp_path / "kohya" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photographs[crop].save(path)
    code, found = check(tmp_path / "kohya")
    assert (code, found["layout"], found["kept"]) == (0, "kohya", 3)
    assert found["exact_duplicates"] == [["img/10_sks flower/b.jpg", "reg/1_flower/c.jpg"]]
    assert found["captions"]["sources"] == {"words": 2}


def test_words_that_are_cut_off_are_named_without_a_base(check, photos):
    (photos / "03.txt").write_text("sks dog, " + "word " * 80 + "sun and moon", encoding="utf-8")
    _, found = check(photos, "--resolution", 32)
    (cut,) = found["captions"]["cut"]
    assert (cut["file"], cut["tokens"], cut["chunks"]) == ("03.png", 86, 2)
    assert cut["caption"].startswith("sks dog, word word")
    assert cut["unseen"] == "word " * 8 + "sun and moon"
    assert check(photos, "--resolution", 32, "--max-token-length", 150)[1]["captions"]["cut"] == []


def test_words_tell_the_same_as_the_page(capsys, phone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exit_code(["check", str(phone), "--trigger", "sks"]) == 0
    said = capsys.readouterr().out
    for words in ("usable", "8 pictures, 2 left out", "looks blurred: 1 picture (IMG_0003.jpg)", "scumble-check.html"):
        assert words in said


def test_the_page_never_lies_among_the_pictures(capsys, phone, monkeypatch):
    monkeypatch.chdir(phone)
    assert exit_code(["check", ".", "--trigger", "sks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(phone.with_name("scumble-check.html"))
    assert exit_code(["check", ".", "--trigger", "sks", "--report", "mine.html"]) == 2
    assert "lies among the pictures" in capsys.readouterr().err
    assert not list(phone.glob("*.html"))


def test_a_page_of_somebody_elses_is_not_replaced(capsys, phone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.html").write_text("<h1>mine</h1>")
    assert exit_code(["check", str(phone), "--trigger", "sks", "--report", "mine.html"]) == 2
    assert (tmp_path / "mine.html").read_text() == "<h1>mine</h1>"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--caption", "a dog"], "caption would have no effect"),
        (["--init-lora", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--resolution", "33"], "needs a multiple"),
    ],
)
def test_what_training_would_refuse_makes_it_unusable(check, photos, tiny_base, flags, said):
    code, found = check(photos, "--base", tiny_base, "--no-probe", *flags)
    assert code == 1
    (problem,) = found["problems"]
    assert problem.startswith("training would refuse it: ")
    assert said in problem
    assert said in found["plan"]["missing"]


def test_a_base_that_was_named_and_is_not_there_is_a_problem(check, photos):
    code, found = check(photos, "--base", "nowhere.safetensors")
    assert (code, found["usable"]) == (1, False)
    assert "there is no such file" in found["plan"]["missing"]
    (problem,) = found["problems"]
    assert problem.startswith("training would refuse it: ")
    assert "there is no such file" in problem


def test_a_base_that_was_named_says_how_large_pictures_should_be_though_they_are_not_ready(check, photos, tiny_base):
    (photos / "00.txt").unlink()
    _, found = check(photos, "--base", tiny_base, "--no-probe")
    assert found["plan"]["missing"] == "the pictures are not ready for training"
    assert not any("small" in kinds for kinds in hints(found).values())
    _, found = check(photos, "--base", "nowhere.safetensors")
    assert any("nowhere.safetensors" in problem for problem in found["problems"])


def test_without_a_base_nothing_is_fetched_and_the_plan_says_why(check, photos):
    code, found = check(photos)
    assert code == 0
    assert "no base is named" in found["plan"]["missing"]


def test_names_and_captions_cannot_break_the_page(check, tmp_path, photographs):
    folder = tmp_path / "a & <b>"
    folder.mkdir()
    photographs[0].save(folder / '"x" & <i>.png')
    (folder / '"x" & <i>.txt').write_text("<script>alert(1)</script> & \u200b</del>", encoding="utf-8")
    _, found = check(folder)
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in page
    assert "<title>a &amp; &lt;b&gt;: checked</title>" in page


def test_a_page_of_many_pictures_shows_some_and_counts_the_rest(check, tmp_path, photographs):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(260):
        photographs[0].crop((index, index // 2, index + 40, index // 2 + 40)).save(folder / f"{index:03d}.png")
    _, found = check(folder, "--trigger", "sks", "--resolution", 32)
    page = (tmp_path / "here" / found["report"]).read_text(encoding="utf-8")
    assert found["kept"] == 260
    assert "20 more pictures are not shown here; --json lists all." in page
    assert page.count("<img ") < 600


def test_a_dataset_is_checked_as_the_folder_that_it_becomes(check, tmp_path, tiny_base, photographs):
    with tarfile.open(tmp_path / "flowers.tar", "w") as archive:
        for index, image in enumerate(photographs):
            path = tmp_path / f"{index}.png"
            image.save(path)
            path.with_suffix(".txt").write_text(f"sks number {index}")
            for each in (path, path.with_suffix(".txt")):
                archive.add(each, each.name)
    code, found = check("--dataset-name", tmp_path / "flowers.tar", "--base", tiny_base, "--no-probe")
    assert (code, found["kept"], found["problems"]) == (0, 2, [])
    assert found["folder"] == str(tmp_path / "flowers.tar")
    assert found["plan"]["training"] == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [([], "no folder of pictures"), (["--dataset-name", "x.tar", "--fix"], "a dataset stays as it is")],
)
def test_pictures_must_be_named_and_a_dataset_is_not_put_in_order(capsys, flags, said):
    assert exit_code(["check", *flags]) == 2
    assert said in capsys.readouterr().err

"""Caption files as people have them: each is read exactly, or is an error that names the file and what to do."""

import pytest

from scumble.data.scan import scan_folder

EXACT = {
    "UTF-8": (b"a dog", "a dog"),
    "UTF-8 with a mark": (b"\xef\xbb\xbfa dog", "a dog"),
    "UTF-16, little end first": ("a dog, 犬".encode("utf-16"), "a dog, 犬"),
    "UTF-16, big end first": (b"\xfe\xff" + "a dog".encode("utf-16-be"), "a dog"),
    "lines of Windows": (b"a dog\r\non grass\r\n", "a dog on grass"),
    "lines of old Macs": (b"a dog\ron grass", "a dog on grass"),
    "blanks around and within": (b"  a \t dog  \n\n", "a dog"),
    "Chinese": ("一只可爱的小狗，在草地上".encode(), "一只可爱的小狗，在草地上"),
    "Arabic": ("كلب على العشب".encode(), "كلب على العشب"),
    "emoji of several signs": ("a family 👨‍👩‍👧".encode(), "a family 👨‍👩‍👧"),
    "a blank that does not break": ("a\u00a0dog".encode(), "a dog"),
    "brackets, weights and quotes": (b'(sks dog:1.2), [grass] "nice" \\(tail\\) <b>', '(sks dog:1.2), [grass] "nice" \\(tail\\) <b>'),
    "an empty file": (b"", ""),
    "only blanks": (b" \n\n", ""),
    "a very long one": (b"word " * 20_000, ("word " * 20_000).strip()),
}  # fmt: skip
ERRORS = {
    "Latin-1": ("un café".encode("latin-1"), "found byte 0xe9"),
    "GBK": ("一只小狗".encode("gbk"), "expected UTF-8"),
    "Shift-JIS": ("小さな犬".encode("shift-jis"), "expected UTF-8"),
    "UTF-16 without a mark": ("a dog".encode("utf-16-le"), "found zero bytes"),
    "UTF-32": ("a dog".encode("utf-32"), "found UTF-32 text"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "expected UTF-8"),
}


@pytest.fixture
def one(tmp_path, photographs):
    folder = tmp_path / "one"
    folder.mkdir()
    photographs[0].save(folder / "a.png")
    return folder


@pytest.mark.parametrize("case", EXACT)
def test_a_caption_is_read_exactly(check, one, case):
    content, text = EXACT[case]
    (one / "a.txt").write_bytes(content)
    code, found = check(one, "--resolution", 64)
    assert code == 0
    assert found["captions"]["sources"] == {"sidecar": 1}
    assert found["captions"]["empty"] == ([] if text else ["a.png"])
    assert scan_folder(one).examples[0].caption == text


@pytest.mark.parametrize("case", ERRORS)
def test_a_caption_that_cannot_be_read_is_named_and_the_folder_not_usable(check, one, case):
    content, said = ERRORS[case]
    (one / "a.txt").write_bytes(content)
    code, found = check(one)
    assert code == 1
    assert found["captions"]["unreadable"] == ["a.png"]
    assert said in found["problems"][0]
    assert "a.txt" in found["problems"][0]


def test_two_texts_that_differ_are_an_error_and_two_that_agree_are_not(check, one):
    (one / "a.txt").write_text("a dog")
    (one / "a.caption").write_text("a dog\n")
    assert check(one)[0] == 0
    (one / "a.caption").write_text("a cat")
    code, found = check(one)
    assert code == 1
    assert "a.caption differ: keep one of them" in found["problems"][0]

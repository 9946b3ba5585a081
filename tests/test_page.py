"""Pages: what stands in each file that is opened in a browser."""

import pytest
from PIL import Image

from scumble.errors import ConfigError
from scumble.page import check_place, html_page, image_tag, items, mark_of, rows, section, thumbnail, tiles


def test_a_page_holds_all_that_it_shows():
    page = html_page("a < b", section("Pictures", image_tag(b"\x89PNG", "png", 'a "cat"')), "check")
    assert mark_of("check") in page
    assert "<title>a &lt; b</title>" in page
    assert 'alt="a &quot;cat&quot;"' in page
    assert "http" not in page  # nothing is fetched


def test_what_a_person_wrote_is_never_markup():
    assert "<b>" not in items(["<b>"]) + "".join(tiles([("1", "x")]).split("<b>")[2:])
    assert section("<i>", "x").startswith("<h2>&lt;i&gt;</h2>")


def test_what_is_empty_leaves_nothing():
    assert (items([]), rows(["a"], []), section("Nothing", "", "")) == ("", "", "")


def test_a_thumbnail_is_small_and_leaves_the_picture_alone():
    image = Image.new("RGB", (300, 100), "red")
    assert thumbnail(image, 60)[:2] == b"\xff\xd8"
    assert image.size == (300, 100)


def test_a_page_of_another_command_is_not_written_over(tmp_path):
    page = tmp_path / "page.html"
    check_place(page, "report", "check")
    page.write_text(html_page("x", "", "check"))
    check_place(page, "report", "check")
    with pytest.raises(ConfigError, match=r"something that compare did not write; give --out another name"):
        check_place(page, "out", "compare")
    with pytest.raises(ConfigError, match="there is no folder"):
        check_place(tmp_path / "nowhere" / "page.html", "report", "check")

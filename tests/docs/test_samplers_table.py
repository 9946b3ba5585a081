from pathlib import Path

from scripts import load_script
from scumble.generate.samplers import SAMPLERS

ROOT = Path(__file__).parents[2]


def test_the_page_of_samplers_shows_the_newest_measurement():
    script = load_script(ROOT / "docs" / "make_samplers_table.py")
    page = script.PAGE.read_text(encoding="utf-8")
    assert page == script.page()
    assert all(f"| {name} |" in page for name in SAMPLERS)


def test_all_samplers_were_measured_with_what_the_page_calls_the_same():
    result = load_script(ROOT / "docs" / "make_samplers_table.py").newest()
    off = {
        (row["sampler"], key)
        for row in result["samplers"]
        for key, value in row.items()
        if key.startswith("webui") and value >= 1e-4
    }
    assert off == {("UniPC", "webui v_prediction")}
    assert all(value < 1e-4 for row in result["samplers"] for value in row.get("schedules", {}).values())

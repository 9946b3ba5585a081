import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from scumble.compare.draw import unfinished
from scumble.compare.events import Drawn, LaidOut, PageWritten
from scumble.compare.run import compare
from scumble.config import CompareConfig
from scumble.errors import ConfigError, ScumbleError
from scumble.families.find import open_base
from scumble.files.read import read_lora, write_lora
from scumble.generate.events import Composed, Noted
from scumble.generate.infotext import read_recipes
from scumble.generate.painter import Painter


def kept_cells(folder):
    """Recipe -> pixels of every picture in a folder."""
    return {read_recipes(path)[0]: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def pen(tmp_path, ink):
    path = tmp_path / "pen.safetensors"
    path.write_bytes(ink.read_bytes())
    return path


def test_every_cell_is_what_its_recipe_draws(tmp_path, config, tiny_base, ink, pen):
    folder = tmp_path / "cells"
    list(compare(config(plane=(ink, pen), weights="0-1 [2]", z="seed: 1, 2", cells=folder)))
    cells = kept_cells(folder)
    assert len(cells) == 8
    base = open_base(str(tiny_base))
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    for path in (ink, pen):
        painter.add_lora(path.stem, read_lora(path, base.layer_paths()))
    for recipe, pixels in cells.items():
        (picture,) = painter.paint([recipe])
        assert np.array_equal(np.asarray(picture.image), pixels)


def test_equal_recipes_are_drawn_once(config, ink):
    events = list(compare(config(lora=(ink,), y="weight: 0.5, 1, 2")))
    [laid] = of(events, LaidOut)
    assert (laid.columns, laid.rows, laid.pictures) == (2, 3, 4)  # the base's column is one picture
    assert [event.done for event in of(events, Drawn)] == [1, 2, 3, 4]


def test_a_grid_that_was_stopped_goes_on_and_ends_the_same(tmp_path, config, tiny_base):
    settings = {"x": "seed: 1-4", "base": str(tiny_base)}
    stopped = config(**settings)
    running = compare(stopped)
    while not (isinstance(event := next(running), Drawn) and event.done == 2):
        pass
    running.close()
    assert len(list(unfinished(stopped.out).glob("*.png"))) == 2
    events = list(compare(stopped))
    assert [(event.pictures, event.kept) for event in of(events, LaidOut)] == [(4, 2)]
    assert len(of(events, Drawn)) == 2
    assert not unfinished(stopped.out).exists()
    at_once = config(**settings, out=tmp_path / "at-once.png")
    list(compare(at_once))
    assert np.array_equal(np.asarray(Image.open(stopped.out)), np.asarray(Image.open(at_once.out)))


def test_nothing_kept_is_taken_for_other_settings_or_another_base(tmp_path, config, narrow_base, tiny_base):
    folder = tmp_path / "cells"
    kept = {"x": "seed: 1-2", "cells": folder, "base": str(tiny_base)}
    list(compare(config(**kept)))
    assert [event.kept for event in of(compare(config(**kept)), LaidOut)] == [2]
    assert [event.kept for event in of(compare(config(**{**kept, "steps": 3})), LaidOut)] == [0]
    (folder / "old.png").write_bytes(b"not a picture")
    assert [event.kept for event in of(compare(config(**kept, guidance_scale=2)), LaidOut)] == [0]


def test_a_lora_that_does_not_fit_a_base_is_a_cell_that_says_so(config, tiny_base, narrow_base, ink):
    settings = config(lora=(ink,), y=f"base: {tiny_base}, {narrow_base}")
    events = list(compare(settings))
    warnings = [note.text for note in of(events, Noted) if note.warning]
    assert len(warnings) == 1 and warnings[0].startswith("1 cell of 4 could not be drawn: ink: ")
    assert len(read_recipes(settings.out)) == 3
    page = settings.out.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count('<div class="failed">ink: ') == 1
    assert page.count('<button class="cell">') == 3


def test_a_base_says_below_its_name_how_it_is_related(config, tiny_base, ink):
    settings = config(lora=(ink,), y=f"base: {tiny_base}")
    list(compare(settings))
    page = settings.out.with_suffix(".html").read_text(encoding="utf-8")
    assert re.search(rf"<th scope=row>{tiny_base.name}\n(kinship unknown|the base it was trained on)", page)
    assert "How the bases are related" in page


def test_a_value_with_which_nothing_can_be_drawn_is_refused_and_a_pair_is_a_cell_that_says_so(config, tiny_base):
    with pytest.raises(ConfigError, match="width=36: must be a multiple of 8"):
        list(compare(config(x="size: 32, 36", base=str(tiny_base))))
    settings = config(x="sampler: LCM, Euler", y="steps: 2, 60", base=str(tiny_base))
    plain = {key: value for key, value in settings.model_dump(exclude_unset=True).items() if key != "steps"}
    events = list(compare(type(settings)(**plain)))
    [warning] = [note.text for note in of(events, Noted) if note.warning]
    assert warning == "1 cell of 4 could not be drawn: steps=60: sampler LCM takes 1 to 50 steps"


def test_a_schedule_is_that_of_every_cell_whose_sampler_takes_it(config, tiny_base):
    with pytest.raises(ConfigError, match="schedule=Karras would have no effect: DDIM has timesteps of its own"):
        list(compare(config(x="sampler: DDIM, Euler", schedule="karras", base=str(tiny_base))))
    settings = config(x="sampler: Euler, DPM++ 2M SGM Uniform", y="schedule: Automatic, Karras", base=str(tiny_base))
    events = list(compare(settings))
    [warning] = [note.text for note in of(events, Noted) if note.warning]
    assert "1 cell of 4 could not be drawn" in warning and "two schedules" in warning
    samplers = [recipe.sampler for recipe in read_recipes(settings.out)]
    assert samplers == ["Euler", "DPM++ 2M SGM Uniform", "Euler Karras"]


def test_where_no_cell_can_be_drawn_nothing_is_written(config, tiny_base, ink):
    settings = config(lora=(ink,), x="lora: ink", weight=1e30, base=str(tiny_base))
    with pytest.raises(ScumbleError, match=r"1 cell of 1 could not be drawn: drawing with Euler a .* not finite"):
        list(compare(settings))
    assert not settings.out.exists()


def test_the_checkpoints_of_a_run_stand_in_the_order_of_their_steps(tmp_path, config, lora, tiny_base):
    run = tmp_path / "runs" / "photos"
    run.mkdir(parents=True)
    (run / "config.toml").write_text('[output]\nname = "photos"\n')
    for name, step in (("photos", 300), ("photos-best", 200), ("photos-000100", 100), ("photos-000200", 200)):
        write_lora(replace(lora, metadata={**lora.metadata, "ss_steps": str(step)}), run / f"{name}.safetensors")
    settings = config(x=f"checkpoint: {run}", base=str(tiny_base))
    list(compare(settings))
    page = settings.out.with_suffix(".html").read_text(encoding="utf-8")
    heads = re.findall("<th scope=col>([^<]*)</th>", page)
    assert heads == ["step 100", "step 200", "best: step 200", "final: step 300"]
    assert read_recipes(settings.out)[0].loras[0].name == "photos-000100"


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_base):
    """A page whose prompt is as bad for pages as can be."""
    out = tmp_path_factory.mktemp("page") / "grid.png"
    prompt = 'a "cat" </script><script>alert(1)</script> & <b>'
    settings = {"base": str(tiny_base), "steps": 2, "device": "cpu", "prompt": (prompt,)}
    events = list(compare(CompareConfig(**settings, x="seed: 1-3", y="cfg: 1, 7", z="sampler: Euler, DDIM", out=out)))
    assert [event.path for event in of(events, PageWritten)] == [out.with_suffix(".html")]
    assert [event.path for event in of(events, Composed)] == [out]
    return out.with_suffix(".html").read_text(encoding="utf-8")


def test_the_page_stands_alone(page):
    assert not re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"' >]""", page)
    assert "http" not in page.split("<body>")[0] and "@import" not in page and "fetch(" not in page
    assert "<script>alert" not in page and "<b>" not in page


def test_the_page_has_every_picture_with_its_recipe(page):
    spots = re.findall(r'data-spot="(\d+-\d+-\d+)"><button class="cell"><img alt="([^"]*)" src="data:image/png', page)
    assert len(spots) == len(set(spots)) == 3 * 2 * 2
    facts = json.loads(re.search(r'id="cells">(.*?)</script>', page)[1])
    assert facts.keys() == {spot for spot, _ in spots}
    assert facts["2-1-0"]["labels"] == ["seed 3", "cfg 7", "Euler"]
    assert (
        "<script>alert(1)</script> & <b>\nSteps: 2, Sampler: Euler, Schedule type: Automatic, CFG scale: 7, Seed: 3"
        in facts["2-1-0"]["recipe"]
    )
    assert len({dict(fact["facts"])["Hash"] for fact in facts.values()}) == 12


def test_every_place_the_script_looks_for_is_in_the_page(page):
    script = page.split("<script>")[-1]
    wanted = set(re.findall(r'(?:byId|getElementById)\("([\w-]+)"\)', script))
    assert len(wanted) > 10
    assert {name for name in wanted if f'id="{name}"' not in page} == set()


def test_something_else_under_the_pages_name_is_not_written_over(tmp_path, config, tiny_base):
    settings = config(x="seed: 1, 2", base=str(tiny_base))
    page = settings.out.with_suffix(".html")
    page.parent.mkdir(parents=True)
    page.write_text("mine")
    with pytest.raises(ConfigError, match="something that compare did not write"):
        list(compare(settings))
    assert page.read_text() == "mine"

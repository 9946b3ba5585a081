"""Many prompts in a text file, each with settings of its own."""

import pytest

from scumble.config import GenerateConfig, from_values
from scumble.errors import ConfigError
from scumble.generate.events import Noted, Painted
from scumble.generate.prompts_file import read_prompts, wishes
from scumble.generate.run import generate


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "prompts.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_line_is_a_prompt_with_kohyas_options_or_ours(write):
    path = write(
        "\ufeff# three prompts\n\na dog --n blurry, bad --w 512 --h 768 --d 7 --s 20 --l 7.5 --ss DDIM\n"
        "a cat--like thing, -- and -1 --guidance-scale 3 --clip_skip 2 --negative-prompt red\n  plain  \n"
    )
    first, second, third = read_prompts(path).values()
    assert first == {
        "prompt": "a dog",
        "negative_prompt": "blurry, bad",
        "width": 512,
        "height": 768,
        "seed": 7,
        "steps": 20,
        "guidance_scale": 7.5,
        "sampler": "DDIM",
    }
    assert second == {
        "prompt": "a cat--like thing, -- and -1",
        "guidance_scale": 3.0,
        "clip_skip": 2,
        "negative_prompt": "red",
    }
    assert third == {"prompt": "plain"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a dog --q 3", r"prompts\.txt, line 2: unknown option '--q'"),
        ("a dog --widht 64", "line 2: unknown option '--widht': did you mean 'width'"),
        ("a dog --w wide", "line 2: width='wide': must be a whole number"),
        ("a dog --w 8", "line 2: width='8': must be 16 or more"),
        ("a dog --w", "line 2: --w has no value"),
        ("a dog --w 64 --width 32", "line 2: width is said twice"),
    ],
)
def test_a_line_that_cannot_be_is_named_by_its_number(write, line, said):
    with pytest.raises(ConfigError, match=said):
        read_prompts(write(f"fine\n{line}\n"))


def test_a_file_without_prompts_or_none_at_all_is_an_error(write, tmp_path):
    with pytest.raises(ConfigError, match="there is no prompt in it"):
        read_prompts(write("# nothing\n\n"))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_prompts(tmp_path / "gone.txt")
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ConfigError, match="is not text in UTF-8"):
        read_prompts(tmp_path / "odd.txt")


def test_a_lines_own_settings_go_before_the_commands(write):
    config = GenerateConfig(prompts_file=write("one --s 9 --d 4\ntwo\n"), steps=5, seeds=(1, 2), negative_prompt="red")
    first, second = (wish.settings for wish in wishes(config))
    assert (first.steps, first.seed, first.seeds, first.negative_prompt) == (9, 4, (), "red")
    assert (second.steps, second.seeds) == (5, (1, 2))


@pytest.fixture
def config(tmp_path, tiny_base):
    plain = {
        "base": str(tiny_base),
        "steps": 2,
        "device": "cpu",
        "out": tmp_path / "out",
        "runs_dir": tmp_path / "runs",
    }
    return lambda **settings: GenerateConfig(**{**plain, **settings})


def painted(config):
    return [event for event in generate(config) if isinstance(event, Painted)]


def test_every_prompt_is_drawn_with_its_loras_and_seeds(write, config, ink_file):
    path = write("a <lora:ink:0.5> dog\na cat --d 3\na <lora:ink:0.25:1> dog --w 40\n")
    events = painted(config(prompts_file=path, seeds=(1, 9), batch_size=2))
    drawn = [
        (event.recipe.prompt, event.recipe.seed, [lora.tag for lora in event.recipe.loras], event.image.size)
        for event in events
    ]
    assert drawn == [
        ("a dog", 1, ["<lora:ink:0.5>"], (32, 32)),
        ("a dog", 9, ["<lora:ink:0.5>"], (32, 32)),
        ("a cat", 3, [], (32, 32)),
        ("a dog", 1, ["<lora:ink:0.25:1>"], (40, 32)),
        ("a dog", 9, ["<lora:ink:0.25:1>"], (40, 32)),
    ]
    assert [event.total for event in events] == [5] * 5


def test_a_line_that_is_drawn_with_its_own_seed_alone_is_named(write, config):
    path = write("a dog\na cat --d 3\n")
    notes = [event.text for event in generate(config(prompts_file=path, seeds=(1, 9))) if isinstance(event, Noted)]
    assert [note for note in notes if "seed" in note] == [
        f"{path}, line 2: drawn with its own seed, 3, and not with those of --seeds"
    ]


def test_a_given_lora_counts_in_every_prompt_that_does_not_name_it(write, config, ink_file):
    path = write("a dog\na dog <lora:ink:0.5>\n")
    first, second = painted(config(prompts_file=path, lora=(ink_file,)))
    assert [event.recipe.loras[0].tag for event in (first, second)] == ["<lora:ink:1>", "<lora:ink:0.5>"]
    assert first.recipe.loras[0].hash == second.recipe.loras[0].hash != ""


def test_prompts_of_equal_settings_share_a_batch(write, config):
    path = write("one\ntwo\nthree --w 40\nfour --w 40\n")
    events = painted(config(prompts_file=path, batch_size=4))
    assert [(event.made.batch_size, event.made.batch_place) for event in events] == [(2, 0), (2, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nothing to draw: give a prompt, or prompts_file"),
        ({"prompt": "one", "prompts_file": "two.txt"}, "give a prompt or prompts_file, not both"),
        ({"prompt": "one", "seeds": (1, 2), "n": 3}, "n would have no effect: it needs seeds left out"),
        ({"prompt": "one", "seeds": (1, 2), "seed": 3}, "seed would have no effect: it needs seeds left out"),
        ({"prompt": "one", "seeds": (7, 1, 7)}, "seeds: 7 is given twice"),
        ({"prompt": "one", "denoising_strength": 0.5}, "denoising_strength would have no effect: it needs image"),
        ({"prompt": "one", "hires_steps": 5}, "hires_steps would have no effect: it needs hires_scale"),
        (
            {"prompt": "one", "image": "a.png", "hires_scale": 2},
            "hires_scale would have no effect: it needs image left",
        ),
        ({"prompt": "one", "strip": True, "hires_scale": 2}, "strip would have no effect"),
    ],
)
def test_settings_without_effect_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        GenerateConfig(**settings)


def test_an_odd_seed_of_a_list_is_named_by_the_list():
    with pytest.raises(ConfigError, match="seeds='1,2': must be a whole number"):
        from_values(GenerateConfig, {"prompt": "one", "seeds": ("1,2",)})


def test_a_line_of_options_without_a_prompt_is_an_error(write):
    with pytest.raises(ConfigError, match="line 2: there is no prompt before its options"):
        read_prompts(write("fine\n--n only\n"))


@pytest.mark.parametrize(
    ("line", "says"),
    [("a dog --ss Eulr", "unknown sampler"), ("a dog --l 1 --n red", "no effect"), ("a dog --w 63", "width")],
)
def test_what_cannot_be_drawn_names_its_line(write, config, line, says):
    with pytest.raises(ConfigError, match=f"line 2: .*{says}"):
        painted(config(prompts_file=write(f"fine\n{line}\n")))

import pytest

from scumble.compare.layout import lay_out
from scumble.config import CompareConfig
from scumble.errors import ConfigError


@pytest.fixture
def files(tmp_path):
    """LoRA files that nobody reads."""
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("ink", "pen", "wash")}
    for path in paths.values():
        path.write_bytes(b"")
    return paths


@pytest.fixture
def laid(files):
    """The layout of settings; --lora by names of the files."""

    def lay(lora=(), prompt=("a cat on a red mat",), **settings):
        paths = tuple(files[name] for name in lora)
        given = {"prompt": prompt} if prompt else {}
        return lay_out(CompareConfig(lora=paths, **given, **settings))

    return lay


def labels(axis):
    return [choice.label for choice in axis.choices]


def along(layout, side, what):
    """A fact of the cells along one side, the others at their first value."""
    spots = sorted(spot for spot in layout.drafts if not any(at for index, at in enumerate(spot) if index != side))
    return [what(layout.drafts[spot]) for spot in spots]


def weights(draft):
    return {lora.name: lora.weight for lora in draft.loras}


def test_loras_alone_stand_beside_the_base_and_prompts_below_each_other(laid):
    layout = laid(lora=("ink", "pen"), prompt=("a cat", "a dog"), n=2)
    assert labels(layout.x) == ["base", "ink", "pen"]
    assert labels(layout.y) == ["a cat\nseed 1025", "a cat\nseed 1026", "a dog\nseed 1025", "a dog\nseed 1026"]
    assert along(layout, 0, weights) == [{}, {"ink": 1.0}, {"pen": 1.0}]
    assert along(layout, 1, lambda draft: (draft.prompt, draft.seed))[-1] == ("a dog", 1026)


PLAIN = [
    ("steps: 10-30 (+10)", "steps", [10, 20, 30], ["10 steps", "20 steps", "30 steps"]),
    ("CFG Scale: 1, 7.5", "guidance_scale", [1, 7.5], ["cfg 1", "cfg 7.5"]),
    ("clip skip: 1-2", "clip_skip", [1, 2], ["clip skip 1", "clip skip 2"]),
    ("seed: 5-6", "seed", [5, 6], ["seed 5", "seed 6"]),
    ("schedule type: karras, sgm_uniform", "schedule", ["Karras", "SGM Uniform"], ["Karras", "SGM Uniform"]),
    ("sampler: euler A, dpm++ 2m", "sampler", ["Euler a", "DPM++ 2M"], ["Euler a", "DPM++ 2M"]),
    ("size: 512, 512x768", "size", [(512, 512), (512, 768)], ["512 x 512", "512 x 768"]),
    ("negative prompt: , blurry", "negative_prompt", ["", "blurry"], ["nothing negative", "not: blurry"]),
    ("Checkpoint name: some/base, b/other.safetensors", "base", ["some/base", "b/other.safetensors"], None),
    ("s/r: red, blue, ", "prompt", [f"a cat on a {it} mat" for it in ("red", "blue", "")], ["red", "blue", "(no red)"]),
]


@pytest.mark.parametrize(("axis", "field", "values", "said"), PLAIN)
def test_an_axis_changes_one_thing_and_says_it(laid, axis, field, values, said):
    layout = laid(x=axis)
    assert along(layout, 0, lambda draft: getattr(draft, field)) == values
    assert said is None or labels(layout.x) == said
    first, *others = (vars(draft) for draft in layout.drafts.values())
    assert all(other.keys() == first.keys() for other in others)
    assert {key for other in others for key in other if other[key] != first[key]} == {field}


def test_whole_prompts_stand_on_an_axis_in_quotes(laid):
    layout = laid(prompt=(), x='prompt: "a cat, sitting", a dog')
    assert along(layout, 0, lambda draft: draft.prompt) == ["a cat, sitting", "a dog"]


def test_search_and_replace_reaches_every_prompt_and_the_negative_one(laid):
    layout = laid(prompt=("a red cat", "red"), negative_prompt="red sky", x="prompt s/r: red, green")
    assert along(layout, 0, lambda draft: (draft.prompt, draft.negative_prompt))[1] == ("a green cat", "green sky")
    assert layout.drafts[1, 1, 0].prompt == "green"


def test_a_weight_is_that_of_all_loras_or_of_one(laid):
    both = laid(lora=("ink", "pen"), x="weight: 0-1 [3]")
    assert along(both, 0, weights)[1] == {"ink": 0.5, "pen": 0.5}
    one = laid(lora=("ink", "pen"), x="weight pen: 0-1 [3]", weight=0.8)
    assert along(one, 0, weights) == [{"ink": 0.8, "pen": weight} for weight in (0, 0.5, 1)]
    assert labels(one.x) == ["pen 0", "pen 0.5", "pen 1"]


def test_a_weight_that_all_loras_have_is_said_of_each_and_not_of_the_base(laid, files):
    loras = f"lora: {files['pen']}, none, ink"
    for side in ("x", "y"):
        layout = laid(lora=("ink",), weight=0.5, **{side: loras})
        assert labels(getattr(layout, side)) == ["pen at 0.5", "base", "ink at 0.5"]


def test_rows_of_weights_stand_beside_a_column_of_each_lora(laid):
    layout = laid(lora=("ink", "pen"), y="weight: 0.5, 1")
    assert labels(layout.x) == ["base", "ink", "pen"]
    assert [weights(layout.drafts[2, row, 0]) for row in (0, 1)] == [{"pen": 0.5}, {"pen": 1.0}]


def test_a_lora_axis_takes_names_paths_and_sums_and_the_others_stay_in_every_cell(laid, files):
    layout = laid(lora=("ink", "wash"), x=f"lora: none, ink, {files['pen']}, ink + {files['pen']}")
    assert labels(layout.x) == ["without", "ink", "pen", "ink + pen"]
    assert [list(each) for each in along(layout, 0, weights)] == [
        ["wash"], ["wash", "ink"], ["wash", "pen"], ["wash", "ink", "pen"],
    ]  # fmt: skip


def test_a_plane_is_two_loras_each_along_one_side(laid, files):
    layout = laid(plane=(files["ink"], files["pen"]), weights="0-1 [3]", z="seed: 1, 2")
    assert (labels(layout.x), labels(layout.y)) == (["ink 0", "ink 0.5", "ink 1"], ["pen 0", "pen 0.5", "pen 1"])
    assert weights(layout.drafts[2, 1, 0]) == {"ink": 1.0, "pen": 0.5}
    assert {draft.seed for spot, draft in layout.drafts.items() if spot[2] == 1} == {2}


def test_a_plane_without_weights_is_refused(laid, files):
    with pytest.raises(ConfigError, match="no values"):
        laid(plane=(files["ink"], files["pen"]), weights="")


def test_prompts_take_the_side_that_is_free(laid):
    assert labels(laid(prompt=("a", "b"), y="seed: 1, 2").x) == ["a", "b"]
    assert labels(laid(prompt=("a", "b"), x="cfg: 3", y="seed: 1, 2").z) == ["a", "b"]
    with pytest.raises(ConfigError, match="2 prompts and seeds, but x, y and z are all taken"):
        laid(prompt=("a", "b"), x="cfg: 3", y="seed: 1, 2", z="steps: 3, 4")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"x": "wieght: 1"}, "unknown axis 'wieght': did you mean 'weight'"),
        ({"x": "steps"}, "no values; write the kind, a colon and a list"),
        ({"x": "steps: 0, 5"}, "x='steps: 0, 5': steps=0: must be 1 or more"),
        ({"x": "cfg: 7, 7.0"}, "'cfg 7' is there twice"),
        ({"x": "sampler: Eular"}, "unknown sampler 'Eular'"),
        ({"x": "size: big"}, "a size is written 512x768"),
        ({"x": "s/r: blue, red"}, "'blue' is neither in the prompt"),
        ({"x": "s/r: red"}, "nothing is to take its place"),
        ({"x": "s/r: , red"}, "what is searched for comes first"),
        ({"x": "lora: paint", "lora": ("ink",)}, "LoRA 'paint' is no file, and not among those given"),
        ({"x": "checkpoint"}, "no run is named"),
        ({"x": "weight: 0, 1"}, "changes no cell"),
        ({"x": "weight: 0, 1", "y": "weight ink: 0, 1", "lora": ("ink",)}, "cannot vary together"),
        ({"x": "seed: 1, 2", "y": "seed: 3, 4"}, "cannot vary together"),
        ({"x": "lora", "y": "checkpoint: .", "lora": ("ink",)}, "cannot vary together|no run"),
        ({"x": "steps: 5, 6", "steps": 7}, "steps would have no effect: x='steps: 5, 6' says it"),
        ({"x": "seed: 5, 6", "n": 2}, "n would have no effect"),
        ({"x": "prompt: a, b"}, "prompt would have no effect"),
        ({"x": "weight: 0, 1", "weight": 0.5, "lora": ("ink",)}, "weight would have no effect"),
        ({"x": "seed: 1-100", "y": "steps: 1-100"}, "100 x 100 x 1 cells: at most"),
        ({"prompt": ("a", "a"), "x": "seed: 1, 2"}, "given twice; each prompt has one row"),
        ({"x": "s/r: red, <lora:ink:1>"}, "compare takes LoRAs by --lora only"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_opened(laid, settings, said):
    with pytest.raises(ConfigError, match=said):
        laid(**settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "prompt in .compare. must be given"),
        ({"prompt": ("a",)}, "nothing to compare: give --lora FILE, or an axis"),
        ({"prompt": ("a",), "weights": "0-1", "x": "seed: 1"}, "weights would have no effect: it needs plane"),
        ({"prompt": ("a",), "plane": ("a", "a")}, "a plane has two LoRAs"),
        ({"prompt": ("a",), "plane": ("a", "b"), "x": "seed: 1"}, "plane would have no effect"),
        ({"prompt": ("a",), "plane": ("a", "b"), "lora": ("b",)}, "lora=b: is on the plane already"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        lay_out(CompareConfig(**settings))

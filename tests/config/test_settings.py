"""One schema: what it refuses and how it says so, and that it goes to a file and back."""

import pytest

from scumble.cli.flags import flag_names, leaves
from scumble.config import TrainConfig, from_values, merged, read_toml, write_toml
from scumble.errors import ConfigError


def refusal(**values):
    with pytest.raises(ConfigError) as caught:
        from_values(TrainConfig, values)
    return str(caught.value)


def test_the_defaults_are_valid():
    assert from_values(TrainConfig, {}) == TrainConfig()


def test_settings_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        TrainConfig().adapter.rank = 3


def test_an_unknown_setting_names_the_nearest():
    assert refusal(adapter={"rnk": 4}) == "unknown setting 'rnk' in [adapter]: did you mean 'rank'?"


def test_the_nearest_is_named_as_it_is_called_here():
    assert "did you mean 'max_train_steps'" in refusal(training={"stepps": 3})


def test_an_unknown_section_names_the_nearest():
    assert refusal(adaptor={}) == "unknown setting 'adaptor' in the settings: did you mean 'adapter'?"


def test_a_setting_unlike_any_other_lists_what_there_is():
    text = refusal(adapter={"zzzz": 4})
    assert "known are algorithm, rank, alpha" in text or ("rank" in text and "alpha" in text)


@pytest.mark.parametrize("values", [{"rank": 4}, {"training": {"rank": 4}}])
def test_a_setting_in_the_wrong_section_names_the_right_one(values):
    assert refusal(**values).endswith(": 'rank' belongs in [adapter]")


def test_another_trainers_name_in_a_file_says_what_it_is_called():
    text = refusal(data={"train_data_dir": "photos"})
    assert text == "unknown setting 'train_data_dir' in [data]: it is called 'folder' here"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"adapter": {"rank": 0}}, "rank=0 in [adapter]: must be 1 or more"),
        ({"training": {"seed": -2}}, "seed=-2 in [training]: must be 0 or more"),
        (
            {"training": {"seed": -1}},
            "seed=-1 in [training]: must be 0 or more; it is never a random one here, so that everything can be made again",
        ),
        ({"adapter": {"rank": 2000}}, "rank=2000 in [adapter]: must be 1024 or less"),
        ({"adapter": {"rank": "four"}}, "rank='four' in [adapter]: must be a whole number"),
        ({"adapter": {"rank": 1.5}}, "rank=1.5 in [adapter]: must be a whole number"),
        ({"adapter": {"alpha": -8.0}}, "alpha=-8.0 in [adapter]: must be above 0"),
        ({"optimizer": {"learning_rate": "fast"}}, "learning_rate='fast' in [optimizer]: must be a number"),
        ({"optimizer": {"learning_rate": float("inf")}}, "learning_rate=inf in [optimizer]: must be a finite number"),
        ({"data": {"random_flip": "maybe"}}, "random_flip='maybe' in [data]: must be true or false"),
        (
            {"adapter": {"init": "zero"}},
            "init='zero' in [adapter]: must be 'kaiming', 'gaussian', 'orthogonal' or 'pissa'",
        ),
        ({"data": {"caption_separator": ""}}, "caption_separator='' in [data]: must not be empty"),
        ({"output": {"name": "a/b"}}, "name='a/b' in [output]: must be a plain file name, without /"),
    ],
)
def test_a_bad_value_says_what_was_found_where_and_what_is_expected(values, said):
    assert refusal(**values) == said


def test_several_bad_values_are_all_named():
    assert refusal(adapter={"rank": 0}, training={"seed": -1}).count("\n") == 1


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "C:x", "what?", "a\nb", "dot.", "space "])
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    """ ".." would write outside the folder of the runs, "dot." is another name on Windows."""
    assert "must be a plain file name" in refusal(output={"name": name})


@pytest.mark.parametrize("name", ["photos", "我的 照片", "v1.2", "-x", "...a"])
def test_a_plain_file_name_is_taken(name):
    assert from_values(TrainConfig, {"output": {"name": name}}).output.name == name


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"optimizer": {"lr_min": 1e-6, "lr_scheduler": "constant"}}, "lr_min"),
        ({"optimizer": {"lr_warmup_steps": 9, "lr_scheduler": "constant"}}, "lr_warmup_steps"),
        ({"prior": {"num_class_images": 9}}, "num_class_images"),
        ({"prior": {"num_class_images": 9, "class_prompt": "a", "class_data_dir": "b"}}, "num_class_images"),
        ({"validation": {"num_validation_images": 2}}, "num_validation_images"),
        ({"validation": {"sample_steps": 2}}, "sample_steps"),
        ({"output": {"resume": True, "overwrite": True}}, "overwrite"),
        ({"training": {"purpose": "style"}, "adapter": {"rank": 8}}, "purpose (--for)"),
        ({"training": {"purpose": "style"}, "output": {"init_lora": "a.safetensors"}}, "purpose (--for)"),
        ({"adapter": {"targets": ["*.to_q"]}, "output": {"init_lora": "a.safetensors"}}, "targets"),
        ({"adapter": {"init": "gaussian"}, "output": {"init_lora": "a.safetensors"}}, "init"),
        ({"output": {"allow_partial": True}}, "allow_partial"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(values, setting):
    assert refusal(**values).startswith(f"{setting} would have no effect: it needs ")


def test_steps_and_epochs_together_are_refused():
    assert "give one of them" in refusal(training={"max_train_steps": 5, "num_train_epochs": 5})


def test_a_run_that_started_from_a_lora_may_be_resumed_with_the_same_settings():
    values = {"output": {"init_lora": "a.safetensors", "resume": True}}
    assert from_values(TrainConfig, values).output.resume


def test_setting_names_are_unique_across_sections():
    """A flag has no section in its name."""
    flags = [flag for path, field in leaves(TrainConfig) for flag in flag_names(path[-1], field)]
    assert len(flags) > 60
    assert sorted(flags) == sorted(set(flags))


def test_every_setting_has_a_description():
    assert [".".join(path) for path, field in leaves(TrainConfig) if not field.description] == []


FULL = {
    "model": {"base": "C:\\models\\sd 模型", "clip_skip": 2},
    "data": {"folder": "我的 照片", "trigger": 'sks "dog"', "caption": "", "random_flip": True},
    "adapter": {"rank": 4, "alpha": 3.5, "targets": ["*.attn2.to_q", "mid_block.*"]},
    "optimizer": {"learning_rate": 1.2345678901234567e-5, "lr_min": 0.0},
    "training": {"seed": 2**63 - 1},
    "objective": {"snr_gamma": 5.0},
    "output": {"name": "a'b", "output_dir": "some where"},
}


def test_settings_come_back_from_their_file_exactly(tmp_path):
    config = from_values(TrainConfig, FULL)
    path = tmp_path / "config.toml"
    path.write_text(write_toml(config), encoding="utf-8")
    assert from_values(TrainConfig, read_toml(path)) == config


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[adapter]\r\nrank = 4\r\n")
    assert read_toml(path) == {"adapter": {"rank": 4}}


@pytest.mark.parametrize("content", [b"rank == 4", b"\x89PNG", "rank = '一'".encode("utf-16")])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml is not TOML in UTF-8"):
        read_toml(path)


def test_a_settings_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no settings file at .*nothing\.toml"):
        read_toml(tmp_path / "nothing.toml")


def test_what_is_above_wins_key_by_key():
    below = {"adapter": {"rank": 4, "alpha": 3.0}, "data": {"trigger": "a"}}
    assert merged(below, {"adapter": {"rank": 8}}) == {"adapter": {"rank": 8, "alpha": 3.0}, "data": {"trigger": "a"}}
    assert below["adapter"]["rank"] == 4

from pathlib import Path

import pytest

from scumble.config import GenerateConfig
from scumble.errors import ConfigError, LoraFileError
from scumble.generate.prompt import LoraTag, cut_off, find_loras, parse_tags
from scumble.generate.recipe import LoraUse


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def found(tags, *files, lora_dir=None, runs_dir=Path("no-runs")):
    return [(lora.name, lora.weight, lora.path) for lora in find_loras(tags, files, lora_dir, runs_dir)]


@pytest.mark.parametrize(
    ("prompt", "cleaned", "tags"),
    [
        ("a dog <lora:sks:0.8> on the moon", "a dog on the moon", [LoraTag("sks", 0.8)]),
        ("a dog<lora:sks>", "a dog", [LoraTag("sks", 1.0)]),
        ("<lora:a:-.5>a <lora:b c:2>dog", "a dog", [LoraTag("a", -0.5), LoraTag("b c", 2.0)]),
        ("一只狗 <lora:照片.safetensors:0.7>", "一只狗", [LoraTag("照片", 0.7)]),
        ("I <3 dogs", "I <3 dogs", []),
        ("", "", []),
    ],
)
def test_tags_are_taken_out_of_the_prompt(prompt, cleaned, tags):
    assert parse_tags(prompt) == (cleaned, tags)


@pytest.mark.parametrize(
    ("tag", "text", "denoiser"),
    [
        ("sks:0.5", 0.5, 0.5),
        ("sks:0.5:0.8", 0.5, 0.8),
        ("sks:0.5:unet=0.8", 0.5, 0.8),
        ("sks:unet=0.8", 1.0, 0.8),
        ("sks:te=0.5", 0.5, 0.5),
        ("sks:0.9:te=0.5", 0.5, 0.5),
        ("sks:0.9:0.8:te=0.5", 0.5, 0.8),
        ("sks:0.9:0.7:te=0.5:unet=0.8", 0.5, 0.8),
        ("sks:te=0:lbw=M00=0.5:unet=0.8", 0.0, 0.8),
    ],
)
def test_strengths_of_text_encoder_and_denoiser_are_read_as_the_webui_reads_them(tag, text, denoiser):
    """The WebUI 1.10: te = first number or 1, then te=; unet = second number or te, then unet=."""
    [found] = parse_tags(f"a <lora:{tag}>")[1]
    use = LoraUse(found.name, found.weight, "", found.blocks, found.text_weight)
    assert (use.strength_in("text_encoder"), use.strength_in("unet")) == (text, denoiser)
    assert parse_tags(use.tag)[1] == [found]


def test_the_webuis_other_word_for_a_lora_is_read_too():
    assert parse_tags("a <lyco:sks:0.5> dog") == parse_tags("a <lora:sks:0.5> dog")
    assert GenerateConfig(prompt="a <lyco:sks:0.5> dog", allow_partial=True).allow_partial  # which needs a LoRA


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a <lyco:sks:0.8", "is not closed"),
        ("a <lora:sks:much>", "weight 'much' is not a number"),
        ("a <lora:sks:>", "weight '' is not a number"),
        ("a <lora:sks:nan>", "weight 'nan' is not a number"),
        ("a <lora:sks:0.5:0.7:8>", "'8' is not understood"),
        ("a <lora:sks:0.5:dyn=8>", "'dyn' is not understood; after the name come"),
        ("a <lora:sks:0.5:te=x>", "weight 'x' is not a number"),
        ("a <lora::1>", "has no name"),
        ("a dog <lora:sks:0.8 on the moon", "is not closed"),
        ("<lora:a:1> and <lora:a:0.2>", "named twice"),
    ],
)
def test_a_bad_tag_is_refused_with_the_reason(prompt, said):
    with pytest.raises(ConfigError, match=said):
        parse_tags(prompt)


def test_a_given_file_that_no_tag_names_counts_as_weight_1(tmp_path):
    a, b = touch(tmp_path / "a.safetensors"), touch(tmp_path / "b.safetensors")
    assert found([LoraTag("b", 0.3)], a, b) == [("b", 0.3, b), ("a", 1.0, a)]


def test_names_are_looked_up_in_given_files_then_runs_then_the_folder(tmp_path):
    given = touch(tmp_path / "x" / "a.safetensors")
    for name in ("a", "b"):
        touch(tmp_path / "runs" / name / f"{name}.safetensors")
    for name in ("a", "b", "c"):
        touch(tmp_path / "loras" / "deep" / f"{name}.safetensors")
    tags = [LoraTag("a"), LoraTag("b"), LoraTag("c")]
    paths = [path for *_, path in found(tags, given, lora_dir=tmp_path / "loras", runs_dir=tmp_path / "runs")]
    deep = tmp_path / "loras" / "deep"
    assert paths == [given, tmp_path / "runs" / "b" / "b.safetensors", deep / "c.safetensors"]


def test_what_is_hidden_by_an_earlier_place_is_told(tmp_path):
    given, hidden = touch(tmp_path / "a.safetensors"), touch(tmp_path / "runs" / "a" / "a.safetensors")
    [lora] = find_loras([LoraTag("a")], [given], None, tmp_path / "runs")
    assert lora.also == (hidden,)


def test_a_checkpoint_of_a_run_is_found_by_its_own_name(tmp_path):
    path = touch(tmp_path / "photos" / "photos-400.safetensors")
    assert found([LoraTag("photos-400")], runs_dir=tmp_path) == [("photos-400", 1.0, path)]


def test_a_name_not_found_says_where_it_looked_and_what_is_near(tmp_path):
    touch(tmp_path / "photos" / "photos.safetensors")
    with pytest.raises(
        ConfigError, match=r"'foto' not found among the --lora files or the runs in .*did you mean 'photos'"
    ):
        found([LoraTag("foto")], runs_dir=tmp_path)


def test_two_files_of_one_name_in_one_place_are_refused(tmp_path):
    a, b = touch(tmp_path / "1" / "a.safetensors"), touch(tmp_path / "2" / "a.safetensors")
    with pytest.raises(ConfigError, match="may be any of"):
        found([LoraTag("a")], lora_dir=tmp_path)
    with pytest.raises(ConfigError, match="may be any of"):
        found([], a, b)


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(LoraFileError, match=r"gone\.safetensors: there is no such file"):
        found([], tmp_path / "gone.safetensors")
    with pytest.raises(ConfigError, match=r"lora_dir=.*: no such folder"):
        found([], lora_dir=tmp_path / "gone")


def has_six_signs_at_most(text):
    return len(text.replace(" ", "")) <= 6


@pytest.mark.parametrize(
    ("prompt", "cut"),
    [
        ("ab cd ef", ""),
        ("ab cd ef gh", "gh"),
        ("ab cd efg", "efg"),
        ("abcdefgh ij", "abcdefgh ij"),
        ("红墨水写的数字三", "字三"),
    ],
)
def test_the_words_beyond_the_last_token_are_told(prompt, cut):
    assert cut_off(prompt, has_six_signs_at_most) == cut


def peft(folder, *parts):
    """A PEFT folder as far as names go."""
    for part in parts or [""]:
        touch(folder / part / "adapter_model.safetensors")
    return folder


def test_a_peft_folder_is_called_by_its_name_wherever_it_is_looked_up(tmp_path):
    given = peft(tmp_path / "given.peft")
    run = peft(tmp_path / "runs" / "photos" / "photos.peft", "unet", "text_encoder")
    deep = peft(tmp_path / "loras" / "deep" / "style", "unet")
    single = peft(tmp_path / "loras" / "single")
    _, tags = parse_tags("<lora:given> <lora:photos.peft> <lora:style> <lora:single>")
    paths = [path for *_, path in found(tags, given, lora_dir=tmp_path / "loras", runs_dir=tmp_path / "runs")]
    assert paths == [given, run, deep, single]


def test_a_lora_of_a_run_as_file_and_as_folder_must_be_told_apart(tmp_path):
    peft(tmp_path / "photos" / "photos.peft")
    touch(tmp_path / "photos" / "photos.safetensors")
    with pytest.raises(ConfigError, match=r"may be any of .*photos\.peft, .*photos\.safetensors"):
        found([LoraTag("photos")], runs_dir=tmp_path)

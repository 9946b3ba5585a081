"""Words in files: inside a LoRA as the WebUI reads them, in files of their own as diffusers, ComfyUI and the WebUI do."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from scumble.config.edit import ConvertConfig, InspectConfig, MergeConfig, ResizeConfig
from scumble.edit.convert import convert
from scumble.edit.independent_words import read_words
from scumble.edit.look import inspect
from scumble.edit.merge import merge
from scumble.edit.programs.readings import in_words, readings_of
from scumble.edit.resize import resize
from scumble.errors import ConfigError, LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.families.new_words import with_vectors
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora, write_words
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse
from scumble.generate.weighted import prompt_states

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tiny_base):
    return open_base(str(tiny_base))


@pytest.fixture(scope="module")
def pair_base(sdxl_base):
    return open_base(str(sdxl_base))


@pytest.fixture
def encoder(base):
    return base.load_text_encoder(CPU)


def vectors(widths, number=2, seed=0):
    source = torch.Generator().manual_seed(seed)
    return {part: torch.randn(number, width, generator=source) for part, width in widths.items()}


def words_for(encoder, number=2, word="sks", seed=0):
    return {word: vectors(encoder.words.widths, number, seed)}


@pytest.fixture
def lora(base):
    """A LoRA of two layers with a word."""
    from tests.files.kinds import random_layer

    table = table_of(base)
    keys = [key for key in table.shapes if key.endswith("attn1.to_q")][:2]
    layers = {key: random_layer("lora", table.shapes[key], 2, 1.0, seed=1) for key in keys}
    return LoraFile(
        layers, {"ss_base_model_version": "sd_v1", "ss_v2": "False"}, embeddings={"sks": vectors({"text_encoder": 32})}
    )


@pytest.fixture
def file(lora, tmp_path):
    path = tmp_path / "sks_lora.safetensors"
    write_lora(lora, path)
    return path


def same_words(found, expected):
    assert found.keys() == expected.keys()
    for word, parts in expected.items():
        assert found[word].keys() == parts.keys()
        assert all(torch.equal(found[word][part], tensor) for part, tensor in parts.items())


def test_a_lora_brings_its_words_back_and_the_webuis_rule_finds_the_same(lora, file, base):
    same_words(read_lora(file, base.layer_paths()).embeddings, lora.embeddings)
    same_words(read_words(file), lora.embeddings)
    assert "bundle_emb.sks.string_to_param.*" in load_file(file)


def test_words_stay_whole_where_layers_are_stored_in_16_bits(lora, tmp_path, base):
    write_lora(lora, tmp_path / "half.safetensors", dtype=torch.float16)
    same_words(read_lora(tmp_path / "half.safetensors", base.layer_paths()).embeddings, lora.embeddings)


def test_two_encoders_have_clip_l_and_clip_g(pair_base, tmp_path):
    encoder = pair_base.load_text_encoder(CPU)
    words = words_for(encoder)
    write_lora(LoraFile({}, {"ss_base_model_version": "sdxl_base_v1-0"}, embeddings=words), tmp_path / "a.safetensors")
    assert set(load_file(tmp_path / "a.safetensors")) == {"bundle_emb.sks.clip_l", "bundle_emb.sks.clip_g"}
    same_words(read_lora(tmp_path / "a.safetensors", pair_base.layer_paths()).embeddings, words)
    same_words(read_words(tmp_path / "a.safetensors"), words)
    folder = write_words(LoraFile({}, embeddings=words), tmp_path / "a.safetensors")
    assert set(load_file(folder / "sks.safetensors")) == {"clip_l", "clip_g"}
    same_words(read_lora(folder / "sks.safetensors", pair_base.layer_paths()).embeddings, words)


@pytest.mark.parametrize("name", ["emb_params", "sks"])
def test_an_embeddings_own_file_is_read_as_a_lora_of_a_word(base, tmp_path, name):
    tensor = torch.randn(3, 32)
    save_file({name: tensor}, tmp_path / "sks.safetensors")
    same_words(
        read_lora(tmp_path / "sks.safetensors", base.layer_paths()).embeddings, {"sks": {"text_encoder": tensor}}
    )


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"bundle_emb.sks.what": torch.ones(1, 32)}, "expected the embedding of a word as"),
        ({"bundle_emb.sks.string_to_param.*": torch.ones(1, 2, 32)}, r"found \[1, 2, 32\]"),
        ({"bundle_emb.sks.clip_g": torch.ones(1, 32)}, "clip_g without clip_l"),
        (
            {"bundle_emb.sks.clip_l": torch.ones(1, 32), "bundle_emb.sks.clip_g": torch.ones(2, 32)},
            "expected as many vectors for each",
        ),
    ],
)
def test_words_that_make_no_sense_are_errors(tensors, says, base, tmp_path):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraFileError, match=says):
        read_lora(tmp_path / "a.safetensors", base.layer_paths())


def test_a_word_of_another_width_is_refused(encoder):
    with pytest.raises(LoraFileError, match="width 768, but this base has text encoders of width 32"):
        encoder.words.add("a", {"sks": {"text_encoder": torch.ones(1, 768)}})


def test_words_are_found_by_their_tokens_the_longest_first():
    words = [((5,), range(-1, -3, -1)), ((5, 6), range(-3, -4, -1))]
    assert with_vectors([1, 5, 2, 5, 6, 5], words) == [1, -1, -2, 2, -3, -1, -2]


def test_a_word_counts_as_many_tokens_as_it_has_vectors_and_is_never_cut_in_two(encoder):
    room = encoder.clip.max_tokens
    encoder.words.add("a", words_for(encoder, 4))
    plain = encoder.count_tokens("a sks")
    with encoder.words.only(["a"]):
        assert encoder.count_tokens("a sks") == encoder.count_tokens("a") + 4
        filled = " ".join(["a"] * (room - 2)) + " sks"
        first, second = encoder.clip.chunks(filled)
        assert len(first.tokens) == room - 2
        assert second.tokens == (-1, -2, -3, -4)
    assert encoder.count_tokens("a sks") == plain


def test_words_mean_the_same_in_capitals_and_nothing_inside_others(encoder):
    encoder.words.add("a", words_for(encoder))
    before = encoder.encode(["a sksy"], 1)[0]["hidden"]
    with encoder.words.only(["a"]):
        one, capitals, inside = (encoder.encode([text], 1)[0]["hidden"] for text in ("a sks", "a SKS", "a sksy"))
    assert torch.equal(one, capitals)
    assert torch.equal(inside, before)


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_words_in_weighted_and_long_prompts_under_clip_skip(encoder, clip_skip):
    encoder.words.add("a", words_for(encoder))
    long = "a photo of (sks:1.2) dog, " * 20
    old = prompt_states(encoder, [long], clip_skip)[0]["hidden"]
    with encoder.words.only(["a"]):
        new = prompt_states(encoder, [long], clip_skip)[0]["hidden"]
        plain = prompt_states(encoder, [long.replace(":1.2", ":1.0")], clip_skip)[0]["hidden"]
    assert new.shape[0] >= old.shape[0] >= 2 * 77
    assert not torch.equal(new[:77], old[:77])
    assert not torch.equal(new, plain)


def test_a_word_that_starts_from_itself_changes_nothing(encoder):
    prompt = "a photo of dog, dog"
    before = encoder.encode([prompt], 1)[0]["hidden"]
    count = encoder.count_tokens("dog")
    encoder.words.add("a", {"dog": encoder.first_vectors("dog", count)})
    with encoder.words.only(["a"]):
        assert torch.equal(encoder.encode([prompt], 1)[0]["hidden"], before)


@pytest.mark.parametrize("number", [1, 3])
def test_diffusers_reads_our_files_to_the_same_states(base, encoder, tmp_path, number):
    from diffusers import StableDiffusionPipeline

    words = words_for(encoder, number, "qzw")
    folder = write_words(LoraFile({}, embeddings=words), tmp_path / "a.safetensors")
    pipeline = StableDiffusionPipeline.from_pretrained(base.path)
    pipeline.load_textual_inversion(str(folder), weight_name="qzw.safetensors")
    theirs, _ = pipeline.encode_prompt("a photo of qzw dog", CPU, 1, False)
    encoder.words.add("a", words)
    with encoder.words.only(["a"]):
        ours = encoder.encode(["a photo of qzw dog"], 1)[0]["hidden"]
    assert torch.allclose(ours, theirs[0], atol=1e-5)
    assert not torch.allclose(ours, encoder.encode(["a photo of qzw dog"], 1)[0]["hidden"], atol=1e-2)


def test_diffusers_reads_both_encoders_words_to_the_same_states(pair_base, tmp_path):
    from diffusers import StableDiffusionXLPipeline

    encoder = pair_base.load_text_encoder(CPU)
    words = words_for(encoder, 2, "qzw")
    folder = write_words(LoraFile({}, embeddings=words), tmp_path / "a.safetensors")
    found = load_file(folder / "qzw.safetensors")
    pipeline = StableDiffusionXLPipeline.from_pretrained(pair_base.path)
    for key, part, tokenizer in (("clip_l", "text_encoder", "tokenizer"), ("clip_g", "text_encoder_2", "tokenizer_2")):
        pipeline.load_textual_inversion(
            found[key], token="qzw", text_encoder=getattr(pipeline, part), tokenizer=getattr(pipeline, tokenizer)
        )
    theirs, _, _, _ = pipeline.encode_prompt("a photo of qzw dog", device=CPU, do_classifier_free_guidance=False)
    encoder.words.add("a", words)
    with encoder.words.only(["a"]):
        ours = encoder.encode(["a photo of qzw dog"], 2)[0]["hidden"]
    assert torch.allclose(ours, theirs[0], atol=1e-5)


def test_a_painter_gives_words_their_meaning_only_while_their_lora_is_in_use(base, lora):
    painter = Painter.load(base, CPU, torch.float32)
    plain = painter.text_states(["a sks"])[0]["hidden"]
    painter.add_lora("one", lora)
    assert torch.equal(painter.text_states(["a sks"])[0]["hidden"], plain)
    painter.use_loras([LoraUse("one", 0.5, "")])
    assert not torch.equal(painter.text_states(["a sks"])[0]["hidden"], plain)
    painter.add_lora("two", lora)
    with pytest.raises(ConfigError, match="both one and two bring the word 'sks'"):
        painter.use_loras([LoraUse("one", 1.0, ""), LoraUse("two", 1.0, "")])
    painter.remove_lora("one")
    painter.use_loras([])
    assert torch.equal(painter.text_states(["a sks"])[0]["hidden"], plain)


def test_what_other_programs_make_of_words_is_said(lora, file, base):
    said = in_words(readings_of(file, lora, table_of(base, weights=False)))
    assert "A1111: as trained, its words too" in said
    assert "diffusers: not applied, it refuses a file with words" in said


def test_diffusers_does_refuse_a_file_with_words(file, base):
    from diffusers import StableDiffusionPipeline

    with pytest.raises(ValueError, match=r"(?i)invalid|renamed"):
        StableDiffusionPipeline.from_pretrained(base.path).load_lora_weights(str(file))


def test_inspecting_shows_words(file, tiny_base):
    assert inspect(InspectConfig(file=file, base=str(tiny_base))).words == {"sks": 2}


def test_converting_for_diffusers_takes_words_out_into_files_of_their_own(file, lora, tiny_base, base, tmp_path):
    done = convert(ConvertConfig(file=file, out=tmp_path / "out.safetensors", to="diffusers", base=str(tiny_base)))
    assert done.words == tmp_path / "out-words"
    assert read_lora(done.path, base.layer_paths()).embeddings == {}
    same_words(read_lora(done.words / "sks.safetensors", base.layer_paths()).embeddings, lora.embeddings)


def test_converting_and_resizing_in_kohyas_naming_keep_words(file, lora, tiny_base, base, tmp_path):
    convert(ConvertConfig(file=file, out=tmp_path / "out.safetensors", base=str(tiny_base), save_precision="fp16"))
    resize(ResizeConfig(file=file, out=tmp_path / "small.safetensors", base=str(tiny_base), rank=1))
    for name in ("out", "small"):
        same_words(read_lora(tmp_path / f"{name}.safetensors", base.layer_paths()).embeddings, lora.embeddings)


def test_merging_keeps_words_and_refuses_one_that_two_bring(file, lora, tiny_base, base, tmp_path):
    save_file({"other": torch.ones(1, 32)}, tmp_path / "other.safetensors")
    both = (file, tmp_path / "other.safetensors")
    done = merge(MergeConfig(lora=both, out=tmp_path / "out.safetensors", base=str(tiny_base), weights=(0.5, 1.0)))
    assert any("its words (sks) are kept as they are" in note for note in done.notes)
    found = read_lora(done.path, base.layer_paths())
    assert found.embeddings.keys() == {"sks", "other"}
    assert found.layers.keys() == lora.layers.keys()
    with pytest.raises(LoraFileError, match="bring the word 'sks'"):
        merge(MergeConfig(lora=(file, file), out=tmp_path / "twice.safetensors", base=str(tiny_base)))
    with pytest.raises(LoraFileError, match="for which the weights of a base have no place"):
        merge(MergeConfig(lora=(file,), out=tmp_path / "base", into=str(tiny_base)))


def test_a_run_says_of_its_words_in_the_metadata(lora, tmp_path):
    from scumble.train.new_words import in_metadata

    assert json.loads(in_metadata(lora.embeddings)["scumble.words"]) == {"sks": 2}

"""CLIP's tokenizer from the hub cache or from open_clip_torch's vocabulary, without a network."""

import shutil

import pytest

from scumble.errors import BaseModelError
from scumble.families import vocabulary
from scumble.families.clip import Clip


@pytest.fixture
def nothing_installed(monkeypatch):
    """A machine without open_clip_torch."""
    monkeypatch.setattr("scumble.families.vocabulary.find_spec", lambda name: None)


def put_in_cache(hub_cache, hub_id, folder, place):
    snapshot = hub_cache / f"models--{hub_id.replace('/', '--')}" / "snapshots" / ("0" * 40)
    (snapshot.parent.parent / "refs").mkdir(parents=True)
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, snapshot / place)


def test_the_shipped_vocabulary_gives_clips_numbers(hub_cache, no_network):
    tokenizer = vocabulary.clip_tokenizer("<|endoftext|>")
    assert tokenizer("a photo of sks dog").input_ids == [49406, 320, 1125, 539, 48136, 1929, 49407]
    assert len(tokenizer) == 49_408


def test_every_number_is_that_of_open_clips_own_tokenizer(hub_cache, no_network):
    from open_clip.tokenizer import SimpleTokenizer

    theirs = SimpleTokenizer()
    ours = Clip(vocabulary.clip_tokenizer("!"), None, 75)
    prompts = ["a photo of sks dog", "", "1girl, solo, smile, score_9", "don't  STOP!! 3.14", "naïve café, 水墨画 🎨"]
    for prompt in prompts:
        assert ours.framed(*ours.chunks(prompt, 1)) == theirs(prompt)[0].tolist()


@pytest.mark.parametrize(("pad_token", "number"), [("<|endoftext|>", 49407), ("!", 0)])
@pytest.mark.parametrize("source", ["shipped", "cached"])
def test_prompts_are_filled_up_as_the_family_says(hub_cache, no_network, tmp_path, pad_token, number, source):
    if source == "cached":
        vocabulary.write_tokenizer(vocabulary.shipped_vocabulary(), _made(tmp_path / "own"))
        put_in_cache(hub_cache, "stabilityai/stable-diffusion-xl-base-1.0", tmp_path / "own", "tokenizer")
        assert vocabulary.cached_folder().is_relative_to(hub_cache)
    ids = vocabulary.clip_tokenizer(pad_token)("a", padding="max_length", max_length=5).input_ids
    assert ids == [49406, 320, 49407, number, number]


def test_without_either_the_error_says_what_to_run(hub_cache, no_network, nothing_installed):
    with pytest.raises(
        BaseModelError, match=r"pip install 'scumble\[tokenizer\]'.* hf download stable-diffusion-v1-5/"
    ):
        vocabulary.clip_tokenizer("!")


def test_the_cache_alone_is_enough(hub_cache, no_network, tmp_path, monkeypatch):
    vocabulary.write_tokenizer(vocabulary.shipped_vocabulary(), _made(tmp_path / "own"))
    put_in_cache(hub_cache, "openai/clip-vit-large-patch14", tmp_path / "own", "")
    monkeypatch.setattr("scumble.families.vocabulary.find_spec", lambda name: None)
    assert vocabulary.clip_tokenizer("!")("sks").input_ids[1:-1] == [48136]


def test_a_cached_tokenizer_of_another_size_is_refused(hub_cache, no_network, tiny_base):
    put_in_cache(hub_cache, "openai/clip-vit-large-patch14", tiny_base / "tokenizer", "")
    with pytest.raises(BaseModelError, match="has 667 tokens, expected CLIP's 49408"):
        vocabulary.clip_tokenizer("!")


def _made(folder):
    folder.mkdir()
    return folder

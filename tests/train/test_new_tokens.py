"""New words: textual inversion and pivotal tuning."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned

from scumble.errors import ConfigError
from scumble.train.events import Finished, Noted, Planned, Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan
from scumble.train.start import start_session


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 2},
        "tokens": {"new_tokens": ["sks=cat"], "num_vectors": 2},
        "output": {"checkpointing_steps": 2},
        "validation": {"validation_steps": 2},
    }
    return lambda **changes: common(own, changes)


def alone(**tokens):
    """Settings of textual inversion: no adapter."""
    return {"tokens": {"tokens_only": True, **tokens}, "adapter": {"rank": None}}


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(events):
    return "\n".join(event.text for event in events if isinstance(event, Noted))


def test_words_and_adapter_are_trained_together(settings, tmp_path):
    events = list(train(settings()))
    assert isinstance(events[-1], Finished)
    tensors = load_file(tmp_path / "runs" / "photos" / "photos.safetensors")
    assert tensors["bundle_emb.sks.string_to_param.*"].shape == (2, 32)
    assert "proved: diffusers' own reader" in said(events)
    card = next(event for event in events if isinstance(event, Planned)).card
    assert "photos-words/, photos-best-words/, checkpoints/" in card["files"]
    assert [path.name for path in events[-1].files["words"].iterdir()] == ["sks.safetensors"]


def test_words_alone_are_trained_without_an_adapter(settings, tmp_path):
    events = list(train(settings(**alone())))
    card = next(event for event in events if isinstance(event, Planned)).card
    assert card["adapter"] == "none: new words alone are trained"
    assert card["parameters"].startswith("64 trainable")
    tensors = load_file(tmp_path / "runs" / "photos" / "photos.safetensors")
    assert set(tensors) == {"bundle_emb.sks.string_to_param.*"}
    beside = load_file(tmp_path / "runs" / "photos" / "photos-words" / "sks.safetensors")
    assert torch.equal(beside["sks"], tensors["bundle_emb.sks.string_to_param.*"])


def test_only_the_new_vectors_move_and_the_base_stays_to_the_bit(settings, tiny_base):
    before = {path: hash_of(path) for path in tiny_base.rglob("*.safetensors")}
    plan = make_plan(settings(**alone(num_vectors=1)))
    steps = start_session(plan)
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    session = end.value.value
    table = session.text_encoder.modules["text_encoder"].get_input_embeddings().weight
    rows = table.detach().clone()
    assert [name for name, _ in session.adapter.items()] == ["words.sks.text_encoder"]
    assert torch.equal(
        session.adapter["words.sks.text_encoder"], session.text_encoder.first_vectors("cat", 1)["text_encoder"]
    )
    state = session.text_encoder.encode(["a photo of sks dog"], 1)[0]["hidden"]
    state.square().sum().backward()
    session.optimizer.step()
    assert not torch.equal(
        session.adapter["words.sks.text_encoder"], session.text_encoder.first_vectors("cat", 1)["text_encoder"]
    )
    assert table.grad is None
    assert torch.equal(table, rows)
    assert {path: hash_of(path) for path in tiny_base.rglob("*.safetensors")} == before


CASES = {
    "with an adapter": {},
    "alone": alone(),
    "stopping": {"tokens": {"tokens_stop_at": 0.5, "token_lr": 0.05}},
    "lengths kept": alone(keep_token_norm=True, num_vectors=3),
    "pivotal": {
        "adapter": {"train_text_encoder": True},
        "tokens": {"new_tokens": ["sks", "number=digit"]},
        "optimizer": {"ema_decay": 0.9},
        "data": {"caption_dropout_rate": 0.3},
        "training": {"gradient_accumulation_steps": 2},
    },
}


@pytest.mark.parametrize(
    ("case", "stop_at"), thinned(zip(CASES, (1, 3, 3, 1, 3), strict=True), (next(iter(CASES)), 1), (list(CASES)[-1], 3))
)
def test_stopping_and_resuming_gives_the_same_files(settings, tmp_path, case, stop_at):
    options = CASES[case]
    runs = tmp_path / "runs"
    list(train(settings(**options)))
    merged = settings(**options).output.model_copy(update={"name": "stopped"})
    stopped = settings(**options).model_copy(update={"output": merged})
    events = train(stopped)
    for event in events:
        if isinstance(event, Stepped) and event.step == stop_at:
            break
    events.close()
    list(train(stopped.model_copy(update={"output": merged.model_copy(update={"resume": True})})))
    for end in ("", "-best"):
        whole, resumed = (load_file(runs / name / f"{name}{end}.safetensors") for name in ("photos", "stopped"))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    words = [sorted((runs / name / f"{name}-words").iterdir()) for name in ("photos", "stopped")]
    assert [hash_of(path) for path in words[0]] == [hash_of(path) for path in words[1]]
    assert (runs / "photos" / "history.json").read_text() == (runs / "stopped" / "history.json").read_text()


def vectors_of(run, name="photos"):
    return load_file(run / f"{name}.safetensors")["bundle_emb.sks.string_to_param.*"]


def test_words_stay_as_they_are_after_their_share_of_the_run(settings, tmp_path):
    half = settings(tokens={"tokens_stop_at": 0.5})
    list(train(half))
    run = tmp_path / "runs" / "photos"
    assert torch.equal(vectors_of(run, "photos-000002"), vectors_of(run))
    list(train(settings(output={"name": "always"})))
    assert not torch.equal(vectors_of(run), vectors_of(tmp_path / "runs" / "always", "always"))


def test_vectors_keep_their_lengths_where_that_is_asked_for(settings, tiny_base, tmp_path):
    from scumble.families.find import open_base

    encoder = open_base(str(tiny_base)).load_text_encoder(torch.device("cpu"))
    start = encoder.first_vectors("cat", 2)["text_encoder"]
    list(train(settings(**alone(keep_token_norm=True))))
    end = vectors_of(tmp_path / "runs" / "photos")
    assert torch.allclose(end.norm(dim=1), start.norm(dim=1), rtol=1e-6)
    assert not torch.allclose(end, start, rtol=1e-3)


def test_a_run_goes_on_from_words_and_keeps_teaching_them(settings, tmp_path):
    list(train(settings()))
    first = tmp_path / "runs" / "photos" / "photos.safetensors"
    again = {"output": {"name": "again", "init_lora": first}, "adapter": {"rank": None}}
    events = list(train(settings(**again, tokens={"new_tokens": [], "num_vectors": 1})))
    card = next(event for event in events if isinstance(event, Planned)).card
    assert card["new words"].startswith("sks: 2 vectors, going on")
    assert vectors_of(tmp_path / "runs" / "again", "again").shape == (2, 32)
    with pytest.raises(ConfigError, match="init_lora has the word 'SKS'"):
        list(train(settings(**again, tokens={"new_tokens": ["SKS"]})))


def test_sample_pictures_see_the_new_word(settings, tmp_path):
    list(train(settings(validation={"validation_prompt": "a photo of (sks:1.2) dog", "sample_steps": 4})))
    assert (tmp_path / "runs" / "photos" / "samples" / "000004.png").exists()


def test_a_word_that_is_in_no_caption_is_an_error(settings):
    with pytest.raises(ConfigError, match="the new word 'unseen' is in no caption"):
        list(train(settings(tokens={"new_tokens": ["unseen=dog"]})))


def test_a_word_that_is_missing_from_a_caption_is_said(settings, photos):
    (photos / "03.txt").write_text("a photo of skside dog")
    notes = said(make_plan(settings(validation={"validation_split": 0})).notes)
    assert "the new word 'sks' is missing from 1 of 12 captions, first 03.png" in notes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": {"new_tokens": ["a.b=dog"]}}, "cannot be a new word"),
        ({"tokens": {"new_tokens": ["sks="]}}, "names no words to start from"),
        ({"tokens": {"new_tokens": ["sks", "SKS"]}}, "is there twice"),
        ({"tokens": {"new_tokens": [], "num_vectors": 2}}, "num_vectors would have no effect: it needs new_tokens"),
        ({"tokens": {"initializer_token": "dog"}}, "initializer_token would have no effect"),
        ({"tokens": {"tokens_only": True}}, "rank would have no effect: it needs tokens_only left out"),
        (alone(tokens_stop_at=0.5), "tokens_stop_at would have no effect"),
        ({"data": {"caption_dropout_rate": 1.0}}, "new_tokens would have no effect"),
        ({"output": {"format": "diffusers"}}, "has no place for words"),
    ],
)
def test_what_would_do_nothing_is_refused(settings, changes, says):
    with pytest.raises(ConfigError, match=says):
        list(train(settings(**changes)))


def test_lengths_are_not_kept_by_an_optimizer_that_steps_other_numbers(settings):
    with pytest.raises(ConfigError, match="keep_token_norm with AdamWScheduleFree"):
        list(train(settings(**alone(keep_token_norm=True), optimizer={"optimizer": "AdamWScheduleFree"})))


@pytest.mark.slow
def test_a_new_word_alone_makes_the_model_in_the_box_draw_what_it_never_saw(tmp_path):
    from scumble.config import TrainConfig, from_values
    from scumble.families.find import open_base
    from scumble.files.read import read_lora
    from scumble.generate.painter import Painter
    from scumble.generate.recipe import LoraUse
    from scumble.mini.exam import as_tensor, recipe
    from scumble.mini.handwriting import read_handwriting, split
    from scumble.mini.judge import load_judge, score
    from scumble.mini.lessons import plain_prompts, write_concept

    pictures = tmp_path / "nines"
    write_concept(pictures, split(read_handwriting(), "base", "demo"), 0)
    for caption in pictures.glob("*.txt"):
        caption.write_text(caption.read_text(encoding="utf-8").replace("nine", "qz"), encoding="utf-8")
    values = {
        "model": {"base": "mini"},
        "data": {"folder": pictures},
        "tokens": {"new_tokens": ["qz=digit"], "num_vectors": 4, "tokens_only": True},
        "optimizer": {"learning_rate": 6e-3},
        "training": {"max_train_steps": 300, "train_batch_size": 16, "device": "cpu"},
        "objective": {"snr_gamma": 5.0},
        "validation": {"validation_steps": 300},
        "output": {"output_dir": tmp_path / "runs", "report_to": "none"},
    }
    list(train(from_values(TrainConfig, values)))
    base = open_base("mini")
    painter = Painter.load(base, torch.device("cpu"), torch.float32)
    painter.add_lora("qz", read_lora(tmp_path / "runs" / "nines" / "nines.safetensors", base.layer_paths()))
    judge = load_judge()
    prompts = [prompt.replace("nine", "qz") for _, prompt in plain_prompts([9], 30)]

    def nines(loras):
        recipes = [recipe(prompt, 5000 + index, loras) for index, prompt in enumerate(prompts)]
        answers = score(judge, as_tensor([each.image for each in painter.paint(recipes, 30)])).answers("digit")
        return sum(answer == "nine" for answer in answers) / len(answers)

    assert nines(()) < 0.2
    assert nines((LoraUse("qz"),)) > 0.4

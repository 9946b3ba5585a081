"""Captioners: the real classes with random weights, through the code that loads the published ones."""

import json
import sys

import caption_models
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from scumble import registry
from scumble.data.captioners import wd14
from scumble.data.captioners.base import Wishes
from scumble.data.captioners.place import ModelFolder, find_model
from scumble.errors import CaptionerError, ConfigError

WRITERS = {
    "blip": ("blip", caption_models.write_blip),
    "florence": ("florence", caption_models.write_florence),
    "git": ("any", caption_models.write_git),
    "encoder_decoder": ("any", caption_models.write_encoder_decoder),
    "llava": ("any", caption_models.write_llava),
    "tagger": ("wd14", caption_models.write_tagger),
}
SENTENCES = [name for name in WRITERS if name != "tagger"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name of a model -> its folder."""
    return {name: write(tmp_path_factory.mktemp("models") / name) for name, (_, write) in WRITERS.items()}


@pytest.fixture(scope="module")
def images():
    """Pictures of noise, of different sizes and colours."""
    random = np.random.default_rng(3)
    sizes = [(40, 30), (30, 40), (64, 64), (9, 21)]
    return [Image.fromarray(random.integers(0, 60 * (i + 1), (*size, 3), np.uint8)) for i, size in enumerate(sizes)]


def opened(folder, captioner, **wishes):
    module = registry.load("captioner", captioner)
    return module.open_captioner(find_model(str(folder), module.WANTED), Wishes(**wishes), CPU)


def open_kind(folders, name, **wishes):
    return opened(folders[name], WRITERS[name][0], **wishes)


def texts(captions):
    return [caption.text for caption in captions]


def test_every_captioner_of_the_registry_is_tried_here():
    assert {captioner for captioner, _ in WRITERS.values()} == set(registry.names("captioner"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_picture_gets_the_same_caption_alone_and_among_others(name, folders, images):
    captioner = open_kind(folders, name, **({} if name == "tagger" else {"max_tokens": 8}))
    together = captioner.caption(images)
    assert together == [captioner.caption([image])[0] for image in images]
    assert len(set(texts(together))) > 1  # it looks at them
    assert any(texts(together))


@pytest.mark.parametrize("name", SENTENCES)
def test_opening_it_again_gives_the_same_captions(name, folders, images):
    first, second = (open_kind(folders, name, max_tokens=6).caption(images) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", SENTENCES)
def test_a_caption_that_would_go_on_is_known_as_cut(name, folders, images):
    short = open_kind(folders, name, max_tokens=3).caption(images)
    assert any(caption.is_cut for caption in short)


@pytest.mark.parametrize("name", ["blip", "git", "florence", "encoder_decoder", "llava"])
def test_a_caption_that_came_to_its_end_is_not_cut(name, folders, images):
    captioner = open_kind(folders, name, max_tokens=5)
    end = captioner.ends[0] if name == "blip" else captioner.model.generation_config.eos_token_id
    words = captioner.model.text_decoder if name == "blip" else captioner.model
    head = words.get_output_embeddings()

    def only_the_end(_module, _inputs, scores):
        return torch.full_like(scores, -1e4).index_fill(-1, torch.tensor([end]), 0.0)

    handle = head.register_forward_hook(only_the_end)
    captions = captioner.caption(images)
    handle.remove()
    assert [caption.is_cut for caption in captions] == [False] * len(images)
    assert texts(captions) == [""] * len(images)


def test_blip_says_what_transformers_own_call_says(folders, images):
    from transformers import BlipForConditionalGeneration, BlipProcessor

    model = BlipForConditionalGeneration.from_pretrained(folders["blip"])
    processor = BlipProcessor.from_pretrained(folders["blip"])
    for prompt in (None, "a photo of"):
        expected = []
        for image in images:
            inputs = processor(images=image, text=prompt, return_tensors="pt")
            rows = model.generate(**inputs, max_new_tokens=9, num_beams=3)
            expected.append(processor.decode(rows[0], skip_special_tokens=True))
        said = texts(open_kind(folders, "blip", prompt=prompt, max_tokens=9).caption(images))
        assert said == expected
        assert all(text.startswith(prompt or "") for text in said)


def test_florence_says_what_transformers_own_call_says(folders, images):
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    model = Florence2ForConditionalGeneration.from_pretrained(folders["florence"])
    processor = Florence2Processor.from_pretrained(folders["florence"])
    said = {}
    for task in ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>"):
        said[task] = texts(open_kind(folders, "florence", prompt=task, max_tokens=12).caption(images))
        for image, text in zip(images, said[task], strict=True):
            inputs = processor(text=task, images=image, return_tensors="pt")
            rows = model.generate(**inputs, max_new_tokens=13, num_beams=3, do_sample=False)
            assert text == processor.batch_decode(rows[:, :13], skip_special_tokens=True)[0].strip()
    assert len({tuple(each) for each in said.values()}) == 3


def test_a_chatting_model_is_asked_and_only_its_answer_is_taken(folders, images):
    asked, other = (
        texts(open_kind(folders, "llava", prompt=prompt, max_tokens=8).caption(images))
        for prompt in ("describe this picture", "what is the dog")
    )
    assert asked != other
    assert not any(text.startswith("describe") for text in asked)


def test_a_model_without_a_chat_writes_on_from_the_prompt(folders, images):
    said = texts(open_kind(folders, "git", prompt="a photo of", max_tokens=6).caption(images))
    assert all(text.startswith("a photo of") for text in said)
    assert len(set(said)) > 1


def test_the_smallest_pictures_are_captioned_too(folders):
    tiny = [Image.new("RGB", size, "red") for size in ((1, 1), (3, 50), (50, 3))]
    for name in WRITERS:
        wishes = {} if name == "tagger" else {"max_tokens": 3}
        assert len(open_kind(folders, name, **wishes).caption(tiny)) == 3


def test_a_prompt_that_a_model_cannot_take_is_refused(folders):
    with pytest.raises(ConfigError, match="VisionEncoderDecoderModel takes none; leave prompt out"):
        open_kind(folders, "encoder_decoder", prompt="a photo of")


@pytest.mark.parametrize(
    ("name", "wishes", "most"),
    [
        ("encoder_decoder", {}, 64),
        ("git", {"max_tokens": 300}, 128),
        ("git", {"max_tokens": 300, "prompt": "a photo of"}, 125),
        ("blip", {"max_tokens": 300}, 128),
        ("blip", {"max_tokens": 300, "prompt": "a photo of"}, 124),
        ("florence", {"max_tokens": 300}, 255),
    ],
)
def test_a_caption_is_no_longer_than_its_model_can_write_and_that_is_said(name, wishes, most, folders, images):
    captioner = open_kind(folders, name, **wishes)
    assert captioner.max_tokens == most
    (note,) = captioner.notes
    asked = wishes.get("max_tokens", Wishes().max_tokens)
    assert note.startswith(f"captions have {most} tokens at most, not {asked}: {type(captioner.model).__name__} writes")
    assert len(captioner.caption(images)) == len(images)
    assert open_kind(folders, name, **{**wishes, "max_tokens": most}).notes == ()


def test_a_prompt_that_leaves_no_room_for_a_caption_is_refused(folders):
    with pytest.raises(ConfigError, match=r"prompt has 141 tokens, and GitForCausalLM reads 128 at most: shorten it"):
        open_kind(folders, "git", prompt="a photo " * 70)


def test_florence_takes_its_caption_tasks_however_they_are_written(folders):
    assert open_kind(folders, "florence", prompt="more_detailed_caption").task == "<MORE_DETAILED_CAPTION>"
    assert open_kind(folders, "florence").task == "<DETAILED_CAPTION>"
    with pytest.raises(
        ConfigError, match="prompt=<OD>: florence takes caption, detailed_caption or more_detailed_caption"
    ):
        open_kind(folders, "florence", prompt="<OD>")


# what cannot be loaded


@pytest.fixture
def copied(folders, tmp_path):
    """A model in a folder of its own, to be spoilt."""

    def copy(name):
        place = tmp_path / f"copy-{name}"
        place.mkdir()
        for file in folders[name].iterdir():
            (place / file.name).write_bytes(file.read_bytes())
        return place

    return copy


@pytest.mark.parametrize("name", SENTENCES)
def test_weights_that_lack_some_are_refused(name, copied):
    """transformers fills them with random numbers, and the captions would be nonsense."""
    place = copied(name)
    weights = load_file(place / "model.safetensors")
    lost = next(key for key in sorted(weights) if key.endswith("fc1.weight") or "mlp" in key)
    del weights[lost]
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(CaptionerError, match=r"its weights lack 1 that \w+ has, such as "):
        opened(place, WRITERS[name][0])


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_folder_that_is_not_whole_is_named_in_one_line(name, lost, copied):
    place = copied(name)
    if not (place / lost).exists():
        lost = "preprocessor_config.json"  # where there is no processor
    (place / lost).unlink()
    if lost == "tokenizer.json":
        (place / "tokenizer_config.json").unlink()
    with pytest.raises(CaptionerError) as caught:
        opened(place, WRITERS[name][0])
    assert f"captioner {place}: " in str(caught.value) and "is not whole" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["blip", "git"])
def test_damaged_weights_are_named_in_one_line(name, copied):
    place = copied(name)
    content = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CaptionerError, match="is not whole"):
        opened(place, WRITERS[name][0])


def test_pickled_weights_are_never_read(copied):
    place = copied("blip")
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(CaptionerError, match=r"a pickle \(\.bin\), which can run code and is never read"):
        opened(place, "blip")


def test_code_in_a_model_s_folder_is_never_run(copied, tmp_path):
    place = copied("git")
    settings = json.loads((place / "config.json").read_text())
    settings |= {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForImageTextToText": "own.Own"},
    }
    (place / "config.json").write_text(json.dumps(settings))
    (place / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(CaptionerError, match="transformers says"):
        opened(place, "any")
    assert not (tmp_path / "ran").exists()


def test_florence_in_its_first_layout_is_named_with_where_the_right_one_is(copied):
    place = copied("florence")
    settings = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(settings | {"auto_map": {"AutoConfig": "own.Own"}}))
    with pytest.raises(CaptionerError, match="such as florence-community/Florence-2-base"):
        opened(place, "florence")


@pytest.mark.parametrize(
    ("captioner", "model", "advice"),
    [("blip", "florence", "--captioner florence"), ("florence", "blip", "--captioner blip"), ("blip", "git", "any")],
)
def test_a_model_of_another_kind_names_its_captioner(captioner, model, advice, folders):
    with pytest.raises(CaptionerError, match=advice):
        opened(folders[model], captioner)


def test_any_leaves_blip_to_its_own_captioner(folders):
    with pytest.raises(ConfigError, match="has a captioner of its own: --captioner blip"):
        opened(folders["blip"], "any")


# the tagger


def test_the_tagger_sees_blue_first_on_a_white_square():
    shown = wd14.pixels(Image.new("RGB", (8, 4), (250, 120, 10)), 8)
    assert (shown.dtype, shown.shape) == (np.float32, (8, 8, 3))
    assert shown[4, 4].tolist() == [10, 120, 250]
    assert shown[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("colour", "tags"), [("blue", "1girl, o_o"), ("lime", "long hair"), ("red", "hatsune miku, red car")]
)
def test_tags_above_their_thresholds_are_taken_characters_first_and_ratings_left_out(colour, tags, folders):
    assert texts(open_kind(folders, "tagger").caption([Image.new("RGB", (20, 20), colour)])) == [tags]


def test_thresholds_decide_which_tags_are_taken(folders):
    red = [Image.new("RGB", (20, 20), "red")]
    assert texts(open_kind(folders, "tagger", character_threshold=0.99).caption(red)) == ["red car"]
    assert texts(open_kind(folders, "tagger", general_threshold=0.99).caption(red)) == ["hatsune miku"]
    everything = open_kind(folders, "tagger", general_threshold=0.01, keep_underscores=True).caption(red)
    assert texts(everything) == ["hatsune_miku, red_car, 1girl, long_hair, o_o"]


@pytest.mark.parametrize("face", ["o_o", "^_^", ">_<", "0_0", "(o)_(o)", "||_||", "x_x"])
def test_faces_keep_their_underscores(face):
    assert wd14.spaced(face) == face
    assert wd14.spaced(f"long_hair_{face}") != f"long_hair_{face}"


def test_a_tagger_of_one_picture_a_pass_takes_batches_too(folders, tmp_path, images):
    single = opened(caption_models.write_tagger(tmp_path / "single", batch=1), "wd14")
    assert single.caption(images) == open_kind(folders, "tagger").caption(images)


def test_a_model_and_a_list_of_tags_that_do_not_fit_are_refused(tmp_path):
    place = caption_models.write_tagger(tmp_path / "odd", num_outputs=5)
    with pytest.raises(CaptionerError, match=r"its model has 5 outputs, and its selected_tags\.csv 7 tags"):
        opened(place, "wd14")


@pytest.mark.parametrize("lost", ["model.onnx", "selected_tags.csv"])
def test_a_tagger_that_is_not_whole_is_named(lost, copied):
    place = copied("tagger")
    (place / lost).unlink()
    with pytest.raises(CaptionerError, match=f"is not whole: it has no {lost}"):
        opened(place, "wd14")


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("model.onnx", b"\x00\x01 no model"),
        ("selected_tags.csv", b"a,b\n1,2\n"),
        ("selected_tags.csv", b"name,category\nx,y\n"),
    ],
)
def test_a_damaged_tagger_is_named(damaged, content, copied):
    place = copied("tagger")
    (place / damaged).write_bytes(content)
    with pytest.raises(CaptionerError, match=damaged.replace(".", r"\.")):
        opened(place, "wd14")


def test_where_onnxruntime_is_not_installed_the_error_says_how_to_get_it(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'scumble\[caption\]'"):
        open_kind(folders, "tagger")


def test_a_tagger_that_cannot_use_the_gpu_says_so(folders):
    place = find_model(str(folders["tagger"]), wd14.WANTED)
    assert wd14.open_captioner(place, Wishes(), CPU).notes == ()
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        notes = wd14.open_captioner(place, Wishes(), torch.device("cuda")).notes
        assert notes == ("the tagger runs on the CPU: this onnxruntime has nothing for cuda",)


# the hub


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache on a machine without network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


def put_into_cache(cache, hub_id, folder):
    """The files of a folder as the hub's client lays them out: contents under blobs, names as links to them."""
    place = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = place / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    for part in (place / "blobs", place / "refs", snapshot):
        part.mkdir(parents=True)
    (place / "refs" / "main").write_text(snapshot.name)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = place / "blobs" / f"{number:040x}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blob)
    return snapshot


@pytest.mark.parametrize("name", ["blip", "florence", "tagger"])
def test_the_default_models_are_taken_from_the_hub_s_cache_offline(name, folders, hub_cache, images):
    module = registry.load("captioner", WRITERS[name][0])
    put_into_cache(hub_cache, module.DEFAULT_MODEL, folders[name])
    here = opened(module.DEFAULT_MODEL, WRITERS[name][0])
    assert here.caption(images) == open_kind(folders, name).caption(images)


@pytest.mark.parametrize("captioner", ["blip", "florence", "wd14"])
def test_where_the_weights_are_not_to_be_had_the_error_says_which_command_fetches_them(captioner, hub_cache):
    model = registry.load("captioner", captioner).DEFAULT_MODEL
    with pytest.raises(CaptionerError) as caught:
        opened(model, captioner)
    assert f"captioner {model}: " in str(caught.value)
    assert f"run 'hf download {model}'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cache_that_is_not_whole_says_which_command_fetches_the_rest(hub_cache, folders):
    snapshot = put_into_cache(hub_cache, "someone/blip", folders["blip"])
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(CaptionerError, match="'hf download someone/blip' fetches what is missing"):
        opened("someone/blip", "blip")


@pytest.mark.parametrize("name", ["no-such-folder", "a/b/c", "weights.safetensors"])
def test_a_name_that_is_neither_a_folder_nor_a_hub_id_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CaptionerError, match="hub id"):
        find_model(name, ())


def test_a_folder_of_the_person_s_comes_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "owner" / "name"
    place.mkdir(parents=True)
    found = find_model("owner/name", ())
    assert isinstance(found, ModelFolder)
    assert found.path.resolve() == place and not found.is_from_hub

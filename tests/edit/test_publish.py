"""A published folder is whole, says what the file says, and each program finds in it what it looks for."""

import json
import re

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer

from scumble.adapters.targets import find_targets
from scumble.adapters.weight import weight_of
from scumble.config.generate import GenerateConfig
from scumble.config.publish import PublishConfig
from scumble.edit import publish as publishing
from scumble.edit.card import MARK
from scumble.edit.publish import publish
from scumble.edit.workflow import SAMPLERS, workflow
from scumble.errors import ConfigError, LoraFileError, ScumbleError
from scumble.families.find import open_base
from scumble.families.layers import known_tables, table_of
from scumble.files.guard import read_metadata
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.metadata import TrainingFacts, metadata_of
from scumble.files.read import read_lora, write_lora
from scumble.generate.infotext import read_infotext
from scumble.generate.loras import tensor_hash
from scumble.generate.recipe import LoraUse, Recipe
from scumble.generate.run import pictures
from scumble.generate.samplers import SAMPLERS as DRAWN_SAMPLERS


@pytest.fixture
def lora(tmp_path, tiny_base):
    """The file of a LoRA of the tiny base, with the facts of its training and the curves of its run beside it."""
    denoiser = open_base(str(tiny_base)).empty_denoiser()
    layers = {}
    for path in find_targets(denoiser, ["attention"]):
        rows, columns = weight_of(denoiser.get_submodule(path)).shape
        layers[f"unet.{path}"] = LoraLayer(
            "lora", {"down": torch.ones(3, columns), "up": torch.full((rows, 3), 0.02)}, 3, 2.0
        )
    facts = TrainingFacts(
        output_name="dog", base_name="owner/some-base", base_version="sd_v1", architecture="stable-diffusion-v1/lora",
        prediction_type="epsilon", rank=3, alpha=2.0, targets=("attention",), steps=120, epochs=10, learning_rate=1e-4,
        lr_scheduler="cosine", optimizer="torch.optim.adamw.AdamW(weight_decay=0.1)", seed=5, resolution=(32, 32), clip_skip=1, num_pictures=12, batch_size=1,
        trigger="sks dog", dataset_hash="ab" * 32,
    )  # fmt: skip
    file = tmp_path / "dog.safetensors"
    write_lora(LoraFile(layers, metadata_of(facts)), file)
    (tmp_path / "curves.png").write_bytes(b"curves")
    return file


@pytest.fixture
def published(lora, tiny_base):
    """Publish the LoRA: the folder, and what was said."""

    def run(api=None, **settings):
        chosen = {"file": lora, "base": str(tiny_base), "steps": 2, **settings}
        said = [event.text for event in publish(PublishConfig(**chosen), api)]
        return chosen.get("out", lora.parent / "dog-published"), said

    return run


def front_matter(folder):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_folder_has_what_each_program_looks_for(published, lora):
    folder, _ = published()
    assert files_in(folder) == [
        "README.md", "curves.png", "dog-comfyui.json", "dog.json", "dog.png", "dog.safetensors",
        "previews/01.png", "previews/02.png",
    ]  # fmt: skip
    assert (folder / "dog.safetensors").read_bytes() == lora.read_bytes()
    assert sorted(path.name for path in lora.parent.glob(".scumble*")) == []


def test_each_preview_carries_its_recipe_without_a_path_of_this_machine(published, tiny_base, lora):
    folder, _ = published(prompt=("a cat", "sks dog"), weight=0.8, seed=7)
    recipes = [read_infotext(folder / f"previews/{index:02}.png") for index in range(1, 5)]
    assert [(recipe.prompt, recipe.seed) for recipe in recipes] == [
        ("a cat", 7), ("a cat", 8), ("sks dog", 7), ("sks dog", 8),
    ]  # fmt: skip
    assert {(use.name, use.weight) for recipe in recipes for use in recipe.loras} == {("dog", 0.8)}
    for path in folder.rglob("*"):
        assert path.is_dir() or str(lora.parent).encode() not in path.read_bytes()
        assert path.is_dir() or str(tiny_base).encode() not in path.read_bytes()


def test_a_preview_is_what_generate_draws_from_its_recipe(published, lora, tiny_base):
    folder, _ = published(n=1, weight=0.8)
    recipe = read_infotext(folder / "previews/01.png")
    config = GenerateConfig(
        prompt=f"{recipe.prompt} <lora:dog:0.8>", base=str(tiny_base), lora=(folder / "dog.safetensors",), steps=2
    )
    (drawn,) = pictures(config)
    with Image.open(folder / "previews/01.png") as preview:
        assert preview.tobytes() == drawn.image.tobytes()
    assert drawn.recipe.loras == recipe.loras


def test_the_lora_is_seen_in_the_previews(published):
    strong, _ = published(n=1)
    first = (strong / "previews/01.png").read_bytes()
    none, _ = published(n=1, weight=0.0, overwrite=True)
    assert first != (none / "previews/01.png").read_bytes()


def test_without_a_prompt_the_trigger_is_shown_and_without_previews_nothing_is_drawn(published):
    folder, said = published(n=1)
    assert read_infotext(folder / "previews/01.png").prompt == "a photo of sks dog"
    assert any("no licence" in text for text in said)
    folder, said = published(previews=False, overwrite=True)
    assert not [name for name in files_in(folder) if name.endswith(".png") and name != "curves.png"]
    assert "widget" not in front_matter(folder)


def test_the_hub_reads_the_model_card(published):
    folder, _ = published(n=1, license="openrail", negative_prompt="blurry: #1", description="Draws | one dog.")
    front = front_matter(folder)
    assert {"lora", "stable-diffusion", "text-to-image", "template:sd-lora"} <= set(front["tags"])
    assert (front["base_model"], front["license"]) == ("owner/some-base", "openrail")
    assert front["instance_prompt"] == "sks dog"
    (widget,) = front["widget"]
    assert widget["parameters"] == {"negative_prompt": "blurry: #1"}
    assert (folder / widget["output"]["url"]).is_file()
    huggingface_hub = pytest.importorskip("huggingface_hub")
    assert huggingface_hub.metadata_load(folder / "README.md") == front


def test_the_card_tells_settings_curves_and_the_datasets_hash(published):
    folder, _ = published(previews=False)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for expected in (
        "| optimizer | AdamW(weight\\_decay=0.1) |",
        "| rank | 3 |",
        "| alpha | 2.0 |",
        "| steps | 120 |",
        "ab" * 32,
        "](curves.png)",
        "Not stated",
    ):
        assert expected in card
    assert "were drawn" not in card


def test_the_webui_finds_activation_text_and_weight(published):
    folder, _ = published(previews=False, weight=0.7, negative_prompt="blurry")
    said = json.loads((folder / "dog.json").read_text(encoding="utf-8"))
    assert (said["activation text"], said["preferred weight"]) == ("sks dog", 0.7)
    assert said["negative text"] == "blurry"


RECIPE = Recipe("a dog", 512, 768, "blurry", 20, 6.5, "DPM++ 2M Karras", 9, 2, (LoraUse("dog", 0.8),))


def test_every_link_of_the_workflow_joins_sockets_of_one_type():
    graph = workflow(RECIPE, "dog.safetensors", "base.safetensors", v_prediction=True, zero_snr=True)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for number, source, slot, target, socket, kind in graph["links"]:
        output, into = nodes[source]["outputs"][slot], nodes[target]["inputs"][socket]
        assert number in output["links"]
        assert into["link"] == number
        assert output["type"] == into["type"] == kind
    linked = [socket for node in graph["nodes"] for socket in node["inputs"]]
    assert len(linked) == len(graph["links"]) == graph["last_link_id"]


def test_the_workflow_says_what_the_recipe_says():
    graph = workflow(RECIPE, "dog.safetensors", "base.safetensors", v_prediction=True, zero_snr=False)
    settings = {}
    for node in graph["nodes"]:
        settings.setdefault(node["type"], []).append(node["widgets_values"])
    assert settings["LoraLoader"] == [["dog.safetensors", 0.8, 0.8]]
    assert settings["KSampler"] == [[9, "fixed", 20, 6.5, "dpmpp_2m", "karras", 1.0]]
    assert settings["CLIPSetLastLayer"] == [[-2]]
    assert settings["CLIPTextEncode"] == [["a dog"], ["blurry"]]
    assert settings["EmptyLatentImage"] == [[512, 768, 1]]
    assert settings["ModelSamplingDiscrete"] == [["v_prediction", False]]
    assert set(DRAWN_SAMPLERS) == set(SAMPLERS)


def test_what_is_there_is_kept_unless_one_says_otherwise(published):
    folder, _ = published(previews=False)
    before = (folder / "README.md").read_bytes()
    with pytest.raises(ConfigError, match="--overwrite"):
        published(previews=False, description="new")
    assert (folder / "README.md").read_bytes() == before
    published(previews=False, description="new", overwrite=True)
    assert "new" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_folder_of_the_person_is_never_replaced(published, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "README.md").write_text("my own", encoding="utf-8")
    with pytest.raises(ConfigError, match="no folder that publish made"):
        published(previews=False, out=home, overwrite=True)
    assert files_in(home) == ["README.md"]


def test_a_folder_that_holds_the_file_itself_is_not_replaced(published, lora):
    (lora.parent / "README.md").write_text(MARK, encoding="utf-8")
    with pytest.raises(ConfigError, match="holds the file"):
        published(previews=False, out=lora.parent, overwrite=True)
    assert lora.is_file()


def test_a_failure_half_way_leaves_the_old_folder_and_nothing_else(published, lora, monkeypatch):
    folder, _ = published(previews=False)
    before = {name: (folder / name).read_bytes() for name in files_in(folder)}

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(publishing, "model_card", full)
    with pytest.raises(OSError, match="no space"):
        published(previews=False, overwrite=True)
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == before
    assert list(lora.parent.glob(".scumble*")) == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"prompt": ("a <lora:cat:1>",)}, "names a LoRA"),
        ({"sampler": "Eular"}, "did you mean 'Euler'"),
        ({"sampler": "DDIM", "schedule": "Karras"}, "schedule=Karras would have no effect: DDIM"),
        ({"push": "no repository"}, "USER/NAME"),
        ({"private": True}, "private would have no effect: nothing is sent without push"),
        ({"previews": False, "n": 2}, "n would have no effect: no preview is drawn"),
        ({"previews": False, "device": "cpu"}, "device would have no effect"),
        ({"previews": False, "prompt": ("a", "b")}, "prompt: found several"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(published, lora, settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        published(Hub(), **settings)
    assert not (lora.parent / "dog-published").exists()


class Hub:
    """Stands in for the hub's HfApi: what was asked of it, in order."""

    def __init__(self, repositories=(), error=None):
        self.repositories, self.error, self.asked = set(repositories), error, []

    def whoami(self):
        self.asked.append("whoami")

    def repo_exists(self, repository):
        return repository in self.repositories

    def create_repo(self, repository, *, private, exist_ok):
        self.asked.append(("create", repository, private, exist_ok))
        return f"https://hub/{repository}"

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        if self.error is not None:
            raise self.error
        self.asked.append(("upload", repo_id, files_in(folder_path), commit_message))


def test_the_whole_folder_is_sent(published):
    hub = Hub()
    folder, said = published(hub, previews=False, push="me/dog", private=True)
    create, upload = hub.asked[1:]
    assert create == ("create", "me/dog", True, True)
    assert upload[:3] == ("upload", "me/dog", files_in(folder))
    assert said[-1] == "sent: https://hub/me/dog"


def test_a_repository_that_is_there_needs_overwrite(published, lora):
    with pytest.raises(ConfigError, match="--overwrite"):
        published(Hub(["me/dog"]), previews=False, push="me/dog")
    assert not (lora.parent / "dog-published").exists()
    hub = Hub(["me/dog"])
    published(hub, previews=False, push="me/dog", overwrite=True)
    assert hub.asked[-1][0] == "upload"


def test_when_sending_fails_the_folder_stays_and_one_is_told_how_to_send_it(published, lora):
    with pytest.raises(ScumbleError, match=re.escape("'hf upload me/dog")):
        published(Hub(error=ConnectionError("no route")), previews=False, push="me/dog")
    assert (lora.parent / "dog-published" / "README.md").is_file()


def test_offline_one_is_told_so_before_anything_is_done(published, lora):
    from huggingface_hub import HfApi

    with pytest.raises(ScumbleError, match="HF_HUB_OFFLINE is set"):
        published(HfApi(token="none"), previews=False, push="me/dog")
    assert not (lora.parent / "dog-published").exists()


def test_a_hub_that_cannot_be_reached_is_no_traceback(published, lora):
    from huggingface_hub.errors import HTTPError

    with pytest.raises(ScumbleError, match="cannot be reached"):
        published(Hub(error=HTTPError("no such host")), previews=False, push="me/dog")


@pytest.fixture
def folder_lora(lora, tiny_base):
    """The LoRA as a PEFT folder of two model parts, in the place of its file."""
    paths = open_base(str(tiny_base)).layer_paths()
    read = read_lora(lora, paths)
    text = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    more = LoraLayer("lora", {"down": torch.ones(3, 32), "up": torch.full((64, 3), 0.02)}, 3, 2.0)
    write_lora(LoraFile({**read.layers, text: more}, read.metadata), lora.with_name("dog.peft"), "peft")
    lora.unlink()
    return lora.with_name("dog.peft")


def test_a_peft_folder_is_published_with_a_file_that_every_program_reads(published, folder_lora, tiny_base):
    folder, _ = published(file=folder_lora, n=1)
    parts = [
        f"dog.peft/{part}/adapter_{what}"
        for part in ("text_encoder", "unet")
        for what in ("config.json", "model.safetensors")
    ]
    assert files_in(folder) == [
        "README.md", "curves.png", "dog-comfyui.json", "dog.json", *parts, "dog.png", "dog.safetensors", "previews/01.png",
    ]  # fmt: skip
    for part in parts:
        assert (folder / part).read_bytes() == (folder_lora.parent / part).read_bytes()
    paths = open_base(str(tiny_base)).layer_paths()
    given, shared = read_lora(folder_lora, paths), read_lora(folder / "dog.safetensors", paths)
    assert given.layers.keys() == shared.layers.keys()
    for key, layer in given.layers.items():
        assert shared.layers[key].alpha == layer.alpha
        assert all(torch.equal(tensor, shared.layers[key].tensors[name]) for name, tensor in layer.tensors.items())
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "- **PEFT**: `dog.peft` is the same LoRA as PEFT saves it.\n- **diffusers**: in Python:\n\n```python" in card
    assert tensor_hash(folder / "dog.safetensors")[:12].upper() in card


def test_the_previews_of_a_peft_folder_name_the_file_that_is_shared(published, folder_lora, tiny_base):
    folder, _ = published(file=folder_lora, n=1, weight=0.8)
    recipe = read_infotext(folder / "previews/01.png")
    assert recipe.loras[0].hash == tensor_hash(folder / "dog.safetensors")[: len(recipe.loras[0].hash)]
    prompt = f"{recipe.prompt} <lora:dog:0.8>"
    config = GenerateConfig(prompt=prompt, base=str(tiny_base), lora=(folder / "dog.safetensors",), steps=2)
    (drawn,) = pictures(config)
    with Image.open(folder / "previews/01.png") as preview:
        assert preview.tobytes() == drawn.image.tobytes()


def test_a_peft_folder_of_a_run_is_read_for_the_base_of_the_run(published, folder_lora, tiny_base):
    (folder_lora.parent / "config.toml").write_text(f'[model]\nbase = "{tiny_base.as_posix()}"\n', encoding="utf-8")
    folder, _ = published(file=folder_lora, base=None, previews=False)
    assert (folder / "dog.safetensors").is_file()


def test_what_is_left_out_of_a_published_peft_folder_is_said(published, folder_lora):
    weights = folder_lora / "unet" / "adapter_model.safetensors"
    tensors = {**load_file(weights), "base_model.model.other.lora_A.weight": torch.ones(3, 2)}
    save_file(tensors, weights)
    with pytest.raises(LoraFileError, match=r"1 of .* layers are incomplete"):
        published(file=folder_lora, previews=False)
    _, said = published(file=folder_lora, previews=False, allow_partial=True)
    assert any(text.endswith("left out 1 of its layers or tensors: unet/base_model.model.other") for text in said)


def test_a_folder_that_is_no_lora_is_not_published(published, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoraFileError, match=r"found a folder without adapter_model\.safetensors"):
        published(file=tmp_path / "empty", previews=False)
    assert not (tmp_path / "empty-published").exists()


@pytest.fixture
def silent_sdxl(tmp_path):
    """An SDXL LoRA in diffusers' naming that says nothing of itself."""
    table = {table.name: table for table in known_tables()}["sdxl"]
    keys = [key for key in table.shapes if "mid_block" in key and ".attn1." in key]
    layers = {key: random_layer("lora", table.shapes[key], 2, 2.0, 0) for key in keys}
    write_lora(LoraFile(layers), tmp_path / "xl.safetensors", "diffusers")
    return tmp_path / "xl.safetensors"


def test_a_file_that_does_not_say_its_family_is_shared_with_it_and_in_names_that_every_program_reads(
    published, silent_sdxl
):
    folder, said = published(file=silent_sdxl, base=None, previews=False, trigger="dog", out=silent_sdxl.parent / "xl")
    shared = folder / "xl.safetensors"
    assert read_metadata(shared)["ss_base_model_version"] == "sdxl_base_v1-0"
    assert all(name.startswith("lora_unet_middle_block_1_") for name in load_file(shared))
    assert said[:2] == [
        "shared is xl.safetensors in kohya's naming, with its family named",
        "what programs apply of it: A1111, ComfyUI, diffusers, sd-scripts and LyCORIS: as trained",
    ]
    assert "stable-diffusion-xl" in front_matter(folder)["tags"]
    paths = {table.name: table for table in known_tables()}["sdxl"].paths()
    given, again = read_lora(silent_sdxl, paths), read_lora(shared, paths)
    assert given.layers.keys() == again.layers.keys()
    for key, layer in given.layers.items():
        assert all(torch.equal(tensor, again.layers[key].tensors[name]) for name, tensor in layer.tensors.items())


def nan(tensors):
    next(iter(tensors.values())).fill_(float("nan"))


def without_a_matrix(tensors):
    del tensors[next(name for name in tensors if "lora_up" in name)]


def with_an_unknown_layer(tensors):
    tensors |= {f"lora_unet_other.lora_{side}.weight": torch.ones(2, 2) for side in ("up", "down")}


@pytest.mark.parametrize("spoil", [nan, without_a_matrix, with_an_unknown_layer])
def test_a_broken_file_is_not_published_without_previews_either(spoil, published, lora):
    tensors, metadata = load_file(lora), read_metadata(lora)
    spoil(tensors)
    save_file(tensors, lora, metadata)
    with pytest.raises(LoraFileError):
        published(previews=False)
    assert not (lora.parent / "dog-published").exists()


def test_the_part_of_a_kohya_file_that_is_for_the_base_is_shared_where_that_is_allowed(published, lora):
    whole = load_file(lora)
    tensors = dict(whole)
    with_an_unknown_layer(tensors)
    save_file(tensors, lora, read_metadata(lora))
    folder, said = published(previews=False, allow_partial=True)
    assert load_file(folder / "dog.safetensors").keys() == whole.keys()
    assert said[1].endswith("left out 1 of its layers or tensors: lora_unet_other")


@pytest.fixture
def shared_as(published, tmp_path, tiny_base):
    """Publish a LoRA of one kind in one naming: the source, the folder, what was said, and the card."""

    def run(format="kohya", metadata=None, **kind):
        table = table_of(open_base(str(tiny_base)))
        keys = [key for key in table.shapes if ".attn1." in key]
        layers = {key: random_layer(shape=table.shapes[key], rank=2, alpha=2.0, seed=0, **kind) for key in keys}
        file = tmp_path / "kind.safetensors"
        write_lora(LoraFile(layers, metadata or {}), file, format)
        folder, said = published(file=file, previews=False, out=tmp_path / "out")
        return file, folder, said, (folder / "README.md").read_text(encoding="utf-8")

    return run


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_of_a_lora_that_a_program_refuses_the_card_gives_no_instructions_for_it(kind, shared_as):
    _, folder, said, card = shared_as(kind=kind)
    assert "- **WebUI**: put `kind.safetensors`" in card
    assert "- **ComfyUI**: put `kind.safetensors`" in card
    assert "- **diffusers** does not apply it as it was trained, but: not applied, it refuses the file." in card
    assert "load_lora_weights" not in card
    assert "diffusers" not in front_matter(folder)["tags"]
    assert "library_name" not in front_matter(folder)
    assert "sd-scripts: not applied, unless it is told to use LyCORIS; LyCORIS: as trained." in card
    assert said[1].startswith(
        "what programs apply of it: A1111, ComfyUI and LyCORIS: as trained; diffusers: not applied"
    )


def test_a_dora_in_diffusers_naming_stays_in_it_because_diffusers_would_lose_its_lengths(shared_as):
    file, folder, said, card = shared_as("diffusers", kind="lora", dora="output")
    assert said[0] == "shared is kind.safetensors in its own naming: in kohya's diffusers would apply it otherwise"
    assert (folder / "kind.safetensors").read_bytes() == file.read_bytes()
    assert "- **WebUI** does not apply it as it was trained, but: not applied, it does not know these names." in card
    assert "load_lora_weights" in card


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({}, "The file does not say a trigger word."),
        ({"scumble.targets": '["attention"]'}, "It has no trigger word."),
        ({"scumble.trigger": "sks"}, "Write `sks` in the prompt."),
    ],
)
def test_that_there_is_no_trigger_is_said_only_where_it_is_known(metadata, says, shared_as):
    assert says in shared_as(kind="lora", metadata=metadata)[3]


def test_the_card_names_sources_and_layers_in_words(shared_as):
    merged = [{"name": "dog", "sshs_model_hash": "ab" * 32, "weight": 0.7}, {"name": "oil", "weight": 0.4}]
    metadata = {"scumble.targets": '["attention", "conv"]', "scumble.merged_from": json.dumps(merged)}
    card = shared_as(kind="lora", metadata=metadata)[3]
    assert "| layers | attention, conv |" in card
    assert "| merged from | dog (weight 0.7), oil (weight 0.4) |" in card

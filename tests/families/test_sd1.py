"""What the family answers, beside what diffusers' own pipeline and scheduler say of the same folder."""

import json
import shutil

import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from scumble.errors import ConfigError
from scumble.families.base import check_clip_skip
from scumble.families.find import open_base

PROMPTS = ["a photo of sks dog", "", "ink on paper " * 40]


@pytest.fixture(scope="module")
def base(tiny_base):
    return open_base(str(tiny_base))


@pytest.fixture(scope="module")
def pipeline(tiny_base):
    return StableDiffusionPipeline.from_pretrained(tiny_base)


@pytest.fixture(scope="module")
def encoder(base):
    return base.load_text_encoder(torch.device("cpu"))


def diffusers_state(pipeline, prompt, clip_skip):
    if not hasattr(pipeline.text_encoder, "text_model"):
        # diffusers 0.42 asks for it when it skips layers, and transformers 5.6 took it away
        object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)
    embeds, _ = pipeline.encode_prompt(prompt, torch.device("cpu"), 1, False, clip_skip=clip_skip)
    return embeds[0]


@pytest.mark.parametrize("prompt", PROMPTS, ids=["short", "empty", "cut off"])
@pytest.mark.parametrize(("webui", "diffusers"), [(1, None), (2, 1)])
def test_text_states_are_those_of_diffusers_with_clip_skip_counted_as_the_webui_does(
    encoder, pipeline, prompt, webui, diffusers
):
    ours = encoder.encode([prompt], webui)[0]["hidden"]
    assert torch.equal(ours, diffusers_state(pipeline, prompt, diffusers))


def test_clip_skip_changes_the_state(encoder):
    first, second = (encoder.encode(["a dog"], clip_skip)[0]["hidden"] for clip_skip in (1, 2))
    assert (first - second).abs().max() > 0.01


def test_more_clip_skip_than_layers_is_refused(tiny_base):
    with pytest.raises(ConfigError, match=r"clip_skip=3: the text encoder of .* has 2 layers"):
        check_clip_skip(open_base(str(tiny_base)), 3)


def test_a_prompts_state_does_not_depend_on_its_neighbours(encoder):
    alone = encoder.encode(["a dog"], 1)[0]["hidden"]
    among = encoder.encode(["a cat", "a dog", "a much longer prompt of more words"], 1)[1]["hidden"]
    assert torch.equal(alone, among)


def test_text_shapes_are_those_of_the_states(base, encoder):
    state = encoder.encode(["a dog"], 1)[0]
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == dict(base.text_shapes())


def test_tokens_are_counted_without_start_and_end_and_beyond_what_is_seen(encoder):
    assert encoder.count_tokens("") == 0
    assert encoder.count_tokens("a") == 1
    assert encoder.count_tokens("a " * 100) == 100


def test_the_noise_schedule_is_that_of_the_ddpm_scheduler(base, tiny_base):
    scheduler = DDPMScheduler.from_pretrained(tiny_base, subfolder="scheduler")
    assert torch.equal(base.noise_schedule(), scheduler.alphas_cumprod)
    assert base.noise_schedule().shape == (1000,)


def test_noised_latents_are_those_of_the_ddpm_scheduler(base, tiny_base):
    from scumble.train.objective import add_noise, target_of

    scheduler = DDPMScheduler.from_pretrained(tiny_base, subfolder="scheduler", prediction_type="v_prediction")
    latents, noise, timesteps = torch.randn(3, 4, 4, 4), torch.randn(3, 4, 4, 4), torch.tensor([0, 500, 999])
    alpha_bar = base.noise_schedule()[timesteps]
    theirs = scheduler.add_noise(latents, noise, timesteps)
    torch.testing.assert_close(add_noise(latents, noise, alpha_bar), theirs)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    torch.testing.assert_close(target_of("v_prediction", latents, noise, alpha_bar), velocity)


def test_latents_have_the_moments_of_the_autoencoder_times_its_scale(base, pipeline):
    pixels = torch.rand(2, 3, 32, 32) * 2 - 1
    mean, std = base.load_autoencoder(torch.device("cpu")).encode(pixels)
    with torch.no_grad():
        posterior = pipeline.vae.encode(pixels).latent_dist
    torch.testing.assert_close(mean, posterior.mean * 0.18215)
    torch.testing.assert_close(std, posterior.std * 0.18215)


def test_decoding_undoes_the_scale(base, pipeline):
    latents = torch.randn(1, 4, 4, 4)
    ours = base.load_autoencoder(torch.device("cpu")).decode(latents)
    with torch.no_grad():
        theirs = pipeline.vae.decode(latents / 0.18215).sample
    torch.testing.assert_close(ours, theirs)


def test_the_denoiser_is_frozen_and_says_what_diffusers_says(base, pipeline, cpu):
    denoiser = base.load_denoiser(torch.float32, cpu)
    assert not any(parameter.requires_grad for parameter in denoiser.parameters())
    noisy, timesteps, states = torch.randn(2, 4, 4, 4), torch.tensor([10, 900]), torch.randn(2, 77, 32)
    with torch.no_grad():
        theirs = pipeline.unet(noisy, timesteps, states).sample
    assert torch.equal(base.predict(denoiser, noisy, timesteps, {"hidden": states}), theirs)


def test_the_empty_denoiser_has_the_layers_and_shapes_of_the_loaded_one(base, cpu):
    loaded, empty = base.load_denoiser(torch.float32, cpu).state_dict(), base.empty_denoiser().state_dict()
    assert {key: tensor.shape for key, tensor in empty.items()} == {key: tensor.shape for key, tensor in loaded.items()}
    assert all(tensor.is_meta for tensor in empty.values())


def test_every_published_layer_path_is_a_layer(base, encoder, cpu):
    paths = base.layer_paths()
    modules = {"unet": base.load_denoiser(torch.float32, cpu), **encoder.modules}
    assert {part: len(found) for part, found in paths.items()} == {"unet": 82, "text_encoder": 12}
    for part, found in paths.items():
        for path in found:
            assert modules[part].get_submodule(base.module_path(part, path, modules[part])).weight is not None
    assert all(path.startswith("text_model.encoder.layers.") for path in paths["text_encoder"])


def test_the_layers_of_a_base_are_found_once(base):
    assert base.layer_paths() is base.layer_paths()


def test_the_narrow_base_of_the_tests_has_the_exact_keys_of_sd_1_5s_denoiser(narrow_base):
    """The full size is diffusers' default UNet2DConditionModel with these two settings; 686 tensors, 860 million numbers."""
    with torch.device("meta"):
        full = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
    assert sum(parameter.numel() for parameter in full.parameters()) == 859_520_964
    narrow = open_base(str(narrow_base))
    assert list(narrow.empty_denoiser().state_dict()) == list(full.state_dict())
    assert len(narrow.layer_paths()["unet"]) == 184 + 98  # linear layers and convolutions


@pytest.fixture
def changed_base(tiny_base, tmp_path):
    return shutil.copytree(tiny_base, tmp_path / "changed")


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("vae/config.json", "vae"),
        ("vae/diffusion_pytorch_model.safetensors", "vae"),
        ("text_encoder/model.safetensors", "text_encoder"),
        ("tokenizer/merges.txt", "text_encoder"),
        ("unet/config.json", None),
    ],
)
def test_a_parts_hash_changes_when_any_of_its_files_does(changed_base, file, part):
    before = open_base(str(changed_base)).hashes()
    with (changed_base / file).open("ab") as stream:
        stream.write(b" ")
    after = open_base(str(changed_base)).hashes()
    assert {name for name in before if before[name] != after[name]} == ({part} if part else set())


def test_another_variant_of_the_files_has_another_hash(changed_base):
    plain, half = (open_base(str(changed_base), variant=variant).hashes() for variant in (None, "fp16"))
    assert all(plain[part] != half[part] for part in plain)


def test_the_schedulers_prediction_type_is_taken_and_can_be_overruled(changed_base):
    path = changed_base / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "prediction_type": "v_prediction"}))
    assert open_base(str(changed_base)).prediction_type == "v_prediction"
    assert open_base(str(changed_base), prediction_type="epsilon").prediction_type == "epsilon"


def test_files_for_it_say_sd_v1(base):
    identity = base.file_identity()
    assert (identity.base_version, identity.is_v2, identity.architecture) == (
        "sd_v1",
        False,
        "stable-diffusion-v1/lora",
    )

"""SDXL beside what diffusers' own pipeline says of the same folder: narrow channels, the exact blocks and keys."""

import json
import shutil

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

from scumble.adapters.targets import find_targets
from scumble.errors import BaseModelError, ConfigError
from scumble.families.base import Frame, check_clip_skip, frame_at
from scumble.families.checkpoint import shipped_configs
from scumble.families.find import open_base

PROMPT, NEGATIVE = "a handwritten three, red ink on yellow paper", "blue " * 100
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(sdxl_base):
    return open_base(str(sdxl_base))


@pytest.fixture(scope="module")
def pipeline(sdxl_base):
    return StableDiffusionXLPipeline.from_pretrained(sdxl_base, add_watermarker=False)


@pytest.fixture(scope="module")
def encoder(base):
    return base.load_text_encoder(CPU)


def test_a_folder_says_what_it_is(base):
    assert (base.family, base.resolution, base.pixels_per_latent, base.latent_channels) == ("sdxl", 64, 8, 4)
    assert (base.max_tokens, base.text_layers, base.prediction_type) == (75, 3, "epsilon")
    assert list(base.notes) == []


@pytest.mark.parametrize("prompt", [PROMPT, "", NEGATIVE], ids=["short", "empty", "cut off"])
@pytest.mark.parametrize(("webui", "diffusers"), [(1, None), (2, None), (2, 0), (3, 1)])
def test_text_states_are_those_of_diffusers_and_clip_skip_1_and_2_are_the_last_layer_but_one(
    encoder, pipeline, prompt, webui, diffusers
):
    ours = encoder.encode([prompt], webui)[0]
    hidden, _, pooled, _ = pipeline.encode_prompt(
        prompt, device=CPU, do_classifier_free_guidance=False, clip_skip=diffusers
    )
    assert torch.equal(ours["hidden"], hidden[0])
    assert torch.equal(ours["pooled"], pooled[0])


def test_the_two_tokenizers_pad_differently(encoder):
    padding = [
        clip.tokenizer("a", padding="max_length", max_length=77).input_ids[-1]
        for clip in (encoder.first, encoder.second)
    ]
    assert padding == [encoder.first.tokenizer.eos_token_id, 0]


def test_an_exclamation_mark_is_a_sign_and_no_filling(encoder):
    """transformers takes it for filling, because "!" is what fills up the second encoder's prompts."""
    first, second = (clip.framed(*clip.chunks("stop!", 1)) for clip in (encoder.first, encoder.second))
    end = first.index(encoder.first.tokenizer.eos_token_id)
    assert first[:end] == second[:end]
    assert encoder.second.tokenizer("stop!").input_ids[:end] != second[:end]


def test_more_clip_skip_than_layers_is_refused(base):
    with pytest.raises(ConfigError, match="clip_skip=4"):
        check_clip_skip(base, 4)


def test_text_shapes_are_those_of_the_states(base, encoder):
    state = encoder.encode(["a dog"], 1)[0]
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == dict(base.text_shapes())
    assert dict(base.text_shapes()) == {"hidden": (77, 64), "pooled": (48,)}


def test_a_frame_is_told_as_diffusers_tells_it(base, pipeline):
    frame = Frame(original_px=(1200, 800), crop_px=(30, 20), target_px=(1024, 768))
    theirs = pipeline._get_add_time_ids((800, 1200), (20, 30), (768, 1024), torch.float32, 48)
    assert torch.equal(base.frame_state(frame)["time_ids"], theirs[0])


def test_the_frame_at_is_the_crop_of_the_resized_picture():
    assert frame_at((1000, 500), (512, 512)) == Frame((1000, 500), (256, 0), (512, 512))
    assert frame_at((300, 600), (512, 256)) == Frame((300, 600), (0, 384), (512, 256))
    assert frame_at((640, 480), (640, 480)) == Frame.whole(640, 480)


@pytest.mark.parametrize("is_framed", [True, False], ids=["framed", "whole"])
def test_the_denoiser_says_what_diffusers_says(base, pipeline, is_framed):
    frame = Frame((100, 90), (3, 5), (64, 80)) if is_framed else Frame.whole(64, 80)
    time_ids = base.frame_state(frame)["time_ids"].repeat(2, 1)
    text = {"hidden": torch.randn(2, 77, 64), "pooled": torch.randn(2, 48)}
    noisy, timesteps = torch.randn(2, 4, 10, 8), torch.tensor([10, 900])
    with torch.no_grad():
        theirs = pipeline.unet(
            noisy,
            timesteps,
            text["hidden"],
            added_cond_kwargs={"text_embeds": text["pooled"], "time_ids": time_ids},
        ).sample
        ours = base.predict(
            base.load_denoiser(torch.float32, CPU),
            noisy,
            timesteps,
            {**text, "time_ids": time_ids} if is_framed else text,
        )
    assert torch.equal(ours, theirs)


def test_the_frame_and_the_pooled_state_change_the_answer(base):
    denoiser = base.load_denoiser(torch.float32, CPU)
    noisy, timesteps = torch.randn(1, 4, 8, 8), torch.tensor([500])
    text = {"hidden": torch.randn(1, 77, 64), "pooled": torch.randn(1, 48)}
    cropped = base.frame_state(Frame((500, 500), (200, 0), (64, 64)))["time_ids"][None]
    with torch.no_grad():
        plain, framed, pooled = (
            base.predict(denoiser, noisy, timesteps, {**text, **other})
            for other in ({}, {"time_ids": cropped}, {"pooled": torch.randn(1, 48)})
        )
    assert (framed - plain).abs().max() > 1e-3
    assert (pooled - plain).abs().max() > 1e-3


def test_half_precision_is_taken_and_the_autoencoder_stays_in_float32(base):
    text = {"hidden": torch.randn(1, 77, 64), "pooled": torch.randn(1, 48)}
    denoiser = base.load_denoiser(torch.bfloat16, CPU)
    with torch.no_grad():
        output = base.predict(denoiser, torch.randn(1, 4, 8, 8).bfloat16(), torch.tensor([500]), text)
    assert output.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in base.load_autoencoder(CPU).model.parameters()} == {torch.float32}


def test_the_scale_of_its_latents_is_its_own(base, pipeline):
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        theirs = pipeline.vae.decode(latents / 0.13025).sample
    assert torch.equal(base.load_autoencoder(CPU).decode(latents), theirs)


def test_every_published_layer_path_is_a_layer(base, encoder):
    paths = base.layer_paths()
    modules = {"unet": base.load_denoiser(torch.float32, CPU), **encoder.modules}
    assert {part: len(found) for part, found in paths.items()} == {
        "unet": 743 + 51,  # linear layers and convolutions
        "text_encoder": 18,
        "text_encoder_2": 24,
    }
    for part, found in paths.items():
        for path in found:
            assert modules[part].get_submodule(base.module_path(part, path, modules[part])).weight is not None


ALL_OF_THE_TRANSFORMERS = ("attention", "*.ff.net.0.proj", "*.ff.net.2", "*.proj_in", "*.proj_out")


def test_the_narrow_base_has_the_exact_keys_of_sdxls_denoiser_and_722_layers_to_adapt(base):
    """2,567,463,684 numbers: what the published UNet has."""
    with torch.device("meta"):
        full = UNet2DConditionModel.from_config(shipped_configs("sdxl")["unet"])
    assert sum(parameter.numel() for parameter in full.parameters()) == 2_567_463_684
    narrow = base.empty_denoiser()
    assert list(narrow.state_dict()) == list(full.state_dict())
    assert find_targets(full, ALL_OF_THE_TRANSFORMERS) == find_targets(narrow, ALL_OF_THE_TRANSFORMERS)
    assert len(find_targets(full, ALL_OF_THE_TRANSFORMERS)) == 722


def test_a_parts_hash_covers_both_text_encoders(sdxl_base, tmp_path):
    changed = shutil.copytree(sdxl_base, tmp_path / "changed")
    before = open_base(str(changed)).hashes()
    for place in ("text_encoder_2/model.safetensors", "tokenizer_2/vocab.json"):
        with (changed / place).open("ab") as stream:
            stream.write(b" ")
        after = open_base(str(changed)).hashes()
        assert after["text_encoder"] != before["text_encoder"]
        assert after["vae"] == before["vae"]
        before = after


def test_files_for_it_say_sdxl(base):
    identity = base.file_identity()
    assert (identity.base_version, identity.is_v2) == ("sdxl_base_v1-0", False)
    assert identity.architecture == "stable-diffusion-xl-v1-base/lora"
    assert identity.implementation == "https://github.com/Stability-AI/generative-models"


@pytest.mark.parametrize("zeros", [True, False])
def test_without_a_negative_prompt_guidance_steers_away_from_zeros_if_the_folder_says_so(sdxl_base, tmp_path, zeros):
    folder = shutil.copytree(sdxl_base, tmp_path / "base")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "force_zeros_for_empty_prompt": zeros}))
    empty = {"hidden": torch.ones(77, 64), "pooled": torch.ones(48)}
    away = open_base(str(folder)).without_prompt(empty)
    assert {name: bool(tensor.any()) for name, tensor in away.items()} == {"hidden": not zeros, "pooled": not zeros}


def test_the_refiner_is_refused(sdxl_base, tmp_path):
    folder = shutil.copytree(sdxl_base, tmp_path / "refiner")
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(BaseModelError, match="text encoders that no family here has"):
        open_base(str(folder))

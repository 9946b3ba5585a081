"""Pipeline folders with random weights, of any width: the classes and layer names of the published families."""

import json
from pathlib import Path

import torch

SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def write_base(
    folder: Path, channels, layers_per_block, cross_attention_dim, sample_size, seed, is_clip_sized=False
) -> Path:
    """A StableDiffusionPipeline folder; the blocks follow SD 1.5's order.

    Its tokenizer is the mini model's, or CLIP's own with its 49,408 tokens.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    tokenizer = _tokenizer(folder / "tokenizer", is_clip_sized)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=sample_size,
            block_out_channels=channels,
            norm_num_groups=8,
            cross_attention_dim=cross_attention_dim,
            attention_head_dim=4,
            layers_per_block=layers_per_block,
            down_block_types=("CrossAttnDownBlock2D",) * (len(channels) - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (len(channels) - 1),
        )
        vae = _autoencoder(sample_size, 0.18215)
        text_encoder = CLIPTextModel(_text_config(cross_attention_dim, 2, "quick_gelu", is_clip_sized))
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def write_sd2_base(folder: Path, seed, is_clip_sized=False) -> Path:
    """Stable Diffusion 2.1's block structure and exact keys, narrow; 23 text layers, v-prediction, 64 px."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32, 64, 64),
            norm_num_groups=8,
            cross_attention_dim=32,
            attention_head_dim=(2, 4, 8, 8),
            use_linear_projection=True,
            upcast_attention=True,
        )
        vae = _autoencoder(8, 0.18215)
        text_encoder = CLIPTextModel(_text_config(32, 23, "gelu", is_clip_sized))
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=_tokenizer(folder / "tokenizer", is_clip_sized, pad_token="!"),
        unet=unet,
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def write_sdxl_base(folder: Path, seed, is_clip_sized=False) -> Path:
    """SDXL's block structure and its UNet's exact keys, narrow; two text encoders of different width, 64 px."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(2, 4, 8),
            norm_num_groups=8,
            cross_attention_dim=24 + 40,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=48 + 6 * 8,
        )
        vae = _autoencoder(8, 0.13025)
        text_encoder = CLIPTextModel(_text_config(24, 3, "quick_gelu", is_clip_sized))
        text_encoder_2 = CLIPTextModelWithProjection(_text_config(40, 4, "gelu", is_clip_sized, projection_dim=48))
    StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=_tokenizer(folder / "tokenizer", is_clip_sized),
        tokenizer_2=_tokenizer(folder / "tokenizer_2", is_clip_sized, pad_token="!"),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading"),
    ).save_pretrained(folder)
    return folder


def _tokenizer(folder, is_clip_sized, **marks):
    """The mini model's vocabulary or CLIP's own; "!" is the first token of both."""
    from transformers import CLIPTokenizer

    from scumble.families import vocabulary
    from scumble.mini import tokenizer

    if is_clip_sized:
        folder.mkdir(parents=True)
        vocabulary.write_tokenizer(vocabulary.shipped_vocabulary(), folder)
    else:
        tokenizer.write_tokenizer(folder)
    place = folder / "special_tokens_map.json"  # saving again does not renew it
    place.write_text(json.dumps({**json.loads(place.read_text()), **marks}))
    return CLIPTokenizer.from_pretrained(folder, **marks)


def _text_config(width, num_layers, activation, is_clip_sized, projection_dim=512):
    """A narrow CLIP text model; the published ones give wrong numbers of their marks, as transformers knows."""
    from transformers import CLIPTextConfig

    from scumble.mini.tokenizer import END, START, WORDS, learn_merges, vocabulary

    tokens = vocabulary(learn_merges(WORDS))
    marks = {"bos_token_id": tokens[START], "eos_token_id": tokens[END], "pad_token_id": tokens[END]}
    published = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    return CLIPTextConfig(
        vocab_size=49_408 if is_clip_sized else len(tokens),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        hidden_act=activation,
        projection_dim=projection_dim,
        **(published if is_clip_sized else marks),
    )


def _autoencoder(sample_size, scale):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=8 * sample_size,
        scaling_factor=scale,
    )

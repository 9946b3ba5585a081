"""Pipeline folders with random weights, of any width: the classes and layer names of Stable Diffusion 1.5."""

from pathlib import Path

import torch


def write_base(folder: Path, channels, layers_per_block, cross_attention_dim, sample_size, seed) -> Path:
    """A StableDiffusionPipeline folder with the mini model's tokenizer; the blocks follow SD 1.5's order."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from scumble.mini.tokenizer import END, START, WORDS, learn_merges, vocabulary, write_tokenizer

    tokens = vocabulary(learn_merges(WORDS))
    write_tokenizer(folder / "tokenizer")
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
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            sample_size=8 * sample_size,
            scaling_factor=0.18215,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokens),
                hidden_size=cross_attention_dim,
                intermediate_size=2 * cross_attention_dim,
                num_hidden_layers=2,
                num_attention_heads=4,
                bos_token_id=tokens[START],
                eos_token_id=tokens[END],
                pad_token_id=tokens[END],
            )
        )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder

"""Published architectures at their full size, with random weights: nothing is downloaded."""

from pathlib import Path

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def write_sd15(folder: Path) -> Path:
    """Stable Diffusion 1.5's own settings, 860M parameters in the UNet, float16 files; kept if it is there already."""
    if (folder / "model_index.json").exists():
        return folder
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from scumble.mini.tokenizer import write_tokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408
        )
    )
    write_tokenizer(folder / "tokenizer")
    StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet.half(),
        scheduler=PNDMScheduler(**NOISE, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def write_sdxl(folder: Path) -> Path:
    """SDXL's own settings, 2.6B parameters in the UNet, float16 files; kept if it is there already."""
    if (folder / "model_index.json").exists():
        return folder
    from scumble.families.checkpoint import shipped_configs

    return _write_pipeline(folder, shipped_configs("sdxl"), "StableDiffusionXLPipeline")


def write_narrow(folder: Path, family: str) -> Path:
    """The blocks of "sd1" or "sdxl" with few channels, for trying a bench out where its own bases are too large."""
    if (folder / "model_index.json").exists():
        return folder
    from scumble.families.checkpoint import shipped_configs

    configs = {part: dict(config) for part, config in shipped_configs(family).items()}
    widths = [32 * min(place + 1, 2) for place in range(len(configs["unet"]["block_out_channels"]))]
    configs["unet"] |= {"block_out_channels": widths, "attention_head_dim": 4, "cross_attention_dim": 64}
    configs["vae"] |= {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1}
    thin = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3}
    configs["text_encoder"] |= thin
    if family == "sd1":
        return _write_pipeline(folder, configs, "StableDiffusionPipeline")
    configs["text_encoder"] |= {"hidden_size": 32}
    configs["text_encoder_2"] |= {**thin, "hidden_size": 32, "projection_dim": 32}
    configs["unet"] |= {
        "transformer_layers_per_block": [1, 1, 1],
        "projection_class_embeddings_input_dim": 32 + 6 * 256,
    }
    return _write_pipeline(folder, configs, "StableDiffusionXLPipeline")


def _write_pipeline(folder: Path, configs, kind: str) -> Path:
    """Random numbers, made on the GPU where there is one: on a CPU those of SDXL take minutes."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from scumble.mini.tokenizer import write_tokenizer

    torch.manual_seed(0)
    write_tokenizer(folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        parts = {
            "unet": diffusers.UNet2DConditionModel.from_config(configs["unet"]),
            "vae": diffusers.AutoencoderKL.from_config(configs["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"])),
        }
        if "text_encoder_2" in configs:
            second = CLIPTextConfig.from_dict(configs["text_encoder_2"])
            parts["text_encoder_2"] = CLIPTextModelWithProjection(second)
    parts = {name: part.half() for name, part in parts.items()}
    if "text_encoder_2" in parts:
        parts |= {"tokenizer_2": tokenizer}
    else:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    scheduler = diffusers.DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False)
    getattr(diffusers, kind)(tokenizer=tokenizer, scheduler=scheduler, **parts).save_pretrained(folder)
    return folder

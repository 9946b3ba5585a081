"""The mini model's four parts: SD 1.5's classes and layer names, only tiny. 64 px RGB pictures, latents 4 x 8 x 8."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from scumble.families.base import Advice
from scumble.families.folder import ADVICE_FILE
from scumble.mini.tokenizer import END, MAX_TOKENS, START, WORDS, learn_merges, vocabulary, write_tokenizer

SIZE_PX = 64
LATENT_CHANNELS = 4
LATENT_SIZE = 8
LATENT_SCALE = 0.18215  # SD 1.5's scaling_factor; pretraining folds the latents' normalisation so that it fits
WIDTH = 128
NUM_HEADS = 4
ADVICE = Advice(learning_rate=1e-3, guidance_scale=4.0)

Module = TypeVar("Module", bound=torch.nn.Module)


@dataclass
class MiniModel:
    """The trainable parts of the pipeline."""

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel


def build_autoencoder() -> AutoencoderKL:
    """Pictures [B, 3, 64, 64] in -1..1 to latents [B, 4, 8, 8] and back; 1.1 million weights."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(24, 48, 64, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE_PX,
        scaling_factor=LATENT_SCALE,
    )


def build_text_encoder() -> CLIPTextModel:
    """77 tokens to states [B, 77, 128]; 0.5 million weights."""
    tokens = vocabulary(learn_merges(WORDS))
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=NUM_HEADS,
            max_position_embeddings=MAX_TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=tokens[START],
            eos_token_id=tokens[END],
            pad_token_id=tokens[END],
        )
    )


def build_denoiser() -> UNet2DConditionModel:
    """Noise in latents [B, 4, 8, 8], given timesteps [B] and text states [B, 77, 128]; 5.4 million weights."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(96, WIDTH),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=NUM_HEADS,  # diffusers' name for the number of heads, as in SD 1.5's config
        norm_num_groups=32,
    )


def build_scheduler() -> DDIMScheduler:
    """SD 1.5's noise schedule: scaled-linear betas, epsilon prediction, 1000 timesteps."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def build(seed: int) -> MiniModel:
    """The untrained model, float32; its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the libraries' initialisers know no explicit generator
        return MiniModel(build_autoencoder(), build_text_encoder(), build_denoiser())


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer written into `folder` by write_tokenizer."""
    return CLIPTokenizer.from_pretrained(folder)


def save_pipeline(model: MiniModel, folder: Path) -> None:
    """Write `model` as an ordinary Stable Diffusion pipeline folder with float16 weights."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline  # slow import
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar for one small file
    write_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=_half(model.vae, build_autoencoder()),
        text_encoder=_half(model.text_encoder, build_text_encoder()),
        tokenizer=read_tokenizer(folder / "tokenizer"),
        unet=_half(model.unet, build_denoiser()),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    _load_in_float32_by_default(folder / "text_encoder" / "config.json")
    (folder / ADVICE_FILE).write_text(json.dumps(asdict(ADVICE)) + "\n", encoding="utf-8", newline="\n")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)  # some writers leave them readable by their owner alone


def _load_in_float32_by_default(config: Path) -> None:
    """Transformers loads a model in the config's dtype where diffusers takes float32; a pipeline needs one of both."""
    settings = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"}
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8", newline="\n")


def _half(trained: Module, copy: Module) -> Module:
    """`copy` with the weights of `trained`, in float16; the trained module stays as it is."""
    copy.load_state_dict(trained.state_dict())
    return copy.half().eval()

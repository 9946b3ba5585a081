"""What is said of the settings of a base model, in training and in drawing alike."""

PRESET_HELP = (
    "base model: by a name that many train on (sd15, sd21, sdxl, pony, illustrious, noobai-vpred); sets what is left open "
    "of base, clip_skip, resolution, guidance_scale, prediction_type and zero_terminal_snr"
)
VAE_HELP = "another autoencoder than the base's own: hub id, folder or .safetensors file"
PREDICTION_HELP = "what the denoiser predicts; none = as the preset, else the base says, else the denoiser is asked"
ZERO_SNR_HELP = "whether the base's noise schedule ends in pure noise; none = as the preset, else the base says"
CLIP_SKIP_HELP = (
    "text encoder layer used, counted as the WebUI does: 1 = last, 2 = last but one; a base with two text encoders "
    "takes the last but one for both; none = as the preset, else the base advises, else 1"
)

"""A CLIPModel with random weights: real classes, real files, the mini model's words."""

import torch

from scumble.mini import tokenizer
from scumble.mini.tokenizer import END, START, WORDS, learn_merges, vocabulary


def write_clip(folder, seed):
    """A folder as save_pretrained writes it: 32 px pictures, 24 numbers a picture or text, 77 places for tokens."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    tokens = vocabulary(learn_merges(WORDS))
    marks = {"bos_token_id": tokens[START], "eos_token_id": tokens[END], "pad_token_id": tokens[END]}
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={"vocab_size": len(tokens), **marks, **narrow},
        vision_config={"image_size": 32, "patch_size": 8, **narrow},
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data = torch.randn(weight.shape) * 0.3  # wide enough that pictures differ
    model.save_pretrained(folder)
    tokenizer.write_tokenizer(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, CLIPTokenizer.from_pretrained(folder)).save_pretrained(folder)
    return folder

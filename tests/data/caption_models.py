"""Captioners with random weights: the real classes, saved as their own programs save them, with words of our own."""

import csv
from pathlib import Path

import numpy as np
import torch

SAID = (
    "a an the and of on in with photo picture dog cat red green blue black white big small old two three sits runs "
    "stands field house tree sky grass table chair what does image describe detail is shown paragraph this one sentence"
)
WORDS = SAID.split()
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert_tokenizer(max_length=64):
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ".", ",", ":", "?"]
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)}, model_max_length=max_length)


def write_blip(folder: Path, seed: int = 0, words_only: bool = False) -> Path:
    """BlipForConditionalGeneration with BERT's tokenizer; 32 px pictures.

    Args:
        words_only: no caption has a mark or an end, so that each is as long as it may be.
    """
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        BlipTextConfig,
        BlipVisionConfig,
    )

    tokenizer = bert_tokenizer()
    beginning = len(tokenizer)  # as published: the mark of a beginning is a token that the tokenizer does not know
    marks = {"bos_token_id": beginning, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = BlipTextConfig(
        vocab_size=len(tokenizer) + 2,
        encoder_hidden_size=16,
        projection_dim=16,
        max_position_embeddings=128,
        **VISION,
        **marks,
    )
    vision = BlipVisionConfig(image_size=32, patch_size=8, projection_dim=16, **VISION)
    config = BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    model = _made(lambda: BlipForConditionalGeneration(config), seed)
    if words_only:
        words = tokenizer.convert_tokens_to_ids(WORDS)
        bias = model.text_decoder.cls.predictions.bias.data
        bias.fill_(-1e3)[words] = 0
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def write_florence(folder: Path, seed: int = 0) -> Path:
    """Florence2ForConditionalGeneration: a DaViT of four stages and BART; 64 px pictures."""
    from transformers import (
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        Florence2VisionConfig,
    )

    tokenizer = bart_tokenizer()
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1),
        embed_dim=(8, 8, 16, 16),
        num_heads=(1, 1, 2, 2),
        num_groups=(1, 1, 2, 2),
        window_size=4,
        projection_dim=16,
    )
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    config = Florence2Config(
        vision_config=vision.to_dict(),
        text_config=text,
        image_token_id=tokenizer.image_token_id,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    model = _made(lambda: Florence2ForConditionalGeneration(config), seed)
    model.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5  # 2 x 2 places and their mean
    Florence2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder


def bart_tokenizer():
    """BART's class; each of our words is one token, any other text goes by its bytes."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import BartTokenizer

    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    merges = []
    for word in WORDS:
        whole = "\u0120"
        for letter in word:
            merges.append((whole, letter))
            whole += letter
            tokens.append(whole)
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return BartTokenizer(
        vocab=vocab,
        merges=list(dict.fromkeys(merges)),
        model_max_length=128,
        extra_special_tokens={"image_token": "<image>"},
    )


def write_git(folder: Path, seed: int = 0) -> Path:
    """GitForCausalLM: a decoder that sees the picture before the words; 32 px pictures."""
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    tokenizer = bert_tokenizer()
    config = GitConfig(
        vision_config={"image_size": 32, "patch_size": 8, **VISION},
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        **VISION,
    )
    _made(lambda: GitForCausalLM(config), seed).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    GitProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def write_encoder_decoder(folder: Path, seed: int = 0) -> Path:
    """VisionEncoderDecoderModel of ViT and GPT-2; tokenizer and picture settings lie apart, without a processor."""
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
    )

    tokenizer = bert_tokenizer()
    encoder = ViTConfig(image_size=32, patch_size=8, **VISION)
    decoder = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        is_decoder=True,
        add_cross_attention=True,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = _made(lambda: VisionEncoderDecoderModel(encoder=ViTModel(encoder), decoder=GPT2LMHeadModel(decoder)), seed)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id, settings.pad_token_id, settings.eos_token_id = 2, 0, 3
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}{% endfor %} :"
)


def write_llava(folder: Path, seed: int = 0) -> Path:
    """LlavaForConditionalGeneration, which is talked to through a chat template; 32 px pictures."""
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = bert_tokenizer(256)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    text = {"model_type": "llama", "vocab_size": len(tokenizer), "max_position_embeddings": 256, **VISION}
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, **VISION},
        text_config=text | {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    _made(lambda: LlavaForConditionalGeneration(config), seed).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    processor.save_pretrained(folder)
    return folder


def _made(make, seed):
    """The model, its weights wide enough that different pictures get different words."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data = torch.randn(weight.shape) * 0.5
    return model


TAGS = {"general": 9, "sensitive": 9, "1girl": 0, "long_hair": 0, "o_o": 0, "hatsune_miku": 4, "red_car": 0}
"""The tiny tagger's tags -> their category."""


def write_tagger(folder: Path, batch="batch", side: int = 16, num_outputs: int | None = None) -> Path:
    """model.onnx and selected_tags.csv; each probability is a sigmoid of the mean blue, green and red."""
    from onnx import TensorProto, helper, numpy_helper, save

    num_tags = num_outputs or len(TAGS)
    # a tag's probability rises with one colour: 1girl with blue, long_hair with green, red_car and the name with red
    weights = np.zeros((3, num_tags), np.float32)
    for channel, index in ((0, 2), (1, 3), (2, 5), (2, 6), (0, 0), (0, 4)):
        weights[channel, index % num_tags] = 8 / 255
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input", "places"], ["means"], keepdims=0),
            helper.make_node("Gemm", ["means", "weights", "bias"], ["scores"]),
            helper.make_node("Sigmoid", ["scores"], ["output"]),
        ],
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, side, side, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, num_tags])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "places"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.full(num_tags, -4, np.float32), "bias"),
        ],
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    save(model, folder / "model.onnx")
    with (folder / "selected_tags.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["tag_id", "name", "category", "count"])
        rows.writerows([index, name, category, 100] for index, (name, category) in enumerate(TAGS.items()))
    return folder

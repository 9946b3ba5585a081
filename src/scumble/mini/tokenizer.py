"""The mini model's tokenizer: CLIP's kind (bytes, bytes that end a word, merges), with its own small vocabulary.

Every byte has a token, so any prompt tokenises; every word of WORDS is one token.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from scumble.mini.captions import DIGIT_WORDS
from scumble.mini.paint import INKS, LOOKS, PAPERS, RARE_INKS, RARE_PAPERS

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
MAX_TOKENS = 77  # as in SD 1.5, with both marks
FRAME_WORDS = ("a", "an", "the", "fancy", "of", "on", "in", "with", "and", "handwritten", "digit", "ink", "paper", "style",
               "picture", "photo", "drawing", "number", "line", "lines", "light", "bright", "big", "small")  # fmt: skip
WORDS = tuple(dict.fromkeys([*FRAME_WORDS, *DIGIT_WORDS, *INKS, *PAPERS, *RARE_INKS, *RARE_PAPERS, *LOOKS]))

Pair = tuple[str, str]


def byte_characters() -> list[str]:
    """The 256 printable characters that stand for bytes in GPT-2's and CLIP's vocabularies, in CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def learn_merges(words: Iterable[str]) -> list[Pair]:
    """Byte-pair merges, most frequent pair first (ties: alphabetical), until each of the words is one token.

    Args:
        words: lower-case ASCII words.
    """
    split = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges: list[Pair] = []
    while True:
        counts = Counter(pair for parts in split for pair in pairwise(parts))
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        split = [_merged(parts, best) for parts in split]


def vocabulary(merges: Iterable[Pair]) -> dict[str, int]:
    """Token -> id: bytes, bytes that end a word, merges, the start mark, the end mark (which also pads)."""
    characters = byte_characters()
    tokens = [*characters, *(c + END_OF_WORD for c in characters), *(a + b for a, b in merges), START, END]
    return {token: index for index, token in enumerate(tokens)}


def write_tokenizer(folder: Path) -> int:
    """Write the files of a CLIPTokenizer into `folder`; returns the number of tokens."""
    merges = learn_merges(WORDS)
    tokens = vocabulary(merges)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "vocab.json", json.dumps(tokens, ensure_ascii=False))
    _write(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    _write(folder / "special_tokens_map.json", json.dumps(marks, indent=2))
    config = {**marks, "tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_TOKENS, "do_lower_case": True,
              "errors": "replace", "add_prefix_space": False}  # fmt: skip
    _write(folder / "tokenizer_config.json", json.dumps(config, indent=2))
    return len(tokens)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _merged(parts: list[str], pair: Pair) -> list[str]:
    """`parts` with each neighbouring occurrence of `pair` joined, left to right."""
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined

"""Are weights, BREAKs and chunks of a prompt those of A1111's WebUI? Its own parser, chunking and emphasis beside ours.

The prompts are made of pieces drawn at random. Three things are compared: what the parser makes of a prompt, the tokens and
weights of its chunks (CLIP's own vocabulary), and the states of the model in the box, by the WebUI's whole text encoding.

    python bench/webui_prompts.py --checkout A1111 --prompts 20000
    python bench/webui_prompts.py --checkout A1111 --golden tests/golden/webui_prompts.json

Modules of the WebUI that have no part in this are stand-ins. Results go to bench/results/.
"""

import argparse
import datetime
import json
import random
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from scumble.errors import ConfigError
from scumble.families.chunks import Section
from scumble.families.clip import Clip
from scumble.families.find import open_base
from scumble.families.vocabulary import clip_tokenizer
from scumble.generate.weighted import parse_weights, prompt_states

PIECES = (
    "a", "red", "line", "handwritten three", " ", ", ", ",", "\n", "(", ")", "((", "))", "[", "]", ":1.2)", ": 0.5 )", ":-1)",
    ":)", ":", "\\", "\\(", "\\)", "\\[", "\\]", "\\\\", "BREAK", " BREAK ", "BREAKFAST", "12:30", ":.)", "ink on paper",
)  # fmt: skip
GOLDEN = (
    "", "a dog", "a (dog)", "a ((dog))", "a [dog]", "a [[dog]]", "a (dog:1.2)", "a (dog : 0.5 ), a cat", "(a (red:1.5) dog:0.8)",
    "(a [red] dog)", "[a (red:1.5) dog]", "(unclosed dog", "unopened) dog", "[unclosed dog", ":) a smile", "at 12:30 h",
    r"a \(dog:1.2\)", r"a \\ dog", r"a \dog", "(crossed [brackets) here]", "((a:1.1) b:1.2)", "(dog:-1)", "(dog:0)", "a:1.2)",
    "a dog BREAK a cat", "a dog,\nBREAK\n(a cat:1.2)", "BREAK a", "a BREAK", "a BREAK BREAK b", "BREAKFAST", "()a", "(:1.2)",
    "a red line " * 26, "a red line " * 20 + ", " + "an old style " * 10, "a red line, " * 40,
    "a red line " * 24 + "(an old, old style:1.3) " * 3, "a red line " * 26 + " BREAK " + "a dog, " * 60,
)  # fmt: skip


def webui(checkout: Path) -> Any:
    """Its module of text encoding."""
    options = SimpleNamespace(
        emphasis="Original",
        comma_padding_backtrack=20,
        use_old_emphasis_implementation=False,
        textual_inversion_add_hashes_to_infotext=False,
        CLIP_stop_at_last_layers=1,
    )
    stand_ins: dict[str, dict[str, Any]] = {
        "lark": {"Lark": lambda *_: None, "Visitor": object, "Transformer": object},
        "modules": {"__path__": [str(checkout / "modules")]},
        "modules.devices": {"device": torch.device("cpu"), "torch_npu_set_device": lambda: None},
        "modules.shared": {"opts": options},
        "modules.sd_hijack": {"model_hijack": _hijack()},
    }
    for name, contents in stand_ins.items():
        module = ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    from modules import sd_hijack_clip

    return sd_hijack_clip


def _hijack() -> SimpleNamespace:
    embeddings = SimpleNamespace(find_embedding_at_position=lambda tokens, position: (None, None))
    return SimpleNamespace(embedding_db=embeddings, extra_generation_params={}, fixes=None)


def embedder(host: Any, clip: Clip) -> Any:
    """The WebUI's text encoder around a tokenizer and a text model."""
    wrapped = SimpleNamespace(tokenizer=clip.tokenizer, transformer=_TextModel(clip.model))
    return host.FrozenCLIPEmbedderWithCustomWords(wrapped, _hijack())


class _TextModel:
    """A text model as the WebUI's transformers had it, with a part `text_model`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.text_model = getattr(model, "text_model", model)

    def __call__(self, **inputs: Any) -> Any:
        return self.model(input_ids=inputs["input_ids"], output_hidden_states=True)


def flat(sections: tuple[Section, ...]) -> list[list[object]]:
    """Our sections as the WebUI writes them; texts that are empty say nothing."""
    pairs: list[list[object]] = []
    for index, section in enumerate(sections):
        pairs += [["BREAK", -1]] if index else []
        pairs += [[words.text, words.weight] for words in section]
    return pairs


def theirs_of(host: Any, prompt: str) -> list[list[object]] | None:
    """What the WebUI's parser says, or None where it stops with an error."""
    try:
        return [[text, weight] for text, weight in host.prompt_parser.parse_prompt_attention(prompt) if text]
    except ValueError:
        return None


def chunks_of(embedder: Any, prompt: str) -> list[dict[str, list[float]]]:
    """Tokens and weights of the WebUI's chunks, with start and end."""
    chunks, _ = embedder.tokenize_line(prompt)
    return [{"tokens": chunk.tokens, "weights": chunk.multipliers} for chunk in chunks]


def without_marks(chunks: list[dict[str, list[float]]]) -> list[dict[str, list[float]]]:
    """Chunks without start, end and filling."""
    ends = [chunk["tokens"].index(chunk["tokens"][-1]) for chunk in chunks]
    return [{name: row[1:end] for name, row in chunk.items()} for chunk, end in zip(chunks, ends, strict=True)]


def our_chunks(clip: Clip, prompt: str) -> list[dict[str, list[float]]]:
    """The same of ours."""
    return [
        {"tokens": clip.framed(chunk), "weights": [1.0, *chunk.weights, *[1.0] * (76 - len(chunk.weights))]}
        for chunk in clip.chunks(parse_weights(prompt))
    ]


def compare(host: Any, prompts: list[str]) -> dict[str, object]:
    """How many prompts mean the same to both."""
    vocabulary = Clip(clip_tokenizer("<|endoftext|>"), None, 75)
    mini = open_base("mini").load_text_encoder(torch.device("cpu"))
    by_tokens, by_states = embedder(host, vocabulary), embedder(host, mini.clip)  # type: ignore[attr-defined]
    counts = dict.fromkeys(("prompts", "parsed alike", "refused by both", "chunked alike", "BREAK in brackets"), 0)
    different: list[str] = []
    errors: list[float] = []
    for index, prompt in enumerate(prompts):
        counts["prompts"] += 1
        theirs = theirs_of(host, prompt)
        try:
            ours = flat(parse_weights(prompt))
        except ConfigError:
            counts["refused by both"] += theirs is None
            different += [prompt] if theirs is not None else []
            continue
        if theirs is None:
            different.append(prompt)
        elif any(re.fullmatch("BREAK", str(text)) and weight != -1 for text, weight in theirs):
            counts["BREAK in brackets"] += 1
        else:
            counts["parsed alike"] += ours == theirs
            is_same = our_chunks(vocabulary, prompt) == chunks_of(by_tokens, prompt)
            counts["chunked alike"] += is_same
            different += [] if ours == theirs and is_same else [prompt]
            if index % 20 == 0:
                with torch.no_grad():
                    state = by_states([prompt])[0]
                    errors.append(float((prompt_states(mini, [prompt], 1)[0]["hidden"] - state).abs().max()))
    return {**counts, "different": different[:5], "states compared": len(errors), "largest difference": max(errors)}


def drawn(number: int, seed: int) -> list[str]:
    """Prompts of three pieces up to two hundred, each of a few kinds of pieces or of all."""
    source = random.Random(seed)
    prompts = []
    for _ in range(number):
        kinds = source.sample(PIECES, source.choice((4, 8, 16, len(PIECES))))
        prompts.append("".join(source.choices(kinds, k=source.choice((3, 10, 30, 200)))))
    return prompts


def main() -> None:
    """Compare, or write what the tests hold against the parser."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--checkout", type=Path, required=True, help="folder of the WebUI's sources")
    arguments.add_argument("--prompts", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--golden", type=Path, help="write this file instead of comparing")
    options = arguments.parse_args()
    host = webui(options.checkout)
    if options.golden is not None:
        encoder = embedder(host, Clip(clip_tokenizer("<|endoftext|>"), None, 75))
        cases = [
            {"prompt": prompt, "parsed": theirs_of(host, prompt), "chunks": without_marks(chunks_of(encoder, prompt))}
            for prompt in GOLDEN
        ]
        text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
        options.golden.write_text(text, encoding="utf-8", newline="\n")
        return
    newest = re.search(r"^## (\S+)", (options.checkout / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    result = {
        "date": datetime.date.today().isoformat(),
        "command": f"python bench/webui_prompts.py --checkout A1111 --prompts {options.prompts} --seed {options.seed}",
        "WebUI": newest[1] if newest else "unknown",
        "torch": version("torch"),
        "transformers": version("transformers"),
        **compare(host, drawn(options.prompts, options.seed)),
    }
    text = json.dumps(result, indent=1)
    print(text)
    out = Path(__file__).parent / "results" / f"{datetime.date.today()}-webui-prompts.json"
    out.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

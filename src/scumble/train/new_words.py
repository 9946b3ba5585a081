"""New words in training: which they are, what they start from, and the vectors that are trained.

Textual inversion (Gal et al. 2022, arXiv:2208.01618) trains them alone; pivotal tuning trains them and an adapter at once.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scumble.config import TokensConfig, TrainConfig, parse_new_tokens
from scumble.data.scan import Example
from scumble.errors import ConfigError
from scumble.families.base import TextEncoder
from scumble.files.embeddings import Embeddings
from scumble.files.lorafile import LoraFile
from scumble.generate.events import Noted
from scumble.quantities import counted

PLANNED = "planned"


@dataclass(frozen=True)
class PlannedWord:
    """A word that a run teaches.

    Attributes:
        word: as captions and prompts have it.
        num_vectors: tokens that it takes the place of.
        start: the words that it starts from.
        vectors: those to go on from, by model part; {} = those of `start`.
    """

    word: str
    num_vectors: int
    start: str = ""
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """ "sks: 2 vectors, from 'dog'"."""
        count = counted(self.num_vectors, "vector")
        return f"{self.word}: {count}, " + ("going on" if self.vectors else f"from '{self.start}'")

    def first_vectors(self, encoder: TextEncoder) -> dict[str, Tensor]:
        """What it starts as: model part -> [V, D], float32.

        Args:
            encoder: of the base, with its own words alone in use.
        """
        found = self.vectors or encoder.first_vectors(self.start, self.num_vectors)
        return {part: tensor.detach().float().clone() for part, tensor in found.items()}


def planned_words(tokens: TokensConfig, init: LoraFile | None) -> tuple[PlannedWord, ...]:
    """The words that a run teaches: those of the LoRA that it goes on from, and new ones.

    Raises:
        ConfigError: a new word is in that LoRA.
    """
    old = {} if init is None else init.embeddings
    words = [PlannedWord(word, len(vectors["text_encoder"]), vectors=vectors) for word, vectors in old.items()]
    for word, start in parse_new_tokens(tokens.new_tokens).items():
        if word.casefold() in map(str.casefold, old):
            raise ConfigError(f"new_tokens: init_lora has the word '{word}', which is trained on; leave it out")
        words.append(PlannedWord(word, tokens.num_vectors, start or tokens.initializer_token or word))
    return tuple(words)


def empty_words(words: Iterable[PlannedWord], modules: Mapping[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
    """The words with their vectors in each text encoder, without numbers.

    Args:
        words: of the run.
        modules: model part -> its module, with numbers or without.
    """
    widths = {part: _width(module) for part, module in modules.items() if part != "unet"}
    return {
        each.word: {part: torch.empty(each.num_vectors, width, device="meta") for part, width in widths.items()}
        for each in words
    }


def _width(text_model: nn.Module) -> int:
    """Of its states: its first layer's input."""
    return next(layer.in_features for layer in text_model.modules() if isinstance(layer, nn.Linear))


def word_remarks(words: Iterable[PlannedWord], examples: Sequence[Example]) -> list[Noted]:
    """What the person should know of the words that their pictures are to teach.

    Args:
        words: of the run.
        examples: the pictures that are trained on.
    Raises:
        ConfigError: a word is in no caption.
    """
    notes = []
    for each in words:
        has = [any(has_word(caption, each.word) for caption in example.captions) for example in examples]
        if not any(has):
            raise ConfigError(
                f"the new word '{each.word}' is in no caption, and would learn nothing: write it into the captions, or give "
                f"them by --caption 'a photo of {each.word}'"
            )
        if not all(has):
            first = examples[has.index(False)].path.name
            text = (
                f"the new word '{each.word}' is missing from {has.count(False)} of {len(has)} captions, first {first}"
            )
            notes.append(Noted(text, warning=True))
    return notes


def has_word(text: str, word: str) -> bool:
    """Whether a text has a word, in whatever capitals, and not as a part of another."""
    return re.search(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])", text, re.IGNORECASE) is not None


def more_tokens(text: str, words: Iterable[PlannedWord]) -> int:
    """Vectors that stand for the words in a text, at most."""
    return sum(each.num_vectors * text.casefold().count(each.word.casefold()) for each in words)


def start_remarks(words: Iterable[PlannedWord], encoder: TextEncoder) -> Iterator[Noted]:
    """What the tokenizer makes of the words that a run starts from."""
    for each in words:
        if each.vectors:
            continue
        count = encoder.count_tokens(each.start)
        if count == 0:
            raise ConfigError(
                f"new_tokens: the tokenizer makes nothing of '{each.start}', from which '{each.word}' starts"
            )
        if count > each.num_vectors:
            yield Noted(
                f"the new word '{each.word}' starts from '{each.start}', {count} tokens: a vector starts as the mean of "
                f"several; num_vectors = {count} has one for each"
            )
        if encoder.count_tokens(each.word) == 1 and each.start != each.word:
            yield Noted(
                f"'{each.word}' is a token of the base too: what the base knows by it is not heard where the LoRA is in use"
            )


@contextmanager
def first_words(encoder: TextEncoder, words: Sequence[PlannedWord]) -> Iterator[None]:
    """Within the with-block, the text encoder reads the words as they are at the start of a run."""
    encoder.words.add(PLANNED, {each.word: each.first_vectors(encoder) for each in words})
    try:
        with encoder.words.only([PLANNED]):
            yield
    finally:
        encoder.words.remove(PLANNED)


@dataclass(frozen=True)
class TrainedWords:
    """The vectors of a run's words, and what is done to them in each step.

    Attributes:
        vectors: word -> model part -> [V, D], float32.
        stop_at: optimizer steps after which they stay as they are; None = never.
        keeps_lengths: whether each vector is scaled back to its first length after each step.
    """

    vectors: Mapping[str, Mapping[str, nn.Parameter]] = field(default_factory=dict)
    stop_at: int | None = None
    keeps_lengths: bool = False
    _lengths: list[Tensor] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._lengths.extend(_lengths_of(parameter) for parameter in self.parameters.values())

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Key -> trainable vectors."""
        return {
            key_of(word, part): parameter for word, parts in self.vectors.items() for part, parameter in parts.items()
        }

    def before_step(self, step: int) -> None:
        """Decide whether they learn in the step after so many."""
        is_learning = self.stop_at is None or step < self.stop_at
        for parameter in self.parameters.values():
            parameter.requires_grad_(is_learning)

    @torch.no_grad()
    def after_step(self) -> None:
        """Scale vectors that have learnt back to their first lengths, where these are kept."""
        for parameter, length in zip(self.parameters.values(), self._lengths, strict=True):
            if self.keeps_lengths and parameter.requires_grad:
                parameter.mul_(length / _lengths_of(parameter))

    def with_numbers(self, numbers: Mapping[str, Tensor]) -> Embeddings:
        """The words with the numbers of some step, for a file."""
        return {
            word: {part: numbers[key_of(word, part)].detach().cpu().clone() for part in parts}
            for word, parts in self.vectors.items()
        }


def trained_words(config: TrainConfig, words: Sequence[PlannedWord], encoder: TextEncoder | None) -> TrainedWords:
    """The words of a run as they start.

    Args:
        config: resolved.
        words: which.
        encoder: loaded, on the run's device; None where there are no words.
    """
    if not words:
        return TrainedWords()
    assert encoder is not None
    assert config.training.max_train_steps is not None
    device = next(next(iter(encoder.modules.values())).parameters()).device
    share = config.tokens.tokens_stop_at
    return TrainedWords(
        {
            each.word: {part: nn.Parameter(tensor.to(device)) for part, tensor in each.first_vectors(encoder).items()}
            for each in words
        },
        None if share is None else _last_step(share, config.training.max_train_steps),
        config.tokens.keep_token_norm,
    )


def words_on_card(words: Sequence[PlannedWord], config: TrainConfig) -> str:
    """The new words on the start-up card.

    Args:
        words: of the run.
        config: resolved.
    """
    tokens, steps = config.tokens, config.training.max_train_steps
    assert steps is not None
    more = [] if tokens.token_lr is None else [f"rate {tokens.token_lr:g}"]
    more += [] if tokens.tokens_stop_at is None else [f"learning until step {_last_step(tokens.tokens_stop_at, steps)}"]
    more += ["each vector kept at its length"] if tokens.keep_token_norm else []
    return "; ".join([*(each.in_words for each in words), *more, "captions are read anew in each step"])


def _last_step(share: float, steps: int) -> int:
    return max(1, round(share * steps))


def word_groups(words: TrainedWords, config: TrainConfig) -> list[dict[str, Any]]:
    """The vectors as a group for an optimizer, see `optimizer.adapter_groups`; weight decay would only shorten them.

    Args:
        words: of the run.
        config: resolved.
    """
    rate = config.optimizer.learning_rate
    assert rate is not None
    faster = (config.tokens.token_lr or rate) / rate
    parameters = list(words.parameters.values())
    return [{"params": parameters, "faster": faster, "weight_decay": 0.0}] if parameters else []


def key_of(word: str, part: str) -> str:
    """What a word's vectors are called beside the adapter's parameters."""
    return f"words.{word}.{part}"


def in_metadata(embeddings: Embeddings) -> dict[str, str]:
    """What a LoRA file says of its words: how many vectors each has."""
    counts = {word: len(vectors["text_encoder"]) for word, vectors in embeddings.items()}
    return {"scumble.words": json.dumps(counts, ensure_ascii=False)} if counts else {}


def _lengths_of(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors.detach(), dim=1, keepdim=True)
    return lengths

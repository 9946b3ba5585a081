"""The settings of new words: textual inversion, and pivotal tuning, which trains words and adapter together."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from scumble.config.section import Also, Rule, Section

MOST_VECTORS = 64
WORD = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")


def parse_new_tokens(entries: Sequence[str]) -> dict[str, str | None]:
    """New word -> the words that it starts from, None where none are named: "sks=dog", "sks".

    Raises:
        ValueError: an entry that is none, or a word that is there twice.
    """
    found: dict[str, str | None] = {}
    for entry in entries:
        word, sign, start = (part.strip() for part in entry.partition("="))
        if not WORD.fullmatch(word):
            raise ValueError(
                f"'{word}' cannot be a new word: expected letters and digits, with - or _ between; it is a file's name too"
            )
        if sign and not start:
            raise ValueError(f"'{entry}' names no words to start from: write such as {word}=dog")
        if word.casefold() in map(str.casefold, found):
            raise ValueError(f"'{word}' is there twice; capitals make no other word")
        found[word] = start or None
    return found


def _checked(entries: tuple[str, ...]) -> tuple[str, ...]:
    parse_new_tokens(entries)
    return entries


class TokensConfig(Section):
    """New words, learnt as vectors in front of the text encoder (Gal et al. 2022, arXiv:2208.01618)."""

    new_tokens: Annotated[
        tuple[str, ...],
        Also("placeholder_token", "token_string"),
        AfterValidator(_checked),
        Field(description="words to learn, repeatable: WORD=WORDS TO START FROM, such as sks=dog, or WORD alone"),
    ] = ()
    initializer_token: Annotated[
        str | None,
        Also("init_word", "initializer_concept"),
        Field(
            min_length=1,
            description="words that new words start from which name none; none = what the new word is to the base",
        ),
    ] = None
    num_vectors: Annotated[
        int,
        Also("num_vectors_per_token", "num_new_tokens_per_abstraction"),
        Field(
            ge=1, le=MOST_VECTORS, description="vectors of each new word; in a prompt each takes the place of a token"
        ),
    ] = 1
    token_lr: Annotated[
        float | None, Field(gt=0, description="peak learning rate of the new words; none = as of the denoiser")
    ] = None
    tokens_stop_at: Annotated[
        float | None,
        Also("train_text_encoder_ti_frac"),
        Field(gt=0, lt=1, description="share of the run after which the new words stay as they are; none = never"),
    ] = None
    keep_token_norm: Annotated[
        bool,
        Field(description="scale each vector of a new word back to the length that it started with, after every step"),
    ] = False
    tokens_only: Annotated[bool, Field(description="textual inversion: train the new words alone, and no LoRA")] = False


def idle_token_settings(
    tokens: TokensConfig, has_init: bool, of_adapter: Sequence[str], drops_captions: bool
) -> list[Rule]:
    """Settings of new words that would do nothing.

    Args:
        tokens: the settings.
        has_init: whether the run goes on from a LoRA file, which may hold words.
        of_adapter: settings that say something of the adapter.
        drops_captions: whether every sample is trained on the empty prompt.
    """
    plain = TokensConfig()
    has_words = bool(tokens.new_tokens)
    given = {name for name in TokensConfig.model_fields if getattr(tokens, name) != getattr(plain, name)}
    of_new = {"initializer_token", "num_vectors"}
    return [
        *((name in given and not has_words, name, "new_tokens") for name in sorted(of_new)),
        *(
            (name in given and not has_words and not has_init, name, "new_tokens")
            for name in ("token_lr", "tokens_stop_at", "keep_token_norm", "tokens_only")
        ),
        (
            tokens.initializer_token is not None and None not in parse_new_tokens(tokens.new_tokens).values(),
            "initializer_token",
            "a new word that names no words to start from",
        ),
        (
            tokens.tokens_only and tokens.tokens_stop_at is not None,
            "tokens_stop_at",
            "tokens_only left out: nothing else is trained",
        ),
        *((tokens.tokens_only, name, "tokens_only left out: no adapter is trained") for name in of_adapter),
        (tokens.tokens_only and has_init, "tokens_only", "init_lora left out, which says itself what is trained"),
        (has_words and drops_captions, "new_tokens", "caption_dropout_rate below 1"),
    ]

"""Words that a text encoder reads as learned vectors, in place of their tokens.

A word is found by its tokens, as the WebUI does it: in any spelling that the tokenizer takes for the same, and nowhere
inside of other words. The text encoder's own table of embeddings is not touched: vectors take part in a run as rows that
are put in where the word stands.

Shapes: V vectors of a word, D width of the text encoder, K chunks, T tokens of a chunk with start and end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from scumble.errors import ConfigError
from scumble.files.embeddings import Embeddings, refuse_misfits


@dataclass
class NewWords:
    """The words that a text encoder may read so, by who brought them, and which are in use.

    A vector has a number as a token has, but a negative one: -1 is the first of all vectors in use.

    Attributes:
        widths: model part -> width of each text encoder; they read the same words.
    """

    widths: dict[str, int] = field(default_factory=dict)
    _known: dict[str, Embeddings] = field(default_factory=dict, init=False)
    _used: tuple[str, ...] = field(default=(), init=False)

    def add(self, owner: str, words: Embeddings) -> None:
        """Put words within reach; they mean nothing new until they are used.

        Args:
            owner: who brings them, such as the name of a LoRA.
            words: for every text encoder.
        Raises:
            LoraFileError: their vectors are not as wide as the text encoders.
        """
        refuse_misfits(words, self.widths, "this base")
        self._known[owner] = words

    def remove(self, owner: str) -> None:
        """Forget the words of an owner."""
        self._used = tuple(other for other in self._used if other != owner)
        self._known.pop(owner, None)

    @property
    def used(self) -> tuple[str, ...]:
        """The owners whose words are in use."""
        return self._used

    def use(self, owners: Iterable[str]) -> None:
        """Let the words of these owners, and of no others, have their new meaning.

        Args:
            owners: those that brought no words are passed over.
        Raises:
            ConfigError: two of them brought the same word.
        """
        chosen = tuple(owner for owner in owners if self._known.get(owner))
        brought: dict[str, str] = {}
        for owner in chosen:
            for word in self._known[owner]:
                other = brought.setdefault(word.casefold(), owner)
                if other != owner:
                    raise ConfigError(f"both {other} and {owner} bring the word '{word}': use one of them")
        self._used = chosen

    @contextmanager
    def only(self, owners: Iterable[str]) -> Iterator[None]:
        """Use the words of these owners until the with-block ends."""
        before = self._used
        self.use(owners)
        try:
            yield
        finally:
            self._used = before

    @property
    def in_use(self) -> dict[str, Mapping[str, Tensor]]:
        """The words in use, with their vectors."""
        return {word: vectors for owner in self._used for word, vectors in self._known[owner].items()}

    def numbers(self) -> dict[str, range]:
        """Word in use -> the numbers of its vectors, from the first down."""
        found, first = {}, -1
        for word, vectors in self.in_use.items():
            count = len(next(iter(vectors.values())))
            found[word] = range(first, first - count, -1)
            first -= count
        return found

    def continuing(self) -> frozenset[int]:
        """The numbers that do not begin a word: no chunk begins with one of them."""
        return frozenset(number for numbers in self.numbers().values() for number in numbers[1:])

    @contextmanager
    def put_in(self, part: str, table: nn.Module, ids_KT: Tensor) -> Iterator[None]:
        """Within the with-block, the table of embeddings gives the words' vectors where their numbers stand.

        Args:
            part: the text encoder.
            table: its table; it is asked for tokens that stand in for vectors meanwhile.
            ids_KT: with the numbers of vectors.
        """
        is_vector = ids_KT < 0
        if not self.in_use or not is_vector.any():  # without words a GPU is not asked, which would be a wait
            yield
            return
        rows = torch.cat([vectors[part].to(ids_KT.device) for vectors in self.in_use.values()])
        chosen = rows[-1 - ids_KT[is_vector]]

        def replace(_: nn.Module, inputs: tuple[Tensor, ...], found_KTD: Tensor) -> Tensor:
            changed = found_KTD.clone()
            changed[is_vector] = chosen.to(found_KTD.dtype)
            return changed

        hook = table.register_forward_hook(replace)
        try:
            yield
        finally:
            hook.remove()


def with_vectors(ids: Sequence[int], words: Iterable[tuple[Sequence[int], range]]) -> list[int]:
    """Token numbers, those of words replaced by the numbers of their vectors; of words that begin alike the longest.

    Args:
        ids: of a text.
        words: the tokens of each word, and the numbers of its vectors.
    """
    by_length = sorted(words, key=lambda word: -len(word[0]))
    found: list[int] = []
    place = 0
    while place < len(ids):
        for tokens, numbers in by_length:
            if list(ids[place : place + len(tokens)]) == list(tokens):
                found += numbers
                place += len(tokens)
                break
        else:
            found.append(ids[place])
            place += 1
    return found


def first_vectors(table_ND: Tensor, tokens: Sequence[int], num_vectors: int) -> Tensor:
    """Vectors to start from, [V, D], float32: each the mean of its share of the tokens, spread evenly over the vectors.

    Args:
        table_ND: the text encoder's embeddings of its vocabulary, [N, D].
        tokens: numbers of the tokens to start from, at least one.
        num_vectors: V.
    """
    count = len(tokens)
    starts = [index * count // num_vectors for index in range(num_vectors)]
    ends = [max((index + 1) * count // num_vectors, start + 1) for index, start in enumerate(starts)]
    rows = table_ND.detach().float()
    shares = zip(starts, ends, strict=True)
    return torch.stack([rows[list(tokens[start:end])].mean(0) for start, end in shares])

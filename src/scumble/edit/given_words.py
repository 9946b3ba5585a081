"""The words that given LoRAs bring, where these are put together."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from scumble.edit.given import GivenLora
from scumble.errors import LoraFileError


def all_words(given: Sequence[GivenLora]) -> dict[str, Mapping[str, Tensor]]:
    """The words of all LoRAs.

    Raises:
        LoraFileError: two bring the same word, which can mean one thing only.
    """
    found: dict[str, Mapping[str, Tensor]] = {}
    brought: dict[str, GivenLora] = {}
    for one in given:
        for word, vectors in one.file.embeddings.items():
            other = brought.setdefault(word.casefold(), one)
            if other is not one:
                raise LoraFileError(f"both {other.path} and {one.path} bring the word '{word}': leave one of them out")
            found[word] = vectors
    return found


def unweighted_words(given: Sequence[GivenLora], weights: Sequence[float]) -> tuple[str, ...]:
    """What to say of words whose LoRA is not added at weight 1."""
    return tuple(
        f"{one.path.name}: its words ({', '.join(one.file.embeddings)}) are kept as they are, whatever its weight"
        for one, weight in zip(given, weights, strict=True)
        if one.file.embeddings and weight != 1
    )


def refuse_words_in(given: Sequence[GivenLora]) -> None:
    """Raise where LoRAs with words are to be merged into a base.

    Raises:
        LoraFileError: names the first.
    """
    for one in given:
        if one.file.embeddings:
            raise LoraFileError(
                f"{one.path}: it brings words ({', '.join(one.file.embeddings)}), for which the weights of a base have no "
                "place: `convert --to diffusers` gives the LoRA and its words in files of their own"
            )

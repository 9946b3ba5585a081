"""Learned embeddings of words: inside a LoRA file as the WebUI reads them, and in files of their own.

Shapes: V vectors of a word, D width of a text encoder.

Inside a LoRA file a word's tensors are named `bundle_emb.<word>.string_to_param.*` for a base with one text encoder, and
`bundle_emb.<word>.clip_l` and `.clip_g` for one with two. A file of its own holds one word: `<word>` or `emb_params` with
one encoder, `clip_l` and `clip_g` with two.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.atomic import write_together
from scumble.files.encode import encode
from scumble.files.places import FILE_SUFFIX

Embeddings = Mapping[str, Mapping[str, Tensor]]
"""Word -> model part of a text encoder -> its vectors there, [V, D]; as many in each."""

BUNDLE = "bundle_emb."
ONE_ENCODER = {"text_encoder": "string_to_param.*"}
TWO_ENCODERS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
"""Model part -> what follows the word in the names of its tensors."""

PARTS = {name: part for names in (ONE_ENCODER, TWO_ENCODERS) for part, name in names.items()}
NAMELESS = "emb_params"
"""kohya's name of the only tensor of a file; such a word is called as its file is."""

LONGEST_WORD = 64

OF_THE_BASE = ("scumble.base", "scumble.fingerprint", "ss_base_model_version", "ss_sd_model_name", "ss_v2")
"""Metadata of a LoRA that hold for its words too."""


def bundled(embeddings: Embeddings) -> dict[str, Tensor]:
    """The tensors of words as a LoRA file in kohya's naming holds them."""
    return {
        f"{BUNDLE}{word}.{name}": tensor
        for word, vectors in embeddings.items()
        for name, tensor in _named(vectors).items()
    }


def _named(vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = TWO_ENCODERS if len(vectors) > 1 else ONE_ENCODER
    return {names[part]: tensor.detach() for part, tensor in vectors.items()}


def taken_apart(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """The words in the tensors of a LoRA file, and the tensors of its layers.

    Raises:
        LoraFileError: a tensor of a word has an odd name, shape or kind of number, or its partner is missing.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(BUNDLE):
            word, part = _word_and_part(key)
            found.setdefault(word, {})[part] = tensor[None] if tensor.ndim == 1 else tensor
    for word, vectors in found.items():
        _refuse_odd(word, vectors)
    return found, {key: tensor for key, tensor in tensors.items() if not key.startswith(BUNDLE)}


def _word_and_part(key: str) -> tuple[str, str]:
    for name, part in PARTS.items():
        word = key.removeprefix(BUNDLE).removesuffix(f".{name}")
        if key == f"{BUNDLE}{word}.{name}" and word:
            return word, part
    expected = " or ".join(f"{BUNDLE}<word>.{name}" for name in PARTS)
    raise LoraFileError(f"{key[:160]}: not understood; expected the embedding of a word as {expected}")


def _refuse_odd(word: str, vectors: Mapping[str, Tensor]) -> None:
    for part, tensor in vectors.items():
        if tensor.ndim != 2 or not tensor.is_floating_point() or 0 in tensor.shape:
            raise LoraFileError(
                f"word '{word}': found {list(tensor.shape)} of {tensor.dtype} for {part}, expected vectors [number, width]"
            )
    if "text_encoder" not in vectors:
        raise LoraFileError(f"word '{word}': found clip_g without clip_l; get the file again")
    if len({len(tensor) for tensor in vectors.values()}) > 1:
        shapes = " and ".join(str(list(tensor.shape)) for tensor in vectors.values())
        raise LoraFileError(f"word '{word}': found {shapes}, expected as many vectors for each text encoder")


def as_bundle(tensors: Mapping[str, Tensor], file_name: str) -> dict[str, Tensor]:
    """The tensors of a file; of an embedding's own file, named as inside a LoRA file.

    Args:
        tensors: all of a file.
        file_name: without its ending: what a word is called whose file does not say.
    """
    names = set(tensors)
    if names == set(TWO_ENCODERS.values()):
        return {f"{BUNDLE}{file_name}.{name}": tensor for name, tensor in tensors.items()}
    if len(names) == 1:
        ((name, tensor),) = tensors.items()
        if _may_be_word(name) and tensor.ndim == 2 and tensor.is_floating_point():
            return {f"{BUNDLE}{file_name if name == NAMELESS else name}.{ONE_ENCODER['text_encoder']}": tensor}
    return dict(tensors)


def _may_be_word(name: str) -> bool:
    is_half = name in TWO_ENCODERS.values()
    return not is_half and len(name) <= LONGEST_WORD and not any(sign.isspace() or sign == "." for sign in name)


def refuse_misfits(embeddings: Embeddings, widths: Mapping[str, int], base: str) -> None:
    """Raise if words have no vectors for a text encoder of a base, or some of another width.

    Args:
        embeddings: the words.
        widths: model part -> width of each text encoder of the base.
        base: its name, for the message.
    Raises:
        LoraFileError: names the first such word.
    """
    for word, vectors in embeddings.items():
        found = {part: tensor.shape[1] for part, tensor in vectors.items()}
        if found != dict(widths):
            raise LoraFileError(
                f"word '{word}': found vectors of width {_listed(found)}, but {base} has text encoders of width "
                f"{_listed(widths)}: the word was learnt on another base"
            )


def _listed(widths: Mapping[str, int]) -> str:
    return " and ".join(str(widths[part]) for part in sorted(widths))


def write_embeddings(embeddings: Embeddings, folder: Path, metadata: Mapping[str, str]) -> list[Path]:
    """Write a file for each word, WORD.safetensors: the WebUI and ComfyUI call an embedding as its file is called.

    With one text encoder the tensor is named as the word, which diffusers' `load_textual_inversion` takes for its name.

    Args:
        embeddings: the words.
        folder: made if needed; a file of the same name is replaced.
        metadata: of their LoRA; what is true of its base is written.
    Returns:
        The files.
    Raises:
        LoraFileError: the disk refuses; nothing was changed then.
    """
    kept = {name: metadata[name] for name in OF_THE_BASE if name in metadata}
    files = {
        folder / f"{word}{FILE_SUFFIX}": encode(
            _named(vectors) if len(vectors) > 1 else {word: vectors["text_encoder"].detach()}, kept
        )
        for word, vectors in embeddings.items()
    }
    try:
        folder.mkdir(exist_ok=True)
        write_together(files)
    except OSError as error:
        raise LoraFileError(f"{folder}: words cannot be written ({error}); older files there are untouched") from error
    return list(files)


def refuse_words(embeddings: Embeddings, naming: str) -> None:
    """Raise where a LoRA with words is to be written in a naming that has no place for them.

    Raises:
        LoraFileError: there are words.
    """
    if embeddings:
        raise LoraFileError(
            f"{naming} naming has no place for words ({', '.join(embeddings)}): write kohya's; `scumble convert --to` gives "
            "such a LoRA and its words in files of their own"
        )

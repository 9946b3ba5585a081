"""CLIP's text side: prompts to states, by one encoder or by two, and the names of its layers in files and in memory.

Shapes: K chunks, T tokens of all chunks with start and end of each, D text width, P width of the pooled state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scumble.families.base import TextState
from scumble.families.chunks import Chunk, Prompt, Token, chunked, sections_of
from scumble.families.new_words import NewWords, first_vectors, with_vectors

LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
PENULTIMATE = 2


@dataclass(frozen=True)
class Clip:
    """A CLIP tokenizer and its text model.

    Attributes:
        tokenizer: a CLIPTokenizer.
        model: a CLIPTextModel or CLIPTextModelWithProjection, frozen.
        max_tokens: tokens it sees at once, without start and end.
        part: the model part that it is.
        words: what it reads besides its vocabulary.
    """

    tokenizer: Any
    model: Any
    max_tokens: int
    part: str = "text_encoder"
    words: NewWords = field(default_factory=NewWords)

    @property
    def width(self) -> int:
        """D."""
        return int(self.model.config.hidden_size)

    @cached_property
    def comma(self) -> int | None:
        """The number of the comma's token; None = the vocabulary has none."""
        number: int | None = self.tokenizer.get_vocab().get(",</w>")
        return number

    def run(self, chunks: Sequence[Chunk]) -> Any:
        """The model's output for the chunks of one prompt, with the states of all its layers, batch dimension K."""
        ids = torch.tensor([self.framed(chunk) for chunk in chunks], device=self.model.device)
        with self.words.put_in(self.part, self.model.get_input_embeddings(), ids):
            # "!", the first token, stands in for vectors: the pooled state is looked for at the highest number
            return self.model(ids.clamp(min=0), output_hidden_states=True, return_dict=True)

    def chunks(self, prompt: Prompt, num_chunks: int | None = None) -> list[Chunk]:
        """The prompt's tokens, cut into chunks: exactly so many, or, with None, as many as it needs."""
        sections = [
            [token for words in section for token in self._tokens(words.text, words.weight)]
            for section in sections_of(prompt)
        ]
        return chunked(sections, self.max_tokens, self.comma, num_chunks, self.words.continuing())

    def framed(self, chunk: Chunk) -> list[int]:
        """Numbers of the chunk's tokens with start and end, filled up to the length that the model sees."""
        filling = [self.tokenizer.pad_token_id] * (self.max_tokens - len(chunk.tokens))
        return [self.tokenizer.bos_token_id, *chunk.tokens, self.tokenizer.eos_token_id, *filling]

    def weighted(self, states_KTD: Tensor, chunks: Sequence[Chunk]) -> Tensor:
        """The states of a prompt's chunks under the weights of their words, joined: [K, 77, D] -> [T, D].

        Each chunk whose words do not all weigh 1 is multiplied token by token, and then as a whole by what gives it back
        the mean over tokens and widths that it had, where that is not zero: the WebUI's emphasis "Original".
        """
        states = [
            _emphasised(state, chunk) if any(weight != 1 for weight in chunk.weights) else state
            for state, chunk in zip(states_KTD, chunks, strict=True)
        ]
        return torch.cat(states)

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        return len(self._tokens(prompt, 1.0))

    def first_vectors(self, text: str, num_vectors: int) -> Tensor:
        """Vectors for a new word to start from, [V, D], float32: those of a text's tokens."""
        return first_vectors(self.model.get_input_embeddings().weight, self._ids(text), num_vectors)

    def _tokens(self, text: str, weight: float) -> list[Token]:
        numbers = self.words.numbers()
        ids = self._ids(text)
        if numbers:
            ids = with_vectors(ids, [(self._ids(word), vectors) for word, vectors in numbers.items()])
        return [(number, weight) for number in ids]

    def _ids(self, text: str) -> list[int]:
        # where "!" fills prompts up, transformers takes a "!" in the prompt for filling; OpenCLIP reads it as a sign
        ids: list[int] = self.tokenizer(
            text, add_special_tokens=False, truncation=False, verbose=False, split_special_tokens=True
        ).input_ids
        return ids


def _emphasised(state_TD: Tensor, chunk: Chunk) -> Tensor:
    weights = torch.ones(len(state_TD), dtype=state_TD.dtype)
    weights[1 : len(chunk.weights) + 1] = torch.tensor(chunk.weights, dtype=state_TD.dtype)
    changed = state_TD * weights.to(state_TD.device)[:, None]
    before, after = state_TD.mean(), changed.mean()
    rounding = torch.finfo(state_TD.dtype).eps * state_TD.abs().mean()
    if torch.minimum(before.abs(), after.abs()) <= rounding:
        return changed  # a layer norm that was never trained leaves a mean of zero: there is none to give back
    return changed * (before / after)


class ClipText:
    """One encoder, as in Stable Diffusion 1.x and 2.x.

    Args:
        clip: the encoder.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.words = clip.words
        self.words.widths[clip.part] = clip.width
        self.modules: Mapping[str, nn.Module] = {"text_encoder": clip.model}

    def encode(self, prompts: Sequence[Prompt], clip_skip: int, num_chunks: int = 1) -> list[TextState]:
        """One state {"hidden": [T, D]} a prompt: the chosen layer's states under the final layer norm.

        Each prompt is encoded on its own, so that its state does not depend on its neighbours.
        """
        return [{"hidden": self._hidden(self.clip.chunks(prompt, num_chunks), clip_skip)} for prompt in prompts]

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        return self.clip.count_tokens(prompt)

    def count_chunks(self, prompt: Prompt) -> int:
        """Chunks that the prompt needs, at least one."""
        return len(self.clip.chunks(prompt))

    def first_vectors(self, text: str, num_vectors: int) -> dict[str, Tensor]:
        """Vectors for a new word to start from: model part -> [V, D]."""
        return {self.clip.part: self.clip.first_vectors(text, num_vectors)}

    def _hidden(self, chunks: Sequence[Chunk], clip_skip: int) -> Tensor:
        output = self.clip.run(chunks)
        if clip_skip == 1:
            return self.clip.weighted(output.last_hidden_state, chunks)
        model = self.clip.model
        norm = getattr(model, "text_model", model).final_layer_norm
        return self.clip.weighted(norm(output.hidden_states[-clip_skip]), chunks)


class ClipPair:
    """Two encoders side by side, as in SDXL (Podell et al. 2023, arXiv:2307.01952, 2.1).

    Args:
        first: OpenAI's CLIP.
        second: OpenCLIP, with its projection; it reads the same new words.
    """

    def __init__(self, first: Clip, second: Clip) -> None:
        self.first, self.second = first, second
        self.words = first.words
        self.words.widths.update({clip.part: clip.width for clip in (first, second)})
        self.modules: Mapping[str, nn.Module] = {"text_encoder": first.model, "text_encoder_2": second.model}

    def encode(self, prompts: Sequence[Prompt], clip_skip: int, num_chunks: int = 1) -> list[TextState]:
        """One state {"hidden": [T, D], "pooled": [P]} a prompt: both encoders' states side by side, without a norm.

        SDXL was trained on the last layer but one of both, which is what clip_skip 1 and 2 both mean, as in the WebUI;
        3 goes one layer deeper in both, which diffusers calls clip_skip=1. The pooled state is always the last layer's,
        of the first chunk, and knows no weights.
        """
        layer = max(clip_skip, PENULTIMATE)
        return [self._state(prompt, layer, num_chunks) for prompt in prompts]

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end, in the encoder that makes more of them."""
        return max(self.first.count_tokens(prompt), self.second.count_tokens(prompt))

    def count_chunks(self, prompt: Prompt) -> int:
        """Chunks that the prompt needs, at least one, in the encoder that makes more of them."""
        return max(len(self.first.chunks(prompt)), len(self.second.chunks(prompt)))

    def first_vectors(self, text: str, num_vectors: int) -> dict[str, Tensor]:
        """Vectors for a new word to start from: model part -> [V, D]."""
        return {clip.part: clip.first_vectors(text, num_vectors) for clip in (self.first, self.second)}

    def _state(self, prompt: Prompt, layer: int, num_chunks: int) -> TextState:
        hidden = []
        for clip in (self.first, self.second):
            chunks = clip.chunks(prompt, num_chunks)
            output = clip.run(chunks)
            hidden.append(clip.weighted(output.hidden_states[-layer], chunks))
        return {"hidden": torch.cat(hidden, dim=-1), "pooled": output.text_embeds[0]}


def canonical_text_paths(num_layers: int) -> list[str]:
    """Layer paths of a CLIP text model as files name them, with the classic `text_model`."""
    return [f"text_model.encoder.layers.{index}.{layer}" for index in range(num_layers) for layer in LAYERS]


def text_module_path(canonical: str, model: nn.Module) -> str:
    """Where a canonical path lies in the loaded model: transformers 5.6 dropped `text_model` from the modules."""
    return canonical if hasattr(model, "text_model") else canonical.removeprefix("text_model.")

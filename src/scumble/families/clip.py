"""CLIP's text side: prompts to states, by one encoder or by two, and the names of its layers in files and in memory.

Shapes: T tokens with start and end, D text width, P width of the pooled state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scumble.families.base import TextState

LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
PENULTIMATE = 2


@dataclass(frozen=True)
class Clip:
    """A CLIP tokenizer and its text model.

    Attributes:
        tokenizer: a CLIPTokenizer.
        model: a CLIPTextModel or CLIPTextModelWithProjection, frozen.
        max_tokens: tokens it sees, without start and end; what is beyond is cut off.
    """

    tokenizer: Any
    model: Any
    max_tokens: int

    def run(self, prompt: str) -> Any:
        """The model's output for one prompt, with the states of all its layers, batch dimension 1."""
        ids = torch.tensor([self.filled(prompt)], device=self.model.device)
        return self.model(ids, output_hidden_states=True, return_dict=True)

    def filled(self, prompt: str) -> list[int]:
        """Numbers of the prompt's tokens with start and end, cut or filled up to the length that the model sees."""
        # where "!" fills prompts up, transformers takes a "!" in the prompt for filling; OpenCLIP reads it as a sign
        ids: list[int] = self.tokenizer(
            prompt,
            padding="max_length",
            max_length=self.max_tokens + 2,
            truncation=True,
            split_special_tokens=True,
        ).input_ids
        return ids

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        ids: list[int] = self.tokenizer(
            prompt, add_special_tokens=False, truncation=False, verbose=False, split_special_tokens=True
        ).input_ids
        return len(ids)


class ClipText:
    """One encoder, as in Stable Diffusion 1.x and 2.x.

    Args:
        clip: the encoder.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.modules: Mapping[str, nn.Module] = {"text_encoder": clip.model}

    def encode(self, prompts: Sequence[str], clip_skip: int) -> list[TextState]:
        """One state {"hidden": [T, D]} a prompt: the chosen layer's states under the final layer norm.

        Each prompt is encoded on its own, so that its state does not depend on its neighbours.
        """
        return [{"hidden": self._hidden(prompt, clip_skip)} for prompt in prompts]

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        return self.clip.count_tokens(prompt)

    def _hidden(self, prompt: str, clip_skip: int) -> Tensor:
        output = self.clip.run(prompt)
        if clip_skip == 1:
            last: Tensor = output.last_hidden_state[0]
            return last
        model = self.clip.model
        norm = getattr(model, "text_model", model).final_layer_norm
        earlier: Tensor = norm(output.hidden_states[-clip_skip])[0]
        return earlier


class ClipPair:
    """Two encoders side by side, as in SDXL (Podell et al. 2023, arXiv:2307.01952, 2.1).

    Args:
        first: OpenAI's CLIP.
        second: OpenCLIP, with its projection.
    """

    def __init__(self, first: Clip, second: Clip) -> None:
        self.first, self.second = first, second
        self.modules: Mapping[str, nn.Module] = {"text_encoder": first.model, "text_encoder_2": second.model}

    def encode(self, prompts: Sequence[str], clip_skip: int) -> list[TextState]:
        """One state {"hidden": [T, D], "pooled": [P]} a prompt: both encoders' states side by side, without a norm.

        SDXL was trained on the last layer but one of both, which is what clip_skip 1 and 2 both mean, as in the WebUI;
        3 goes one layer deeper in both, which diffusers calls clip_skip=1. The pooled state is always the last layer's.
        """
        layer = max(clip_skip, PENULTIMATE)
        return [self._state(prompt, layer) for prompt in prompts]

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end, in the encoder that makes more of them."""
        return max(self.first.count_tokens(prompt), self.second.count_tokens(prompt))

    def _state(self, prompt: str, layer: int) -> TextState:
        first, second = self.first.run(prompt), self.second.run(prompt)
        hidden = torch.cat([first.hidden_states[-layer][0], second.hidden_states[-layer][0]], dim=-1)
        return {"hidden": hidden, "pooled": second.text_embeds[0]}


def canonical_text_paths(num_layers: int) -> list[str]:
    """Layer paths of a CLIP text model as files name them, with the classic `text_model`."""
    return [f"text_model.encoder.layers.{index}.{layer}" for index in range(num_layers) for layer in LAYERS]


def text_module_path(canonical: str, model: nn.Module) -> str:
    """Where a canonical path lies in the loaded model: transformers 5.6 dropped `text_model` from the modules."""
    return canonical if hasattr(model, "text_model") else canonical.removeprefix("text_model.")

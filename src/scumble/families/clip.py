"""CLIP's text side: prompts to hidden states, and the names of its layers in files and in memory.

Shapes: T tokens with start and end, D text width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from scumble.families.base import TextState

LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")


class ClipText:
    """A CLIP tokenizer and text model.

    Args:
        tokenizer: a CLIPTokenizer.
        model: a CLIPTextModel, frozen.
        max_tokens: tokens it sees, without start and end; what is beyond is cut off.
    """

    def __init__(self, tokenizer: Any, model: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.max_tokens = max_tokens
        self.modules: Mapping[str, nn.Module] = {"text_encoder": model}

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], clip_skip: int) -> list[TextState]:
        """One state {"hidden": [T, D]} a prompt: the chosen layer's states under the final layer norm.

        Each prompt is encoded on its own, so that its state does not depend on its neighbours.
        """
        return [{"hidden": self._hidden(prompt, clip_skip)} for prompt in prompts]

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt without start and end."""
        return len(self.tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids)

    def _hidden(self, prompt: str, clip_skip: int) -> torch.Tensor:
        tokens = self.tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens + 2, truncation=True, return_tensors="pt"
        ).input_ids.to(self.model.device)
        output = self.model(tokens, output_hidden_states=True, return_dict=True)
        if clip_skip == 1:
            last: torch.Tensor = output.last_hidden_state[0]
            return last
        norm = getattr(self.model, "text_model", self.model).final_layer_norm
        earlier: torch.Tensor = norm(output.hidden_states[-clip_skip])[0]
        return earlier


def canonical_text_paths(num_layers: int) -> list[str]:
    """Layer paths of a CLIP text model as files name them, with the classic `text_model`."""
    return [f"text_model.encoder.layers.{index}.{layer}" for index in range(num_layers) for layer in LAYERS]


def text_module_path(canonical: str, model: nn.Module) -> str:
    """Where a canonical path lies in the loaded model: transformers 5.6 dropped `text_model` from the modules."""
    return canonical if hasattr(model, "text_model") else canonical.removeprefix("text_model.")

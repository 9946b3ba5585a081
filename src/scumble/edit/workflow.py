"""A picture's recipe as a ComfyUI workflow: dropped on its canvas, it shows the graph that draws with the LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scumble.generate.recipe import Recipe
from scumble.generate.samplers.names import split_sampler

SAMPLERS: Mapping[str, tuple[str, str]] = {
    "Euler a": ("euler_ancestral", "normal"),
    "Euler": ("euler", "normal"),
    "DPM++ 2M": ("dpmpp_2m", "karras"),
    "DPM++ SDE": ("dpmpp_sde", "karras"),
    "DPM++ 2M SDE": ("dpmpp_2m_sde", "exponential"),
    "DPM++ 2M SDE Heun": ("dpmpp_2m_sde", "exponential"),
    "DPM++ 2S a": ("dpmpp_2s_ancestral", "karras"),
    "DPM++ 3M SDE": ("dpmpp_3m_sde", "exponential"),
    "LMS": ("lms", "normal"),
    "Heun": ("heun", "normal"),
    "DPM2": ("dpm_2", "karras"),
    "DPM2 a": ("dpm_2_ancestral", "karras"),
    "Restart": ("heun", "karras"),
    "DDIM": ("ddim", "ddim_uniform"),
    "PLMS": ("lms", "ddim_uniform"),
    "UniPC": ("uni_pc", "normal"),
    "LCM": ("lcm", "sgm_uniform"),
    "DDPM": ("ddpm", "normal"),
}
"""WebUI name -> sampler there, the nearest where it has none of that name, and its scheduler if none was chosen."""

SCHEDULERS: Mapping[str, str] = {
    "Uniform": "normal",
    "Karras": "karras",
    "Exponential": "exponential",
    "Polyexponential": "exponential",
    "SGM Uniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Simple": "simple",
    "Normal": "normal",
    "DDIM": "ddim_uniform",
    "Beta": "beta",
}
"""WebUI schedule -> scheduler there."""

COLUMN_PX = 400
ROW_PX = 260
VERSION = 0.4
"""Of the layout of workflow files."""


@dataclass(frozen=True)
class Source:
    """An output of a node: the node's id, which output, and what flows there."""

    node: int
    slot: int
    type: str


class Graph:
    """A workflow in the making: nodes from left to right, and the links between them."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []

    def add(
        self,
        kind: str,
        place: tuple[int, int],
        inputs: Mapping[str, Source],
        outputs: Sequence[str],
        settings: Sequence[Any],
    ) -> list[Source]:
        """Add a node.

        Args:
            kind: ComfyUI's class of node.
            place: column and row.
            inputs: name -> what flows into it, in the node's order.
            outputs: what flows out of it, which are also the outputs' names.
            settings: values of its widgets, in the node's order.
        Returns:
            Its outputs.
        """
        number = len(self.nodes) + 1
        sockets = [self._link(source, number, slot, name) for slot, (name, source) in enumerate(inputs.items())]
        node = {
            "id": number,
            "type": kind,
            "pos": [place[0] * COLUMN_PX, place[1] * ROW_PX],
            "size": [COLUMN_PX - 60, ROW_PX - 80],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": sockets,
            "outputs": [
                {"name": name, "type": name, "links": [], "slot_index": slot} for slot, name in enumerate(outputs)
            ],
            "properties": {"Node name for S&R": kind},
            "widgets_values": list(settings),
        }
        self.nodes.append(node)
        return [Source(number, slot, name) for slot, name in enumerate(outputs)]

    def _link(self, source: Source, node: int, slot: int, name: str) -> dict[str, Any]:
        number = len(self.links) + 1
        self.links.append([number, source.node, source.slot, node, slot, source.type])
        self.nodes[source.node - 1]["outputs"][source.slot]["links"].append(number)
        return {"name": name, "type": source.type, "link": number}

    def as_json(self) -> dict[str, Any]:
        """The whole workflow as ComfyUI saves it."""
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": VERSION,
        }


def workflow(recipe: Recipe, lora_file: str, checkpoint: str, v_prediction: bool, zero_snr: bool) -> dict[str, Any]:
    """The graph that draws with one LoRA: checkpoint, LoRA, prompts, sampler, picture.

    Noise is drawn otherwise there: the picture is one of the same kind, not the same.

    Args:
        recipe: what to draw; the weight of its first LoRA is taken.
        lora_file: its name in the folder models/loras.
        checkpoint: name of the base in the folder models/checkpoints; one may choose another there.
        v_prediction: whether the denoiser predicts v, which not every checkpoint file says.
        zero_snr: whether its noise schedule ends in pure noise.
    """
    graph = Graph()
    weight = recipe.loras[0].weight
    model, clip, vae = graph.add("CheckpointLoaderSimple", (0, 0), {}, ("MODEL", "CLIP", "VAE"), [checkpoint])
    model, clip = graph.add(
        "LoraLoader", (1, 0), {"model": model, "clip": clip}, ("MODEL", "CLIP"), [lora_file, weight, weight]
    )
    if recipe.clip_skip > 1:
        (clip,) = graph.add("CLIPSetLastLayer", (1, 1), {"clip": clip}, ("CLIP",), [-recipe.clip_skip])
    if v_prediction:
        (model,) = graph.add("ModelSamplingDiscrete", (2, 2), {"model": model}, ("MODEL",), ["v_prediction", zero_snr])
    (wanted,) = graph.add("CLIPTextEncode", (2, 0), {"clip": clip}, ("CONDITIONING",), [recipe.prompt])
    (unwanted,) = graph.add("CLIPTextEncode", (2, 1), {"clip": clip}, ("CONDITIONING",), [recipe.negative_prompt])
    (noise,) = graph.add("EmptyLatentImage", (1, 2), {}, ("LATENT",), [recipe.width, recipe.height, 1])
    name, schedule = split_sampler(recipe.sampler)
    sampler, automatic = SAMPLERS[name]
    (latents,) = graph.add(
        "KSampler",
        (3, 0),
        {"model": model, "positive": wanted, "negative": unwanted, "latent_image": noise},
        ("LATENT",),
        [recipe.seed, "fixed", recipe.steps, recipe.guidance_scale, sampler, SCHEDULERS.get(schedule, automatic), 1.0],
    )
    (image,) = graph.add("VAEDecode", (4, 0), {"samples": latents, "vae": vae}, ("IMAGE",), [])
    graph.add("SaveImage", (5, 0), {"images": image}, (), [recipe.loras[0].name])
    return graph.as_json()

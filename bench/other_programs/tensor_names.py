"""How files spell the tensors of a layer."""

from collections.abc import Callable, Mapping

from torch import Tensor

Sides = Mapping[str, Tensor]
TensorSpelling = Callable[[str, Sides], dict[str, Tensor]]
"""(the layer's name in the file, its tensors by kohya's names) -> the file's tensors."""


def kohya(layer: str, sides: Sides) -> dict[str, Tensor]:
    """kohya's and LyCORIS's own names."""
    return {f"{layer}.{name}": tensor for name, tensor in sides.items()}


def _renamed(layer: str, sides: Sides, table: Mapping[str, str]) -> dict[str, Tensor]:
    return {f"{layer}.{table.get(name, name)}": tensor for name, tensor in sides.items() if name != "alpha"}


def peft(layer: str, sides: Sides) -> dict[str, Tensor]:
    """lora_A and lora_B without alpha; DoRA's lengths in PEFT's shapes, [out] and [1, out, 1, 1]."""
    table = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}
    lengths = sides.get("dora_scale")
    plain = {name: tensor for name, tensor in sides.items() if name != "dora_scale"}
    found = _renamed(layer, plain, table)
    if lengths is not None:
        shaped = lengths.flatten() if lengths.ndim == 2 else lengths.transpose(0, 1)
        found[f"{layer}.lora_magnitude_vector"] = shaped
    return found


def diffusers_alpha(layer: str, sides: Sides) -> dict[str, Tensor]:
    """lora_A and lora_B, with kohya's alpha beside them."""
    return {**peft(layer, sides), f"{layer}.alpha": sides["alpha"]}


def diffusers_lora(layer: str, sides: Sides) -> dict[str, Tensor]:
    """lora.down and lora.up: diffusers before 0.27."""
    return _renamed(layer, sides, {"lora_down.weight": "lora.down.weight", "lora_up.weight": "lora.up.weight"})


def linear_layer(layer: str, sides: Sides) -> dict[str, Tensor]:
    """lora_linear_layer.down and up: text encoders of diffusers before 0.22."""
    table = {f"lora_{side}.weight": f"lora_linear_layer.{side}.weight" for side in ("down", "up")}
    return _renamed(layer, sides, table)


def processor(layer: str, sides: Sides) -> dict[str, Tensor]:
    """attn1.processor.to_q_lora.down: the oldest files of diffusers."""
    attention, _, projection = layer.removesuffix(".0").rpartition(".")
    table = {f"lora_{side}.weight": f"{projection}_lora.{side}.weight" for side in ("down", "up")}
    return _renamed(f"{attention}.processor", sides, table)


WITH_ALPHA = (kohya, diffusers_alpha)
"""Those that write alpha."""

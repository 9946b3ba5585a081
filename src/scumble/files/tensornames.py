"""How files name the tensors of a layer: a table from every known name to the canonical one."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class TensorName:
    """What a tensor is of its layer: the algorithm ("" = any of them has it), and the tensor's canonical name."""

    algorithm: str
    name: str


ALPHA = TensorName("", "alpha")
MAGNITUDE = TensorName("", "magnitude")
PEFT_MAGNITUDE = TensorName("", "PEFT's magnitude")
"""In PEFT's own shapes: [out], of convolutions [1, out, 1, 1]."""

KOHYA_TENSORS = {
    "lora_down.weight": TensorName("lora", "down"),
    "lora_up.weight": TensorName("lora", "up"),
    "lora_mid.weight": TensorName("lora", "mid"),
    **{f"hada_{name}": TensorName("loha", name) for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f"lokr_{name}": TensorName("lokr", name) for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    "dora_scale": MAGNITUDE,
    "alpha": ALPHA,
}
"""The names of kohya and LyCORIS: those that are written in kohya's format."""

PEFT_TENSORS = {
    "lora_A.weight": TensorName("lora", "down"),
    "lora_B.weight": TensorName("lora", "up"),
    "lora_magnitude_vector": PEFT_MAGNITUDE,
    **{name: tensor for name, tensor in KOHYA_TENSORS.items() if tensor.algorithm in ("loha", "lokr")},
}
"""PEFT's names: those that are written in its format."""

TENSORS = {
    **KOHYA_TENSORS,
    **PEFT_TENSORS,
    "lora_magnitude_vector.weight": PEFT_MAGNITUDE,
    "lora.down.weight": TensorName("lora", "down"),  # diffusers before 0.27
    "lora.up.weight": TensorName("lora", "up"),
    "lora_linear_layer.down.weight": TensorName("lora", "down"),
    "lora_linear_layer.up.weight": TensorName("lora", "up"),
}
"""Every name that is read."""

DENOISER_PROJECTIONS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
TEXT_PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "out_proj"}
PROCESSORS = {
    f"to_{projection}_lora.{side}.weight": (projection, TensorName("lora", side))
    for projection in DENOISER_PROJECTIONS
    for side in ("down", "up")
}
"""The oldest names of diffusers: the projection is in the tensor's name, not in the layer's."""

NOT_READ = {
    "glora": "GLoRA",
    "oft_": "OFT",
    "boft_": "BOFT",
    "diff": "a full weight difference",
    "w_norm": "a norm layer",
    "b_norm": "a norm layer",
    "set_weight": "a whole weight",
    "lora_E": "AdaLoRA",
    "lora_embedding_": "a LoRA of an embedding",
}
"""How the names of tensors begin that belong to algorithms which are not read -> what these are."""


def split_underscored(key: str) -> tuple[str, TensorName] | None:
    """A tensor's name -> its layer's name and what it is, where the first dot ends the layer's name."""
    layer, _, tensor = key.partition(".")
    return (layer, TENSORS[tensor]) if tensor in TENSORS else None


def split_dotted(key: str) -> tuple[str, TensorName] | None:
    """A tensor's name -> its layer's name and what it is, where the layer's name has dots too."""
    parts = key.rsplit(".", 3)
    for count in range(1, len(parts)):
        tail = ".".join(parts[-count:])
        layer = key[: -len(tail) - 1]
        if tail in TENSORS:
            return layer, TENSORS[tail]
        if tail in PROCESSORS:
            projection, tensor = PROCESSORS[tail]
            layer = layer.removesuffix(".processor")
            projections = TEXT_PROJECTIONS if layer.endswith(".self_attn") else DENOISER_PROJECTIONS
            return f"{layer}.{projections[projection]}", tensor
    return None


def algorithm_not_read(key: str) -> str | None:
    """What a tensor is of, if it is of a known algorithm that is not read."""
    for begin, algorithm in NOT_READ.items():
        if f".{begin}" in key:
            return algorithm
    return None

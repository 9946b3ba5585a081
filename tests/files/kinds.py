"""Random layers of every algorithm, and what they mean: the formulas written out, without a line of ours.

Shapes: out, in of the layer; k of its kernel; r is the rank.
"""

import torch

from scumble.files.lorafile import LoraLayer

ALGORITHMS = ["lora", "tucker", "loha", "loha tucker", "lokr", "lokr whole", "lokr split twice", "lokr tucker"]
"""Ways of making a layer; the Tucker ones need a kernel."""


def random_tensors(kind, shape, rank, generator):
    """The tensors of a layer, by canonical name."""
    out, channels, *kernel = shape
    ones, area = [1] * len(kernel), int(torch.tensor([1, *kernel]).prod())

    def draw(*sizes):
        return torch.randn(*sizes, generator=generator) * 0.4

    (a, b), (c, d) = _halved(out), _halved(channels)
    match kind:
        case "lora":
            return {"down": draw(rank, channels, *kernel), "up": draw(out, rank, *ones)}
        case "tucker":
            return {
                "down": draw(rank, channels, 1, 1),
                "mid": draw(rank, rank, *kernel),
                "up": draw(out, rank, 1, 1),
            }
        case "loha":
            return {name: draw(out, rank) if name[-1] == "a" else draw(rank, channels * area) for name in _halves()}
        case "loha tucker":
            halves = {name: draw(rank, out) if name[-1] == "a" else draw(rank, channels) for name in _halves()}
            return {**halves, "t1": draw(rank, rank, *kernel), "t2": draw(rank, rank, *kernel)}
        case "lokr":
            return {"w1": draw(a, c), "w2_a": draw(b, rank), "w2_b": draw(rank, d * area)}
        case "lokr whole":
            return {"w1": draw(a, c), "w2": draw(b, d, *kernel)}
        case "lokr split twice":
            split = {"w1_a": draw(a, rank), "w1_b": draw(rank, c)}
            return {**split, "w2_a": draw(b, rank), "w2_b": draw(rank, d * area)}
        case "lokr tucker":
            core = {"t2": draw(rank, rank, *kernel)}
            return {"w1": draw(a, c), "w2_a": draw(rank, b), "w2_b": draw(rank, d), **core}


def random_layer(kind, shape, rank, alpha, seed, dora=None):
    """A canonical layer; `dora` is None, "output" or "input"."""
    generator = torch.Generator().manual_seed(seed)
    tensors = random_tensors(kind, shape, rank, generator)
    if dora:
        ones = [1] * (len(shape) - 2)
        sizes = (shape[0], 1, *ones) if dora == "output" else (1, shape[1], *ones)
        tensors["magnitude"] = 1 + torch.rand(*sizes, generator=generator)
    if kind == "lokr whole":
        rank, alpha = 1, 1.0
    return LoraLayer(kind.split()[0] if kind != "tucker" else "lora", tensors, rank, alpha)


def change_of(layer, shape):
    """The change that a canonical layer makes, in the shape of the weight, float64."""
    t = {name: tensor.detach().double() for name, tensor in layer.tensors.items()}
    match layer.algorithm:
        case "lora" if "mid" in t:
            change = torch.einsum("or,rskl,si->oikl", t["up"][..., 0, 0], t["mid"], t["down"][..., 0, 0])
        case "lora":
            change = t["up"].flatten(1) @ t["down"].flatten(1)
        case "loha" if "t1" in t:
            halves = [torch.einsum("rskl,si,ro->oikl", t[f"t{i}"], t[f"w{i}_b"], t[f"w{i}_a"]) for i in (1, 2)]
            change = halves[0] * halves[1]
        case "loha":
            change = (t["w1_a"] @ t["w1_b"]) * (t["w2_a"] @ t["w2_b"])
        case "lokr":
            change = _kronecker(t, shape)
    return (layer.alpha / layer.rank) * change.reshape(shape)


def weight_of(layer, weight):
    """The changed weight: W + change, or m V / |V| with V = W + change."""
    changed = weight.double() + change_of(layer, weight.shape)
    if "magnitude" not in layer.tensors:
        return changed
    magnitude = layer.tensors["magnitude"].double()
    axes = [axis for axis in range(changed.ndim) if magnitude.shape[axis] == 1]
    return magnitude * changed / torch.linalg.vector_norm(changed, dim=axes, keepdim=True)


def _kronecker(t, shape):
    small = t["w1"] if "w1" in t else t["w1_a"] @ t["w1_b"]
    (a, c), (out, channels, *kernel) = small.shape, shape
    if "t2" in t:
        large = torch.einsum("rskl,rb,sd->bdkl", t["t2"], t["w2_a"], t["w2_b"])
    else:
        large = t["w2"] if "w2" in t else t["w2_a"] @ t["w2_b"]
    large = large.reshape(out // a, channels // c, *kernel)
    return torch.kron(small.reshape(a, c, *[1] * len(kernel)), large)


def _halves():
    return ("w1_a", "w1_b", "w2_a", "w2_b")


def _halved(size):
    """Two factors, the smaller first, as equal as can be."""
    small = max(part for part in range(1, int(size**0.5) + 1) if size % part == 0)
    return small, size // small

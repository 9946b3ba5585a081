"""Which tensors make a layer of each algorithm, and in which shapes: a table, and the check of a layer against it."""

from collections.abc import Collection, Iterator, Mapping
from itertools import product

from torch import Tensor

from scumble.errors import LoraFileError

Layout = dict[str, str]
"""Tensor -> its sizes by name: the same name is the same size throughout a layer; "1" is 1."""

WHOLE_OR_SPLIT_W1: tuple[Layout, ...] = ({"w1": "a c"}, {"w1_a": "a rank1", "w1_b": "rank1 c"})
WHOLE_OR_SPLIT_W2: tuple[Layout, ...] = (
    {"w2": "b d"},
    {"w2": "b d k l"},
    {"w2_a": "b rank", "w2_b": "rank d*k*l"},
    {"w2_a": "rank b", "w2_b": "rank d", "t2": "rank rank k l"},
)

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "lora": (
        {"down": "rank in", "up": "out rank"},
        {"down": "rank in k l", "up": "out rank 1 1"},
        {"down": "rank in 1 1", "mid": "rank rank k l", "up": "out rank 1 1"},
    ),
    "loha": (
        {"w1_a": "out rank", "w1_b": "rank in*k*l", "w2_a": "out rank", "w2_b": "rank in*k*l"},
        {
            "w1_a": "rank out",
            "w1_b": "rank in",
            "w2_a": "rank out",
            "w2_b": "rank in",
            "t1": "rank rank k l",
            "t2": "rank rank k l",
        },
    ),
    "lokr": tuple(small | large for small, large in product(WHOLE_OR_SPLIT_W1, WHOLE_OR_SPLIT_W2)),
}
"""Algorithm -> its layouts. For LoKr out = a b and in = c d. "in*k*l" is one size: a kernel's sides are not told apart."""

Sizes = Mapping[str, int]


def missing_tensors(algorithm: str, found: Collection[str]) -> set[str]:
    """The tensors without which those that were found make no layer; none if they do, or belong to no layout at all."""
    lacking = [layout.keys() - set(found) for layout in LAYOUTS[algorithm] if layout.keys() >= set(found)]
    return min(lacking, key=lambda names: (len(names), sorted(names)), default=set())


def sizes_of(name: str, algorithm: str, tensors: Mapping[str, Tensor]) -> Sizes:
    """The sizes of a layer by the names that `LAYOUTS` gives them.

    Args:
        name: the layer, for messages.
        algorithm: one that `LAYOUTS` has.
        tensors: by canonical name, without alpha and magnitude.
    Raises:
        LoraFileError: tensors that do not go together, shapes that fit no layout, or an empty tensor.
    """
    layouts = [layout for layout in LAYOUTS[algorithm] if layout.keys() == tensors.keys()]
    if not layouts:
        raise LoraFileError(
            f"{name}: found {', '.join(sorted(tensors))}, which do not go together; expected one of "
            + "; ".join(", ".join(layout) for layout in LAYOUTS[algorithm])
        )
    for layout in layouts:
        sizes = _fitted(layout, tensors)
        if sizes is not None:
            return sizes
    found = " and ".join(f"{tensor} {list(tensors[tensor].shape)}" for tensor in layouts[0])
    expected = "; or ".join(" and ".join(_described(layout)) for layout in layouts)
    raise LoraFileError(f"{name}: found {found}, expected {expected}")


def _fitted(layout: Layout, tensors: Mapping[str, Tensor]) -> dict[str, int] | None:
    sizes = {"1": 1}
    for tensor, names in layout.items():
        shape = tuple(tensors[tensor].shape)
        if len(shape) != len(names.split()) or 0 in shape:
            return None
        for name, size in zip(names.split(), shape, strict=True):
            if sizes.setdefault(name, size) != size:
                return None
    return sizes


def _described(layout: Layout) -> Iterator[str]:
    for tensor, names in layout.items():
        yield f"{tensor} [{', '.join(names.split())}]"


def rank_of(sizes: Sizes) -> int:
    """The rank of a layer: of a LoKr that of its large factor, else of its small one, else 1."""
    return sizes.get("rank", sizes.get("rank1", 1))


def is_scaled(sizes: Sizes) -> bool:
    """Whether alpha means anything: a LoKr of two whole factors has scale 1."""
    return "rank" in sizes or "rank1" in sizes


def out_size(sizes: Sizes) -> int:
    """Rows of the change: output features or channels."""
    return sizes["out"] if "out" in sizes else sizes["a"] * sizes["b"]


def may_be_in_size(sizes: Sizes, in_size: int, is_conv: bool) -> bool:
    """Whether the layer may have so many input features or channels: tensors that are flat do not tell a kernel."""
    flat = sizes.get("in*k*l", sizes.get("d*k*l"))
    if flat is None:
        return in_size == (sizes["in"] if "in" in sizes else sizes["c"] * sizes["d"])
    total = flat * sizes.get("c", 1)
    return total % in_size == 0 if is_conv else total == in_size


def may_be_conv(sizes: Sizes) -> tuple[bool, ...]:
    """Whether the layer is a convolution; both where flat tensors do not tell."""
    if "in*k*l" in sizes or "d*k*l" in sizes:
        return (False, True)
    return ("k" in sizes,)

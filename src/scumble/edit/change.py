"""What a LoRA changes at a layer: as thin factors where it is plain LoRA, whole where it is not."""

import torch
from torch import Tensor, nn

from scumble.adapters.build import adapter_of
from scumble.edit.svd import Thin
from scumble.errors import LoraFileError
from scumble.families.layers import LayerTable
from scumble.families.outline import Shape
from scumble.files.embeddings import refuse_misfits as refuse_misfit_words
from scumble.files.layouts import may_be_conv, may_be_in_size, out_size, sizes_of
from scumble.files.lorafile import LoraFile, LoraLayer

MAGNITUDE = "magnitude"


def is_plain(layer: LoraLayer) -> bool:
    """Whether the change is a product of two thin factors: LoRA and LoCon, without DoRA."""
    return layer.algorithm == "lora" and MAGNITUDE not in layer.tensors


def thin_change(key: str, layer: LoraLayer) -> Thin:
    """The change of a plain layer: up [out, r], with the scale, and down [r, in k k]; float64."""
    assert is_plain(layer), key
    down, up = (layer.tensors[name].detach().double() for name in ("down", "up"))
    if "mid" in layer.tensors:  # the third factor of a Tucker decomposition goes into the first
        down = torch.einsum("rskl,si->rikl", layer.tensors["mid"].detach().double(), down.flatten(1))
    return Thin(up.flatten(1) * layer.scale, down.flatten(1))


def whole_change(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    """The change of any layer in the shape of its weight, float32.

    Raises:
        LoraFileError: it does not fit; or it is a DoRA, and the table is of an architecture without weights.
    """
    adapter = adapter_of(_frozen(key, layer, table), layer.algorithm, layer.tensors, layer.rank, layer.alpha, key)
    with torch.no_grad():
        return adapter.delta().detach()


def change_square(key: str, layer: LoraLayer, table: LayerTable) -> float:
    """Squared Frobenius norm of the change of any layer; see `whole_change` for what it needs."""
    if is_plain(layer):
        return thin_change(key, layer).square()
    return float(whole_change(key, layer, table).double().square().sum())


def changes_nothing(file: LoraFile, table: LayerTable) -> bool:
    """Whether every change of a LoRA is known to be zero: not of a DoRA without the base's weights."""
    if any(MAGNITUDE in layer.tensors for layer in file.layers.values()) and not table.stored:
        return False
    return not file.embeddings and all(change_square(key, layer, table) == 0 for key, layer in file.layers.items())


def refuse_misfits(file: LoraFile, table: LayerTable) -> None:
    """Raise if a layer of a LoRA is not made for the weight of its name, or a word not for the text encoders.

    Raises:
        LoraFileError: says how many are not, and names the first.
    """
    misfits = [key for key, layer in file.layers.items() if not _fits(key, layer, table.shapes[key])]
    if misfits:
        key = min(misfits)
        found = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(file.layers[key].tensors.items()))
        raise LoraFileError(
            f"{len(misfits)} of {len(file.layers)} layers do not fit {table.name}: {key}: found {found}, but the layer "
            f"is {list(table.shapes[key])}: the LoRA was made for another base"
        )
    refuse_misfit_words(file.embeddings, table.text_widths(), table.name)


def _fits(key: str, layer: LoraLayer, shape: Shape) -> bool:
    tensors = {name: tensor for name, tensor in layer.tensors.items() if name != MAGNITUDE}
    sizes = sizes_of(key, layer.algorithm, tensors)
    is_conv = len(shape) == 4
    if is_conv not in may_be_conv(sizes) or out_size(sizes) != shape[0] or not may_be_in_size(sizes, shape[1], is_conv):
        return False
    area = shape[2] * shape[3] if is_conv else 1
    flat = sizes.get("in*k*l", sizes.get("d*k*l"))
    if flat is not None:
        return flat * sizes.get("c", 1) == shape[1] * area
    return "k" not in sizes or (sizes["k"], sizes["l"]) == shape[2:]


def _frozen(key: str, layer: LoraLayer, table: LayerTable) -> nn.Module:
    """A layer of the base's shape; with its weight where that takes part in the change."""
    shape = table.shapes[key]
    with torch.device("meta"):
        frozen: nn.Module = (
            nn.Conv2d(shape[1], shape[0], shape[2:], bias=False)
            if len(shape) == 4
            else nn.Linear(shape[1], shape[0], bias=False)
        )
    if MAGNITUDE in layer.tensors:
        if not table.stored:
            raise LoraFileError(
                f"{key}: a DoRA sets the length of the base's own weights, so its change depends on them: give --base"
            )
        frozen.weight = nn.Parameter(table.weight(key).float(), requires_grad=False)
    return frozen

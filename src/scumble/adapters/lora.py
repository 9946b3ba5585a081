"""LoRA: the weight change as a product of two thin matrices (Hu et al. 2021, arXiv:2106.09685), LoCon where the layer is
a convolution (as LyCORIS has it, Yeh et al. 2023, arXiv:2309.14859).

h = W x + (alpha / r) B A x        A: [r, in(, k, k)], "down"    B: [out, r(, 1, 1)], "up"

Files of others may have a third factor between the two, "mid" [r, r, k, k]; A is then [r, in, 1, 1].
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from scumble.adapters.base import Adapter, Axis, line_sums
from scumble.adapters.fused import can_be_fused, linear_with_lora
from scumble.adapters.geometry import Geometry
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.start import random_down
from scumble.adapters.stored import StoredLayer
from scumble.adapters.weight import weight_of
from scumble.errors import LoraFileError


class LoraAdapter(Adapter):
    """A LoRA of one linear layer or convolution.

    Args:
        geometry: of the layer.
        down: A, float32 [r, in(, k, k)].
        up: B, float32 [out, r(, 1, 1)].
        alpha: the change is scaled by alpha / r.
        mid: float32 [r, r, k, k] or None.
    """

    algorithm = "lora"
    starts_at_zero = "up"

    def __init__(self, geometry: Geometry, down: Tensor, up: Tensor, alpha: float, mid: Tensor | None = None) -> None:
        super().__init__(geometry, down.shape[0], alpha)
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(up)
        self.mid = None if mid is None else nn.Parameter(mid)

    def factors(self) -> tuple[Tensor, Tensor]:
        """A and B."""
        return self.down, self.up

    def output(self, layer: nn.Module, x: Tensor, strength: float) -> Tensor:
        """Where a linear layer trains and nothing is left out, it and its LoRA are one operation."""
        is_whole = self.mid is None and not (self.training and self.dropout.acts)
        if torch.is_grad_enabled() and is_whole and can_be_fused(layer):
            assert isinstance(layer, nn.Linear | StoredLayer)
            return linear_with_lora(x, layer, *self.factors(), strength * self.scale)
        return super().output(layer, x, strength)

    def added_to(self, output: Tensor, x: Tensor, strength: float) -> Tensor:
        """Of a linear layer one addmm adds the scaled change to the output: no kernel is spent on scaling."""
        down, up = (factor.to(x.dtype) for factor in self.factors())
        thin = self._thin(x, down)
        if self.geometry.is_conv:
            return torch.add(output, functional.conv2d(thin, up), alpha=strength * self.scale)
        rows, thin_rows = output.reshape(-1, up.shape[0]), thin.reshape(-1, up.shape[1])
        return torch.addmm(rows, thin_rows, up.t(), alpha=strength * self.scale).view_as(output)

    def change(self, x: Tensor) -> Tensor:
        """(alpha / r) B A x."""
        down, up = (factor.to(x.dtype) for factor in self.factors())
        thin, scaled = self._thin(x, down), up * self.scale
        return functional.conv2d(thin, scaled) if self.geometry.is_conv else functional.linear(thin, scaled)

    def _thin(self, x: Tensor, down: Tensor) -> Tensor:
        """A x, [..., r], after the dropouts."""
        x = self._with_dropout(x)
        if self.mid is None:
            return self._dropped(self.geometry.run(x, down))
        return self._dropped(self.geometry.run(functional.conv2d(x, down), self.mid.to(x.dtype)))

    def _dropped(self, thin: Tensor) -> Tensor:
        kept = 1 - self.dropout.rank
        if not self.training or kept == 1:
            return thin
        if self.geometry.is_conv:
            shape = [thin.shape[0], thin.shape[1], 1, 1]
        else:
            shape = [thin.shape[0], *[1] * (thin.ndim - 2), thin.shape[-1]]
        return thin * ((torch.rand(shape, device=thin.device) < kept).to(thin.dtype) / kept)

    def delta(self) -> Tensor:
        """(alpha / r) B A in the shape of the weight."""
        down, up = self.factors()
        if self.mid is not None:
            product = torch.einsum("or,rskl,si->oikl", up.flatten(1), self.mid, down.flatten(1))
            return self.scale * product
        return self.scale * (up.flatten(1) @ down.flatten(1)).view(self.geometry.shape)

    def added_squares(self, weight: Tensor, axis: Axis) -> Tensor:
        """2 s <W, B A> + s^2 |B A|^2 of each line, through products with r rows; see `Adapter.added_squares`."""
        if self.mid is not None:
            return super().added_squares(weight, axis)
        down, up = (factor.flatten(1) for factor in self.factors())
        matrix = weight.flatten(1)
        if axis == "output":
            return 2 * self.scale * ((matrix @ down.t()) * up).sum(1) + self.scale**2 * (
                (up @ (down @ down.t())) * up
            ).sum(1)
        columns = 2 * self.scale * ((up.t() @ matrix) * down).sum(0)
        columns = columns + self.scale**2 * (((up.t() @ up) @ down) * down).sum(0)
        return line_sums(columns.view(1, *self.geometry.shape[1:]), axis)


class PissaAdapter(LoraAdapter):
    """A LoRA that starts as the largest directions of the weight itself and changes nothing, because what it starts from
    is taken away again (Meng et al. 2024, arXiv:2404.02948).

    The frozen weight stays whole: h = W x + (alpha / r) (B A - B0 A0) x. Written as (B - B0) A + B0 (A - A0) that is an
    ordinary LoRA of rank 2 r, whose factors may be rounded without the large numbers drowning the small change.

    Args:
        geometry: of the layer.
        down: A0, float32 [r, in(, k, k)].
        up: B0, float32 [out, r(, 1, 1)].
        alpha: the difference is scaled by alpha / r.
    """

    def __init__(self, geometry: Geometry, down: Tensor, up: Tensor, alpha: float) -> None:
        super().__init__(geometry, down, up, alpha)
        self.rank, self.alpha = 2 * self.rank, 2 * alpha
        self.register_buffer("first_down", down.clone())
        self.register_buffer("first_up", up.clone())
        self.first_down: Tensor
        self.first_up: Tensor

    def factors(self) -> tuple[Tensor, Tensor]:
        """[A; A - A0] and [B - B0, B0]."""
        return self._difference(self.down, self.up)

    def file_tensors(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The difference to the start as one LoRA of rank 2 r."""
        down, up = self._difference(numbers["down"].detach(), numbers["up"].detach())
        return {"down": down, "up": up}

    def _difference(self, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        first_down, first_up = self.first_down.to(down.device), self.first_up.to(up.device)
        return torch.cat([down, down - first_down]), torch.cat([up - first_up, first_up], dim=1)


def shapes(geometry: Geometry, recipe: AdapterRecipe) -> dict[str, tuple[int, ...]]:
    """The parameters of a new LoRA, by name."""
    ones = [1] * len(geometry.kernel)
    return {"down": (recipe.rank, *geometry.shape[1:]), "up": (geometry.out_features, recipe.rank, *ones)}


def create(layer: nn.Module, recipe: AdapterRecipe, generator: torch.Generator) -> LoraAdapter:
    """A LoRA that changes nothing yet: A is random and B zero, or both are those of PiSSA.

    Args:
        layer: the layer to adapt.
        recipe: rank, alpha and start.
        generator: a CPU generator, source of A.
    """
    geometry = Geometry.of(layer)
    if recipe.init == "pissa":
        return _pissa(layer, geometry, recipe)
    wanted = shapes(geometry, recipe)
    down = random_down(wanted["down"], recipe.init, generator)
    return LoraAdapter(geometry, down, torch.zeros(wanted["up"]), recipe.effective_alpha)


def _pissa(layer: nn.Module, geometry: Geometry, recipe: AdapterRecipe) -> PissaAdapter:
    """A0 and B0 from the largest singular values: (alpha / r) B0 A0 is the nearest matrix of rank r to W."""
    matrix = weight_of(layer).detach().float().flatten(1)
    rank = min(recipe.rank, *matrix.shape)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    roots = (values[:rank] * (rank / recipe.effective_alpha)).sqrt()
    down = (roots[:, None] * right[:rank]).view(rank, *geometry.shape[1:])
    up = (left[:, :rank] * roots).view(geometry.out_features, rank, *[1] * len(geometry.kernel))
    # contiguous: LAPACK lays matrices column by column
    return PissaAdapter(geometry, down.contiguous(), up.contiguous(), recipe.effective_alpha)


def from_tensors(layer: nn.Module, tensors: Mapping[str, Tensor], rank: int, alpha: float, path: str) -> LoraAdapter:
    """A LoRA with given numbers, as `Adapter.tensors` names them.

    Raises:
        LoraFileError: the shapes do not fit each other or the layer.
    """
    geometry = Geometry.of(layer)
    down, up, mid = (tensors[name].detach().float() if name in tensors else None for name in ("down", "up", "mid"))
    assert down is not None
    assert up is not None
    ones = [1] * len(geometry.kernel)
    inner = ones if mid is not None else list(geometry.kernel)
    fits = down.shape == (rank, geometry.in_features, *inner) and up.shape == (geometry.out_features, rank, *ones)
    fits = fits and (mid is None or (geometry.is_conv and mid.shape == (rank, rank, *geometry.kernel)))
    if not fits:
        raise LoraFileError(
            f"{path}: found down {list(down.shape)} and up {list(up.shape)}, but the layer is "
            f"{list(geometry.shape)}: the LoRA was made for another base model"
        )
    return LoraAdapter(geometry, down.clone(), up.clone(), alpha, None if mid is None else mid.clone())

"""Linear changes of coordinates w = w* + S z in which the posterior is round.

With curvature h of the loss in a coordinate, S scales it by (nβ·h + γ)^(−1/2), the thermal size of that
coordinate. S is frozen while a trace is recorded: a preconditioner that keeps adapting samples another law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.potential import row_dot

_LARGEST_BASIS = 1024  # sides longer than this keep their own coordinates
_AT_A_TIME = 4  # samples that are rotated together


@runtime_checkable
class Preconditioner(Protocol):
    """S, its transpose, and the loss's share in each coordinate."""

    @property
    def name(self) -> str:
        """How it is called in saved runs."""

    def move(
        self, position: Float[Tensor, "chain dim"], z: Float[Tensor, "chain dim"]
    ) -> Float[Tensor, "chain dim"]:
        """Position + S z."""

    def transpose(self, g: Float[Tensor, "chain dim"]) -> Float[Tensor, "chain dim"]:
        """Sᵀ g, a new tensor."""

    def loss_share(self) -> Float[Tensor, " dim"] | None:
        """Share nβh/(nβh + γ) of the loss in each coordinate's curvature; None = unknown, taken as 1."""

    def tensors(self) -> dict[str, Tensor]:
        """What defines S, for saving."""


@dataclass(frozen=True)
class Identity:
    """S = 1."""

    name: str = "none"

    def move(self, position: Tensor, z: Tensor) -> Tensor:
        return position + z

    def transpose(self, g: Tensor) -> Tensor:
        return g.clone()

    def loss_share(self) -> None:
        return None

    def tensors(self) -> dict[str, Tensor]:
        return {}


class Diagonal:
    """S = diag(s)."""

    name = "diagonal"

    def __init__(self, scale: Float[Tensor, " dim"], share: Float[Tensor, " dim"]) -> None:
        self._scale, self._share = scale, share

    @classmethod
    def of_curvature(
        cls,
        curvature: Float[Tensor, " dim"],
        *,
        nbeta: float,
        localization: float,
        largest: float | None = None,
    ) -> "Diagonal":
        """From h ≥ 0, the diagonal of the Hessian of L; ``largest`` of it where this is only a part."""
        peak = float(curvature.max()) if largest is None else largest
        return cls(*_thermal(curvature, nbeta, localization, peak))

    def move(self, position: Tensor, z: Tensor) -> Tensor:
        return torch.addcmul(position, z, self._scale)

    def transpose(self, g: Tensor) -> Tensor:
        return g * self._scale

    def loss_share(self) -> Tensor:
        return self._share

    def tensors(self) -> dict[str, Tensor]:
        return {"scale": self._scale, "share": self._share}


def _thermal(
    curvature: Tensor, nbeta: float, localization: float, largest: float
) -> tuple[Tensor, Tensor]:
    """Scale of each coordinate, and the loss's share of its curvature."""
    held = nbeta * curvature.clamp(min=0)
    floor = localization + 1e-12 * max(nbeta * largest, 1e-30)
    return (held + floor).rsqrt(), held / (held + floor)


@dataclass(frozen=True)
class Block:
    """A run of equal matrices, neighbours in the flat vector, rotated together."""

    start: int
    count: int
    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.count * self.rows * self.columns


def blocks(shapes: Sequence[torch.Size]) -> list[Block]:
    """Every tensor as (rows, columns): a vector is one row; filters are flattened behind their outputs."""
    found: list[Block] = []
    start = 0
    for shape in shapes:
        rows = shape[0] if len(shape) > 1 else 1
        columns = shape.numel() // rows
        last = found[-1] if found else None
        if last and (last.rows, last.columns) == (rows, columns) and rows > 1:
            found[-1] = Block(last.start, last.count + 1, rows, columns)
        else:
            found.append(Block(start, 1, rows, columns))
        start += rows * columns
    return found


class Eigenbasis:
    """EKFAC: a Kronecker-factored eigenbasis with the curvature re-measured in it.

    For a weight matrix with gradient samples G the factors are E[G Gᵀ] and E[Gᵀ G], the two marginals of
    the layer's Gauss–Newton matrix; with their eigenvectors U and V the curvature of coordinate (i, j) is
    the second moment of (Uᵀ G V)_ij, and S z = U (s∘z) Vᵀ. Vectors, and sides longer than 1024, keep their
    own coordinates.

    Source: George et al. (2018), arXiv:1806.03884, for the re-measured diagonal; the factors are the
    marginals of Gupta et al. (2018), arXiv:1802.09568, which need no access to layer inputs.
    """

    name = "ekfac"

    def __init__(
        self,
        layout: list[Block],
        left: list[Tensor | None],
        right: list[Tensor | None],
        scale: Tensor,
        share: Tensor,
    ) -> None:
        self.layout, self.left, self.right = layout, left, right
        self._scale, self._share = scale, share

    @classmethod
    def of_samples(
        cls,
        samples: Float[Tensor, "sample dim"],
        shapes: Sequence[torch.Size],
        *,
        nbeta: float,
        localization: float,
    ) -> "Eigenbasis":
        """From vectors whose second moment is the Gauss–Newton matrix of L (``Landscape.score_gradients``)."""
        layout = blocks(shapes)
        left: list[Tensor | None] = []
        right: list[Tensor | None] = []
        for block in layout:
            left.append(_eigenvectors(samples, block, "kbij,kblj->bil", block.rows))
            right.append(_eigenvectors(samples, block, "kbij,kbil->bjl", block.columns))
        ones = torch.ones_like(samples[0])
        basis = cls(layout, left, right, ones, ones)
        curvature = torch.zeros_like(ones)
        for some in samples.split(_AT_A_TIME):
            curvature += basis.transpose(some).square_().sum(0)
        curvature /= samples.shape[0]
        largest = float(curvature.max())
        basis._scale, basis._share = _thermal(curvature, nbeta, localization, largest)
        return basis

    def move(
        self, position: Float[Tensor, "chain dim"], z: Float[Tensor, "chain dim"]
    ) -> Float[Tensor, "chain dim"]:
        scaled = z * self._scale
        for block, u, v in zip(self.layout, self.left, self.right, strict=True):
            if u is not None or v is not None:
                part = _matrices(scaled, block)
                part = part if u is None else u @ part
                part = part if v is None else part @ v.mT
                _put(scaled, block, part)
        return scaled.add_(position)

    def transpose(self, g: Float[Tensor, "chain dim"]) -> Float[Tensor, "chain dim"]:
        rotated = g.clone()
        for block, u, v in zip(self.layout, self.left, self.right, strict=True):
            if u is not None or v is not None:
                part = _matrices(g, block)
                part = part if u is None else u.mT @ part
                part = part if v is None else part @ v
                _put(rotated, block, part)
        return rotated.mul_(self._scale)

    def loss_share(self) -> Tensor:
        return self._share

    def tensors(self) -> dict[str, Tensor]:
        saved = {"scale": self._scale, "share": self._share}
        for index, (u, v) in enumerate(zip(self.left, self.right, strict=True)):
            if u is not None:
                saved[f"left.{index}"] = u
            if v is not None:
                saved[f"right.{index}"] = v
        return saved


def _matrices(
    flat: Float[Tensor, "chain dim"], block: Block
) -> Float[Tensor, "chain block row column"]:
    return flat[:, block.start : block.start + block.size].reshape(
        -1, block.count, block.rows, block.columns
    )


def _put(flat: Tensor, block: Block, part: Tensor) -> None:
    flat[:, block.start : block.start + block.size] = part.reshape(part.shape[0], -1)


def _eigenvectors(
    samples: Float[Tensor, "sample dim"], block: Block, marginal: str, side: int
) -> Float[Tensor, "block side side"] | None:
    if side == 1 or side > _LARGEST_BASIS:
        return None
    moment = samples.new_zeros(block.count, side, side)
    for some in samples.split(_AT_A_TIME):
        g = _matrices(some, block)
        moment += torch.einsum(marginal, g, g)
    scale = moment.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)[:, None, None]
    _, vectors = torch.linalg.eigh((moment / scale).double())
    return vectors.to(moment.dtype).contiguous()


def heat(
    preconditioner: Preconditioner, noise: Float[Tensor, "chain dim"]
) -> Float[Tensor, " chain"]:
    """Σ share·(Sᵀ noise)²: what gradient noise adds to the energy of the loss, per ε/8."""
    noise = preconditioner.transpose(noise)
    share = preconditioner.loss_share()
    return row_dot(noise, noise) if share is None else noise.square_() @ share


def restore(name: str, tensors: dict[str, Tensor], shapes: Sequence[torch.Size]) -> Preconditioner:
    """The preconditioner that ``tensors()`` described."""
    if name == "none":
        return Identity()
    if name == "diagonal":
        return Diagonal(tensors["scale"], tensors["share"])
    layout = blocks(shapes)
    indices = range(len(layout))
    return Eigenbasis(
        layout,
        [tensors.get(f"left.{i}") for i in indices],
        [tensors.get(f"right.{i}") for i in indices],
        tensors["scale"],
        tensors["share"],
    )

"""Which weights move, and how they lie in one flat vector.

A position of the sampler is a flat vector of the selected weights, in the order of the model's named
parameters. Whatever is not selected stays where the model has it, and costs neither gradient, noise nor
memory of the sampler.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Params = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A block of rows or columns of one tensor: the weights of an attention head, say."""

    name: str  # the parameter's name in the model
    axis: int  # the axis that is cut
    start: int  # first index along it
    length: int  # how many

    def narrow(self, tensor: Tensor) -> Tensor:
        return tensor.narrow(self.axis, self.start, self.length)


def head(
    name: str, index: int, *, num_heads: int, axis: int = 0, block: int = 0, num_blocks: int = 1
) -> "HeadSelection":
    """Select one attention head's slice of a fused tensor.

    The tensor is cut along ``axis`` into ``num_blocks`` equal blocks (3 for a fused query-key-value
    tensor), and block ``block`` into ``num_heads`` equal heads. The head's size is read off the tensor,
    never off the model's width, so grouped-query attention and free head sizes are cut correctly.

    Args:
        name: parameter name, such as ``"transformer.h.0.attn.c_attn.weight"``.
        index: which head, from 0.
        num_heads: heads in the block (for keys and values: the number of key-value heads).
        axis: 0 for ``nn.Linear`` query/key/value weights (rows are outputs), 1 for their output
            projection and for GPT-2's transposed ``Conv1D``.
        block: which block of the fused tensor, from 0.
        num_blocks: how many blocks are fused.

    Returns:
        A selection for ``weights=``; put several in a list to select several heads.

    Example:
        >>> head("attn.in_proj_weight", 1, num_heads=4, block=2, num_blocks=3).index
        1
    """
    if not 0 <= index < num_heads:
        raise ValueError(f"head index must lie in 0…{num_heads - 1}, got {index}.")
    if not 0 <= block < num_blocks:
        raise ValueError(f"block must lie in 0…{num_blocks - 1}, got {block}.")
    return HeadSelection(
        name=name, index=index, num_heads=num_heads, axis=axis, block=block, num_blocks=num_blocks
    )


@dataclass(frozen=True, kw_only=True)
class HeadSelection:
    """What :func:`head` returns; resolved against the tensor's shape when the model is known."""

    name: str
    index: int
    num_heads: int
    axis: int
    block: int
    num_blocks: int

    def resolve(self, tensor: Tensor) -> Slice:
        if not -tensor.ndim <= self.axis < tensor.ndim:
            raise ValueError(
                f"axis {self.axis} does not exist in {self.name} of shape {tuple(tensor.shape)}."
            )
        axis = self.axis % tensor.ndim
        pieces = self.num_heads * self.num_blocks
        if tensor.shape[axis] % pieces:
            raise ValueError(
                f"{self.name} has {tensor.shape[axis]} entries along axis {axis}, which "
                f"{self.num_blocks} blocks of {self.num_heads} heads do not divide."
            )
        length = tensor.shape[axis] // pieces
        start = (self.block * self.num_heads + self.index) * length
        return Slice(name=self.name, axis=axis, start=start, length=length)


Weights = None | str | HeadSelection | Mapping[str, Tensor] | Sequence["str | HeadSelection"]


@dataclass(frozen=True)
class Component:
    """The selected part of one tensor, and its place in the flat vector."""

    name: str  # parameter name, with a suffix if only a slice moves
    parameter: str  # parameter name in the model
    shape: torch.Size  # shape of the part that moves
    start: int  # offset in the flat vector
    size: int  # number of weights
    slice: Slice | None = None  # a contiguous block along one axis
    positions: Tensor | None = None  # flat positions selected by a mask
    unit: float = 1.0  # length of one step of the flat vector, in weights


class Selection:
    """The map between a model's parameters and one flat vector.

    Args:
        parameters: name → tensor at w*, tied tensors once.
        weights: None for all; a glob or globs on names; ``{name: bool mask}``; ``head(...)``; a list of
            globs and heads.
        units: glob on component names → unit u. The flat vector holds w/u, so that the tether and every
            radius are measured in these units; tensors that no glob matches have unit 1.

    Raises:
        ValueError: nothing selected, unknown name, wrong mask shape, overlapping heads, weights that are
            not floating point or not finite.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        weights: Weights = None,
        units: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters = dict(parameters)
        self.components = _with_units(tuple(_components(self.parameters, weights)), units or {})
        if not self.components:
            raise ValueError(
                f"no weights selected: {weights!r} matches none of {_some(self.parameters)}."
            )
        for component in self.components:
            tensor = self.parameters[component.parameter]
            if not tensor.is_floating_point():
                raise ValueError(
                    f"{component.parameter} has dtype {tensor.dtype}; only floating-point weights can move."
                )
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(
                    f"{component.parameter} holds NaN or infinite weights; the model must be finite at w*."
                )
        self.size = sum(component.size for component in self.components)
        first = self.parameters[self.components[0].parameter]
        dtypes = {self.parameters[c.parameter].dtype for c in self.components}
        self.dtype = torch.float64 if torch.float64 in dtypes else torch.float32
        self.device = first.device
        moving = {component.parameter for component in self.components}
        self.fixed = {name: t.detach() for name, t in self.parameters.items() if name not in moving}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.components)

    def center(self) -> Float[Tensor, " dim"]:
        """The selected weights at w*, as one float32 or float64 master vector (a copy)."""
        return torch.cat(
            [self._part(c).reshape(-1).to(self.dtype) / c.unit for c in self.components]
        )

    def _part(self, component: Component) -> Tensor:
        tensor = self.parameters[component.parameter].detach()
        if component.slice is not None:
            return component.slice.narrow(tensor)
        if component.positions is not None:
            return tensor.reshape(-1)[component.positions]
        return tensor

    def parts(self, flat: Float[Tensor, " dim"]) -> list[Tensor]:
        """Views of a flat vector, one per component, each in its component's shape."""
        pieces = flat.split([c.size for c in self.components])  # one operation, also backwards
        return [p.view(c.shape) for p, c in zip(pieces, self.components, strict=True)]

    def assemble(self, parts: Sequence[Tensor]) -> Params:
        """All parameters of the model with the moving parts put in, in the model's own dtypes."""
        params = dict(self.fixed)
        for component, part in zip(self.components, parts, strict=True):
            name = component.parameter
            whole = params[name] if name in params else self.parameters[name].detach()
            part = (part if component.unit == 1 else part * component.unit).to(whole.dtype)
            if component.slice is not None:
                cut = component.slice
                params[name] = whole.slice_scatter(
                    part, cut.axis, cut.start, cut.start + cut.length
                )
            elif component.positions is not None:
                params[name] = (
                    whole.reshape(-1).index_copy(0, component.positions, part).view(whole.shape)
                )
            else:
                params[name] = part
        return params

    def unflatten(self, flat: Float[Tensor, " dim"]) -> Params:
        """``assemble(parts(flat))``: differentiable in ``flat``."""
        return self.assemble(self.parts(flat))


def _with_units(
    components: tuple[Component, ...], units: Mapping[str, float]
) -> tuple[Component, ...]:
    for glob, unit in units.items():
        if not (math.isfinite(unit) and unit > 0):
            raise ValueError(f"the unit of {glob!r} must be positive and finite, got {unit}.")
        if not any(fnmatchcase(component.name, glob) for component in components):
            raise ValueError(f"no unit to set: {glob!r} matches none of the selected weights.")
    found = []
    for component in components:
        chosen = [float(u) for glob, u in units.items() if fnmatchcase(component.name, glob)]
        if len(chosen) > 1:
            raise ValueError(f"{component.name} is given {len(chosen)} units; give one.")
        found.append(replace(component, unit=chosen[0] if chosen else 1.0))
    return tuple(found)


def _components(parameters: Mapping[str, Tensor], weights: Weights) -> Iterable[Component]:
    start = 0
    for name, shape, cut, positions in _chosen(parameters, weights):
        size = int(torch.Size(shape).numel())
        label = name if cut is None else f"{name}[{cut.axis}:{cut.start}:{cut.start + cut.length}]"
        yield Component(label, name, torch.Size(shape), start, size, cut, positions)
        start += size


def _chosen(
    parameters: Mapping[str, Tensor], weights: Weights
) -> Iterable[tuple[str, Sequence[int], Slice | None, Tensor | None]]:
    if weights is None:
        for name, tensor in parameters.items():
            if tensor.is_floating_point():
                yield name, tensor.shape, None, None
        return
    if isinstance(weights, Mapping):
        for name in parameters:
            if name in weights:
                positions = _masked(name, parameters[name], weights[name])
                if positions.numel():
                    yield name, (positions.numel(),), None, positions
        _refuse_unknown(weights, parameters)
        return
    if not isinstance(weights, str | HeadSelection | Iterable):
        raise TypeError(f"weights must be globs, masks or heads, got {weights!r}.")
    wanted = [weights] if isinstance(weights, str | HeadSelection) else list(weights)
    globs = [w for w in wanted if isinstance(w, str)]
    heads = [w for w in wanted if isinstance(w, HeadSelection)]
    if len(globs) + len(heads) != len(wanted):
        raise TypeError(f"weights must be globs, masks or heads, got {weights!r}.")
    _refuse_unknown([h.name for h in heads], parameters)
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in parameters):
            raise ValueError(f"no weights selected: {glob!r} matches none of {_some(parameters)}.")
    for name, tensor in parameters.items():
        cuts = sorted(
            (h.resolve(tensor) for h in heads if h.name == name), key=lambda c: (c.axis, c.start)
        )
        if any(fnmatchcase(name, glob) for glob in globs):
            if cuts:
                raise ValueError(f"{name} is selected whole and by head; choose one.")
            yield name, tensor.shape, None, None
        for before, after in pairwise(cuts):
            if before.axis != after.axis or before.start + before.length > after.start:
                raise ValueError(f"two selected heads of {name} overlap.")
        for cut in cuts:
            yield name, cut.narrow(tensor).shape, cut, None


def _masked(name: str, tensor: Tensor, mask: Bool[Tensor, "..."] | Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(
            f"the mask of {name} must be a boolean tensor, got {getattr(mask, 'dtype', type(mask))}."
        )
    if mask.shape != tensor.shape:
        raise ValueError(
            f"the mask of {name} has shape {tuple(mask.shape)}, the parameter {tuple(tensor.shape)}."
        )
    return mask.reshape(-1).nonzero().flatten().to(tensor.device)


def _refuse_unknown(names: Iterable[str], parameters: Mapping[str, Tensor]) -> None:
    unknown = [name for name in names if name not in parameters]
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0]!r}; the model has {_some(parameters)}.")


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f", … ({len(listed)} in all)" if len(listed) > most else "")


def named_parameters(model: nn.Module) -> Params:
    """The model's parameters by name, detached, tied tensors once."""
    return {name: tensor.detach() for name, tensor in model.named_parameters()}

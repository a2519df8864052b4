"""A model whose weights lie spread over processes (FSDP2), on data.

Every process calls the same functions with the same data and gets the same losses. It holds its own shards
of every vector of weights, draws its own part of the noise, and runs the model on its own rows of each
minibatch; FSDP gathers the weights layer by layer and scatters the gradients. Only sums over weights
(:meth:`ShardedLandscape.total`) and the losses of the other rows are exchanged beside that.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, Shard

from singulab.data import Batch, Source, batch_length, entry, tree_map
from singulab.fingerprint import fingerprint
from singulab.landscape.model import ModelLandscape
from singulab.losses import Loss, split
from singulab.params import HeadSelection, Params, Selection, Weights
from singulab.rng import Noise, Purpose


class ShardedLandscape(ModelLandscape):
    """A model under ``torch.distributed.fsdp.fully_shard``, as every process sees it.

    A position holds the shards of this process, in the order of the model's parameters. To evaluate it the
    shards are written into the model; leaving :meth:`ready` puts w* and the caller's gradients back. The
    minibatch of a step, its noise and hence its numbers are those of the model in one process, up to the
    rounding of sums.

    What a careful reader would get wrong: the model must stand as ``fully_shard`` made it, with gradients
    averaged over processes; evaluations belong inside :meth:`ready`; every process must make every call.

    Args:
        model: the root of the FSDP modules, standing at w*.
        source: the data, the same and all of them in every process.
        loss: a loss of :mod:`singulab.losses`.
        weights: None for all; a glob or globs on names.
        labels: ``"data"`` or ``"model"``.
        batch_size: of a minibatch, over all processes together.

    Raises:
        ValueError: weights that are not sharded along their first axis over one axis of processes, or frozen.
        TypeError: masks or heads.
    """

    sharded = True

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        loss: Loss,
        weights: Weights,
        *,
        labels: str,
        batch_size: int | None,
    ) -> None:
        if isinstance(weights, Mapping | HeadSelection) or (
            isinstance(weights, Sequence) and any(isinstance(one, HeadSelection) for one in weights)
        ):
            raise TypeError(
                "masks and heads need an unsharded model; select sharded weights by name."
            )
        self._modules = [m for m in model.modules() if isinstance(m, FSDPModule)]
        self._reshard()
        self._weights_of_model = dict(model.named_parameters())
        shards = {name: _local(weight) for name, weight in self._weights_of_model.items()}
        selection = Selection(shards, weights)
        self._moving = _spread({n: self._weights_of_model[n] for n in selection.names})
        mesh = next(iter(self._moving.values())).device_mesh
        self._group, self._num_ranks = mesh.get_group(), mesh.size()
        self._rank = mesh.get_local_rank()
        super().__init__(model, source, loss, selection, labels=labels, batch_size=batch_size)
        self.stacked = False
        self.notes.append(f"weights and minibatches are shared by {self._num_ranks} processes")
        ends = torch.tensor([0, *(w.numel() for w in self._moving.values())]).cumsum(0).tolist()
        self.offsets, self.dim = tuple(ends[:-1]), ends[-1]
        self._ranges = [
            (start + _offset(name, weight), start + _offset(name, weight) + c.size)
            for (name, weight), start, c in zip(
                self._moving.items(), ends[:-1], selection.components, strict=True
            )
        ]

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Evaluation mode inside; outside the caller's modes, gradients, buffers and weights as they were."""
        if self._depth:
            yield
            return
        gradients = [(weight, weight.grad) for weight in self._weights_of_model.values()]
        try:
            with super().ready():
                yield
        finally:
            self._write(self._named(self.selection.unflatten(self.center)))
            for weight, gradient in gradients:
                weight.grad = gradient
            with torch.no_grad():
                for name, buffer in self.model.named_buffers():
                    buffer.copy_(self._buffers[name])

    # ── sums over all weights ─────────────────────────────────────────────────────────────────

    def noise(self, seed: int, purpose: Purpose) -> Noise:
        """The elements of this process out of the noise of the unsharded model."""
        center = self.center
        return Noise(
            seed,
            self.dim,
            dtype=center.dtype,
            device=center.device,
            purpose=purpose,
            ranges=self._ranges,
        )

    def total(self, part: Tensor) -> Tensor:
        """Sum over the processes, in the same order in each."""
        return self._of_all(part).sum(0)

    def largest(self, part: Tensor) -> Tensor:
        """Maximum over the processes."""
        mine = part.max() if part.numel() else part.new_tensor(-torch.inf)
        return self._of_all(mine).max()

    def _of_all(self, part: Tensor) -> Float[Tensor, "rank ..."]:
        parts = [torch.empty_like(part) for _ in range(self._num_ranks)]
        dist.all_gather(parts, part.contiguous(), group=self._group)
        return torch.stack(parts)

    # ── the model at a position ───────────────────────────────────────────────────────────────

    def _reshard(self) -> None:
        """Free gathered weights, so that the next use gathers what the shards then hold."""
        for module in self._modules:
            module.reshard()

    def _write(self, params: Params) -> None:
        self._reshard()
        with torch.no_grad():
            for name, weight in self._moving.items():
                weight.to_local().copy_(params[f"model.{name}"])

    def _rows(self, size: int) -> tuple[int, int]:
        """First and last row of a batch that belong to this process; a small batch may have none."""
        return self._rank * size // self._num_ranks, (self._rank + 1) * size // self._num_ranks

    def _mine(self, batch: Batch) -> Batch:
        """The rows of this process, or one row that will not count, as all processes must run the model."""
        first, last = self._rows(batch_length(batch))
        return entry(batch, slice(first, last) if last > first else slice(0, 1))

    def _call(self, params: Params, wanted: str, batch: Batch, teacher: Any | None = None) -> Any:
        """What the model makes of all rows of a batch; a teacher is held by rows, and comes as such."""
        assert self._depth, "evaluations belong inside ready()"
        self._write(params)
        output = self._run(wanted, self._mine(batch), teacher)
        if wanted == "teacher" or (wanted == "output" and not isinstance(output, Tensor)):
            return output  # only a tensor is ever scored
        size = batch_length(batch)
        first, last = self._rows(size)

        def joined(leaf: Tensor) -> Tensor:
            return _Joined.apply(leaf[: last - first], size, first, self._num_ranks, self._group)

        return tree_map(joined, output)

    def _teacher(self, batch: Batch) -> Any | None:
        if self._cached_teacher:
            return self._mine(split(batch)[1])
        return super()._teacher(batch)

    def _flat_gradient(
        self, value: Tensor, parts: Sequence[Tensor], out: Tensor | None = None
    ) -> Float[Tensor, " dim"]:
        """The shards of the gradient, which FSDP leaves in the weights."""
        if not value.requires_grad:
            raise ValueError("the loss does not depend on the selected weights; select others.")
        self._drop_gradients()
        value.backward()
        found = []
        for part, weight in zip(parts, self._moving.values(), strict=True):
            gradient = weight.grad
            found.append(torch.zeros_like(part) if gradient is None else _local(gradient).to(part))
        self._drop_gradients()
        return torch.cat([gradient.reshape(-1) for gradient in found], out=out)

    def _drop_gradients(self) -> None:
        for weight in self._weights_of_model.values():
            weight.grad = None

    def fingerprints(self) -> dict[str, str]:
        """Sha256 of data and loss, which all processes must share, and of all shards."""
        if self._fingerprints is None:
            mine = super().fingerprints()
            every: list[Any] = [None] * self._num_ranks
            dist.all_gather_object(every, mine, group=self._group)
            for name in ("data", "loss"):
                if any(one[name] != mine[name] for one in every):
                    raise ValueError(
                        f"the processes differ in their {name}; pass the same to each."
                    )
            self._fingerprints = {
                **mine,
                "weights": fingerprint(*(one["weights"] for one in every)),
            }
        return self._fingerprints


class _Joined(torch.autograd.Function):
    """The rows of all processes, put together; gradients flow into the rows of this one.

    FSDP averages gradients over processes, so what flows back is multiplied by their number.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, size: int, first: int, num_ranks: int, group: Any
    ) -> Tensor:
        ctx.place, ctx.num_ranks = slice(first, first + rows.shape[0]), num_ranks
        whole = rows.new_zeros(size, *rows.shape[1:])
        whole[ctx.place] = rows
        dist.all_reduce(whole, group=group)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0][ctx.place] * ctx.num_ranks, None, None, None, None


def _local(tensor: Tensor) -> Tensor:
    with torch.no_grad():
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach()


def _spread(weights: Mapping[str, Tensor]) -> dict[str, DTensor]:
    """The weights that move, all of them sharded by rows over the same axis of processes."""
    spread = {}
    for name, weight in weights.items():
        if not isinstance(weight, DTensor):
            raise ValueError(f"{name} is not sharded; apply fully_shard to the whole model.")
        spread[name] = weight
        mesh = next(iter(spread.values())).device_mesh
        if weight.placements != (Shard(0),) or weight.device_mesh != mesh:
            raise ValueError(
                f"{name} is placed as {weight.placements} on {weight.device_mesh}; weights must be "
                "sharded along their first axis over one axis of processes."
            )
        if not weight.requires_grad:
            raise ValueError(f"{name} is frozen; set requires_grad on all weights that move.")
    return spread


def _offset(name: str, weight: DTensor) -> int:
    """Where the shard of this process begins in the flat weight."""
    mesh = weight.device_mesh
    rows = -(-weight.shape[0] // mesh.size())
    first = min(mesh.get_local_rank() * rows, weight.shape[0])
    length = min(rows, weight.shape[0] - first)
    if weight.to_local().shape[0] != length:
        raise ValueError(
            f"{name} is not cut into equal chunks of rows, as fully_shard cuts weights."
        )
    return first * (weight.numel() // weight.shape[0])

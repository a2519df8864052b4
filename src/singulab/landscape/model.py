"""A model on data, as minibatches show it: excess losses paired datum by datum with those at w*."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from singulab.data import (
    Batch,
    DatasetSource,
    Feed,
    Source,
    StreamSource,
    TensorSource,
    batch_length,
    entry,
    leaves,
    tree_map,
)
from singulab.fingerprint import fingerprint
from singulab.landscape.recording import Recorded
from singulab.landscape.slope import Slope, Whole
from singulab.losses import Gaussian, Loss, NextToken, split
from singulab.params import Params, Selection
from singulab.rng import Purpose

logger = logging.getLogger(__name__)

_TEACHER_BYTES = 256 << 20
FORWARD = 1 / 3  # cost of a forward pass in gradient units


class _Run(nn.Module):
    """Runs a loss on a model, so that one functional call covers all of it."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, wanted: str, batch: Batch, teacher: Any | None) -> Any:
        output = self.loss.run(self.model, batch)
        if wanted == "output":
            return output
        if wanted == "teacher":
            return self.loss.teacher(output)
        if wanted == "teacher and values":
            held = self.loss.teacher(output)
            return held, self.loss.values(output, batch, held)
        return self.loss.values(output, batch, teacher)


class ModelLandscape(Whole):
    """A model on data, seen through a loss; the model is never modified.

    Parameters are swapped for the duration of a call; batch norm keeps its statistics and dropout is off.
    ``labels="model"`` replaces the targets by the model's own outputs at w*.

    Args:
        model: any module, standing at w*.
        source: the data.
        loss: a loss of :mod:`singulab.losses`.
        selection: which weights move.
        labels: ``"data"`` or ``"model"``.
        batch_size: chunk of the passes over all data.
        buffers: buffers to use instead of copies of the model's own (moved to another device).
    """

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        loss: Loss,
        selection: Selection,
        *,
        labels: str,
        batch_size: int | None,
        buffers: Params | None = None,
    ) -> None:
        self.model, self.source, self.loss, self.selection = model, source, loss, selection
        self.labels, self.batch_size = labels, batch_size
        self.center = selection.center()
        self.dim, self.components = selection.size, selection.names
        self.offsets = tuple(c.start for c in selection.components)
        self.quantity = "llc" if labels == "data" else "behavioural_llc"
        self.unit = loss.unit
        self.num_data = source.num_data
        self.notes: list[str] = []
        self.stacked: bool | None = None if source.even else False  # None = not yet probed
        if not source.even:
            self.notes.append("chains run in turn: batches of these data may differ in shape")
        self.preparation = 0.0  # gradient units spent on passes at w*
        self.center_loss = math.nan
        self._run = _Run(model, loss)
        # Copies, so that a model that counts its calls counts on them.
        self._buffers = (
            {name: b.detach().clone() for name, b in model.named_buffers()}
            if buffers is None
            else buffers
        )
        self._center_losses: Tensor | None = None
        self._center_gradient: Tensor | None = None
        self._control_cost = 0.0
        self._cached_teacher = False
        self._depth = 0
        self._recorded: dict[int, Recorded] = {}  # by number of parts of a batch
        self.compiled: dict[Any, Any] = {}  # native functions of it, or why there is none
        self._fingerprints: dict[str, str] | None = None
        self.cost = 1.0
        with self.ready():
            self._center_params = self._named(selection.unflatten(self.center))
            self._prepare()

    @property
    def positions_per_datum(self) -> float:
        """How often a weight is used per datum: tokens of a sequence, 1 otherwise."""
        if not isinstance(self.loss, NextToken):
            return 1.0
        batch = self.feed(seed=0, num_chains=1, batch_size=self.batch_size)([0], 0)[0]
        return float(max(leaf[0, 0].numel() for leaf in leaves(batch)))

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Evaluation mode inside, the caller's modes restored outside, whatever happens."""
        if self._depth:
            yield
            return
        modes = [(module, module.training) for module in self.model.modules()]
        self._depth += 1
        try:
            self.model.eval()
            with torch.inference_mode(False), torch.enable_grad():
                yield
        finally:
            self._depth -= 1
            for module, training in modes:
                module.training = training

    def noise_factor(self, batch_size: int | None) -> float:
        """1 − B/n without replacement, 1 for streams and weighted data."""
        source = self.source
        if batch_size is None or source.num_data is None or source.probabilities is not None:
            return 1.0
        return 1.0 - batch_size / source.num_data if source.ordered else 1.0

    def feed(
        self,
        *,
        seed: int,
        num_chains: int,
        batch_size: int | None,
        purpose: Purpose = Purpose.BATCH,
    ) -> Feed:
        return Feed(
            self.source, seed=seed, batch_size=batch_size, num_chains=num_chains, purpose=purpose
        )

    def _named(self, params: Params) -> Params:
        return {f"model.{name}": tensor for name, tensor in {**params, **self._buffers}.items()}

    def _call(self, params: Params, wanted: str, batch: Batch, teacher: Any | None = None) -> Any:
        return functional_call(self._run, params, (wanted, batch, teacher))

    # ── what is known about w* ────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        """Losses, teachers and scales at w*: each needs one pass over the data, made once."""
        if isinstance(self.source, StreamSource):
            self._try_model()
            if isinstance(self.loss, Gaussian) and isinstance(self.loss.sigma, str):
                raise ValueError(
                    "sigma='residual' needs data of stable order; give sigma as a number."
                )
            self.cost = self._unpaired_cost
            return
        if isinstance(self.loss, NextToken):
            self._count_tokens()
        self._try_model()
        if isinstance(self.loss, Gaussian) and isinstance(self.loss.sigma, str):
            self._resolve_scale()
        with torch.no_grad():
            if self.labels == "model":
                self._teach()
            else:
                values = [self._call(self._center_params, "values", b) for b in self._chunks()]
                self._hold(torch.cat(values))

    @property
    def _unpaired_cost(self) -> float:
        """Cost of a gradient where nothing is known of the batch at w*: its outputs, its losses or both."""
        both = self.labels == "model" and not self.loss.zero_at_teacher
        return 1.0 + (2 if both else 1) * FORWARD

    def _try_model(self) -> None:
        """Run the model on one batch, so that one that cannot take the data is named in one sentence."""
        batch, _ = self.feed(seed=0, num_chains=1, batch_size=self.batch_size)([0], 0)
        data = entry(batch, 0)
        try:
            with torch.no_grad():
                self._call(self._center_params, "output", data)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError) as error:
            shapes = ", ".join(f"{leaf.dtype} {tuple(leaf.shape)}" for leaf in leaves(data))
            told = str(error).strip().split("\n")[0]
            raise ValueError(f"the model cannot take a batch of {shapes}: {told}") from error

    def _chunks(self) -> Iterator[Batch]:
        """All data once, in order; costs a forward pass over them."""
        assert not isinstance(self.source, StreamSource)
        n = self.source.num_data
        size = self.batch_size or 128
        self.preparation += FORWARD * n / size
        if isinstance(self.source, DatasetSource) and self.source.num_workers:
            rows = (range(a, min(a + size, n)) for a in range(0, n, size))
            yield from self.source.fetch_ahead(rows)
            return
        for start in range(0, n, size):
            indices = torch.arange(start, min(start + size, n))
            if isinstance(self.source, TensorSource):
                yield entry(self.source.tree, slice(start, start + size))
            else:
                yield entry(self.source.fetch(indices[None]), 0)

    def _hold(self, values: Tensor) -> None:
        values = values.detach()
        bad = (~values.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise ValueError(
                f"the loss at w* is NaN or infinite for {len(bad)} of {values.numel()} data (first: {bad[0]}); "
                "check the model's weights, the data and the loss."
            )
        self._center_losses = values
        self.center_loss = float((values.double().cpu() * self._weights()).sum())

    def _weights(self) -> Tensor:
        assert self.source.num_data is not None
        if self.source.probabilities is None:
            return torch.full(
                (self.source.num_data,), 1 / self.source.num_data, dtype=torch.float64
            )
        return torch.from_numpy(self.source.probabilities)

    def _count_tokens(self) -> None:
        loss = self.loss
        assert isinstance(loss, NextToken)
        spent = self.preparation
        tokens = torch.cat([loss.count(batch) for batch in self._chunks()]).cpu()
        self.preparation = spent  # no forward pass was made
        if int(tokens.sum()) == 0:
            raise ValueError("no token counts: every target is padding or −100.")
        if loss.unit == "token":
            mean = float((tokens.double() * self._weights()).sum())
            self.loss = type(loss)(**{**vars(loss), "tokens_per_sequence": mean})
            self._run.loss = self.loss
            self.num_data = int(tokens.sum())

    def _resolve_scale(self) -> None:
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in self._chunks():
                output = self._call(self._center_params, "output", batch)
                total += 2 * float(Gaussian().values(output, batch, None).double().sum())
                count += output.numel()
        if total == 0:
            raise ValueError(
                "sigma='residual' is zero: the model fits its targets exactly. Give sigma as a number."
            )
        self.loss = Gaussian(sigma=math.sqrt(total / count))
        self._run.loss = self.loss

    def _teach(self) -> None:
        """Keep the outputs at w* as targets where they fit in memory; else they are made per batch."""
        outputs, values = [], []
        if self.loss.zero_at_teacher:
            self.center_loss = 0.0
        cacheable = isinstance(self.source, TensorSource) and not isinstance(self.loss, NextToken)
        if not cacheable:
            self.cost = self._unpaired_cost
            return
        for batch in self._chunks():
            output, value = self._call(self._center_params, "teacher and values", batch)
            if (
                not isinstance(output, Tensor)
                or output[0].numel() * 4 * (self.source.num_data or 0) > _TEACHER_BYTES
            ):
                self.cost = self._unpaired_cost
                return
            outputs.append(output)
            values.append(value)
        self._hold(torch.cat(values))
        assert isinstance(self.source, TensorSource)
        self.source = self.source.with_targets(_replace_targets, torch.cat(outputs))
        self._cached_teacher = True

    # ── losses and gradients at chain positions ───────────────────────────────────────────────

    def _teacher(self, batch: Batch) -> Any | None:
        if self.labels == "data":
            return None
        if self._cached_teacher:
            return split(batch)[1]
        with torch.no_grad():
            return self._call(self._center_params, "teacher", batch)

    def _paired(self, params: Params, batch: Batch, held: Tensor | None) -> Float[Tensor, " batch"]:
        """ℓ_i(w) − ℓ_i(w*) for each datum of a batch."""
        teacher = self._teacher(batch)
        zero = self.labels == "model" and self.loss.zero_at_teacher  # a teacher's own divergence
        if held is None and not zero:
            with torch.no_grad():
                held = self._call(self._center_params, "values", batch, teacher)
        values = self._call(params, "values", batch, teacher)
        return values if held is None else values - held

    def _mean_of_parts(
        self, parts: int, flat: Float[Tensor, " dim"], batch: Batch, held: Tensor | None
    ) -> tuple[Tensor, Float[Tensor, " part"]]:
        """The paired excess loss of a batch, and that of each of its parts."""
        params = self._named(self.selection.unflatten(flat))
        means = self._paired(params, batch, held).view(parts, -1).mean(1)
        return means.mean(), means

    def slope(
        self,
        position: Float[Tensor, "chain dim"],
        batch: tuple[Batch, Tensor | None],
        *,
        halves: bool = True,
        control: bool = False,
    ) -> Slope:
        """Gradient and paired excess loss on each chain's own minibatch, cut in two.

        Without ``halves`` the two halves share one gradient, which costs fewer passes over the weights.
        With ``control`` the noise that the minibatch's gradient has at w* is taken off: g_B(w) − g_B(w*) +
        g_n(w*), at twice the cost.

        Source: Baker et al. (2019), Stat. Comput. 29, for the control variate.
        """
        here = self._slope(position, batch, halves)
        if not control:
            return here
        there = self._slope(self.center.expand_as(position), batch, halves)
        assert self._center_gradient is not None, "prepare_control comes first"
        noise = there.gradient.sub_(self._center_gradient)
        linear = torch.einsum("cpd,cd->c", noise, position - self.center) / noise.shape[1]
        return Slope(here.gradient.sub_(noise), here.excess, linear)

    def prepare_control(self) -> float:
        """Compute ∇L_n(w*), which ``control`` needs, once; what it costs in gradient units, whenever it was made."""
        if self._center_gradient is None:
            with self.ready():
                gradient, _, self._control_cost = self.full(self.center[None])
            self._center_gradient = gradient[0]
        return self._control_cost

    def _slope(
        self,
        position: Float[Tensor, "chain dim"],
        batch: tuple[Batch, Tensor | None],
        halves: bool,
    ) -> Slope:
        data, held, parts = self._halved(*batch)
        if self.stacked:
            return self._stacked_slope(position, data, held, parts, halves)
        cuts = parts if halves else 1
        gradient = position.new_empty(position.shape[0], cuts, position.shape[1])
        excess = []
        for chain in range(position.shape[0]):
            mine, paired = entry(data, chain), None if held is None else held[chain]
            for part in range(cuts):
                batch_part, held_part = mine, paired
                if cuts > 1:
                    size = batch_length(mine) // cuts
                    cut = slice(part * size, (part + 1) * size)
                    batch_part = entry(mine, cut)
                    held_part = None if paired is None else paired[cut]
                means = self._one_slope(
                    position[chain], batch_part, held_part, parts // cuts, gradient[chain, part]
                )
                excess.append(means)
        return Slope(gradient, torch.cat(excess).view(position.shape[0], parts))

    def _halved(self, data: Batch, indices: Tensor | None) -> tuple[Batch, Tensor | None, int]:
        """A batch of even length (an odd datum is left out) or all data, its losses at w*, its halves."""
        source, size = self.source, leaves(data)[0].shape[1]
        everything = source.ordered and source.probabilities is None and size == source.num_data
        parts = 1 if everything or size < 2 else 2
        held = None
        if self._center_losses is not None and indices is not None:
            rows = indices.flatten().to(self._center_losses.device)
            held = self._center_losses.index_select(0, rows).view(indices.shape)
        if size % parts:
            data = tree_map(lambda leaf: leaf[:, : size - 1], data)
            held = None if held is None else held[:, : size - 1]
        return data, held, parts

    def _stacked_slope(
        self, position: Tensor, data: Batch, held: Tensor | None, parts: int, halves: bool
    ) -> Slope:
        """All chains at once, under one vmap; with ``halves``, each half as a chain of its own."""
        chains = position.shape[0]
        if halves and parts > 1:

            def cut(leaf: Tensor) -> Tensor:
                return leaf.reshape(chains * parts, -1, *leaf.shape[2:])

            position = position.repeat_interleave(parts, 0)
            data, held = tree_map(cut, data), None if held is None else cut(held)
        within = parts if not halves else 1
        gradient, (_, excess) = self._vmapped(within, held is not None)(
            position.detach(), data, held
        )
        return Slope(
            gradient.view(chains, -1, self.dim).detach(), excess.view(chains, parts).detach()
        )

    def _vmapped(self, parts: int, paired: bool) -> Recorded:
        """Gradient, mean and means of parts by chain."""
        key = 2 * parts + paired
        if key not in self._recorded:
            value = grad_and_value(partial(self._mean_of_parts, parts), has_aux=True)
            self._recorded[key] = Recorded(vmap(value, in_dims=(0, 0, 0 if paired else None)))
        return self._recorded[key]

    def _one_slope(
        self, flat: Tensor, batch: Batch, held: Tensor | None, parts: int, gradient: Tensor
    ) -> Float[Tensor, " part"]:
        """Means over the parts of one chain's batch; their gradient is put into ``gradient``."""
        leaf = [part.detach().requires_grad_() for part in self.selection.parts(flat)]
        params = self._named(self.selection.assemble(leaf))
        means = self._paired(params, batch, held).view(parts, -1).mean(1)
        self._flat_gradient(means.mean(), leaf, out=gradient)
        return means.detach()

    def _flat_gradient(
        self, value: Tensor, parts: Sequence[Tensor], out: Tensor | None = None
    ) -> Float[Tensor, " dim"]:
        if not value.requires_grad:
            raise ValueError("the loss does not depend on the selected weights; select others.")
        gradients = torch.autograd.grad(value, parts, allow_unused=True, materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in gradients], out=out)

    def full(
        self, position: Float[Tensor, "chain dim"], batch_size: int | None = None
    ) -> tuple[Float[Tensor, "chain dim"], Float[Tensor, " chain"], float]:
        """Gradient and excess loss over all data; the third entry is the cost per chain in gradient units."""
        if isinstance(self.source, StreamSource):
            raise ValueError(
                "a stream has no full-data gradient; this kernel needs data of stable order."
            )
        spent = self.preparation
        gradient = torch.zeros_like(position)
        excess = torch.zeros(position.shape[0], dtype=torch.float64, device=position.device)
        weights, start = self._weights().to(position.device), 0
        for batch in self._chunks():
            size = batch_length(batch)
            held = (
                None if self._center_losses is None else self._center_losses[start : start + size]
            )
            share = weights[start : start + size]
            for chain in range(position.shape[0]):
                parts = [p.detach().requires_grad_() for p in self.selection.parts(position[chain])]
                losses = self._paired(self._named(self.selection.assemble(parts)), batch, held)
                value = (losses * share.to(losses.dtype)).sum()
                gradient[chain] += self._flat_gradient(value, parts)
                excess[chain] += value.detach()
            start += size
        self.preparation = spent
        return (
            gradient,
            excess.to(position.dtype),
            self.source.num_data / (self.batch_size or 128) * self.cost,
        )

    def score_gradients(
        self,
        position: Float[Tensor, "chain dim"],
        batch: tuple[Batch, Tensor | None],
        normal: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "sample dim"]:
        """Random vectors whose second moment is the Gauss–Newton matrix of the mean loss at each chain.

        The gradient of Σ_b u_b·f_w(x_b) has covariance Σ_b J_bᵀ H_b J_b, since the scores u_b of different
        data are independent; divided by √B it samples the matrix of the mean loss. Each half of a batch
        gives one sample.
        """
        data, _, halves = self._halved(batch[0], None)
        size = leaves(data)[0].shape[1] // halves
        samples = []
        for chain in range(position.shape[0]):
            for half in range(halves):
                part_batch = entry(data, chain, slice(half * size, (half + 1) * size))
                parts = [p.detach().requires_grad_() for p in self.selection.parts(position[chain])]
                params = self._named(self.selection.assemble(parts))
                output = self._call(params, "output", part_batch)
                score = self.loss.score(output.detach(), part_batch, normal)
                sample = self._flat_gradient((output * score).sum(), parts)
                samples.append(sample / math.sqrt(batch_length(part_batch)))
        return torch.stack(samples)

    # ── stacked or in turn ────────────────────────────────────────────────────────────────────

    def try_stacked(
        self, position: Float[Tensor, "chain dim"], batch: tuple[Batch, Tensor | None]
    ) -> bool:
        """Whether the chains can be evaluated under vmap; a failure is said aloud."""
        try:
            data, held, parts = self._halved(*batch)
            with warnings.catch_warnings():  # an operation that vmap runs chain by chain
                warnings.filterwarnings("error", message="There is a performance drop")
                self._stacked_slope(position, data, held, parts, halves=True)
        except Exception as error:  # noqa: BLE001 - whatever a model does under vmap
            told = str(error).strip().split("\n")[0][:200]
            note = f"chains run in turn: the model does not run under vmap ({type(error).__name__}: {told})"
            self.notes.append(note)
            logger.warning(note)
            return False
        return True

    def check(self, batch: tuple[Batch, Tensor | None]) -> None:
        """Run one batch at w* so that a wrong loss or a wrong batch is named before sampling begins."""
        data = entry(batch[0], 0)
        if batch_length(data) < 2:
            raise ValueError(
                "batches hold one datum; at least 2 are needed, as gradient noise is seen between their halves."
            )
        with torch.no_grad():
            values = self._call(self._center_params, "values", data, self._teacher(data))
        if values.shape != (batch_length(data),):
            raise ValueError(
                f"the loss must return shape [{batch_length(data)}], got {tuple(values.shape)}."
            )
        if not bool(values.isfinite().all()):
            raise ValueError(
                "the loss at w* is NaN or infinite; check the model's weights, the data and the loss."
            )

    def fingerprints(self) -> dict[str, str]:
        """sha256 of weights, data and loss, by which a saved run is recognised."""
        if self._fingerprints is None:
            chosen = self.selection.components
            self._fingerprints = {
                "weights": fingerprint(
                    *(tensor for _, tensor in sorted(self._center_params.items())),
                    *((c.name, c.slice, c.unit) for c in chosen),
                    *(c.positions for c in chosen if c.positions is not None),
                ),
                "data": fingerprint(*self._some_data()),
                "loss": fingerprint(
                    self.loss.name,
                    self.unit,
                    self.labels,
                    getattr(self.loss, "sigma", ""),
                    *self._seen_of_function(),
                ),
            }
        return self._fingerprints

    def _some_data(self) -> list[Any]:
        """What tells these data from others without reading all of a data set that is not in memory."""
        source = self.source
        told: list[Any] = [source.num_data, type(source).__name__]
        if isinstance(source, StreamSource):
            return told
        if source.probabilities is not None:
            told.append(torch.from_numpy(source.probabilities))
        if self._center_losses is not None:
            told.append(self._center_losses)
        if isinstance(source, TensorSource):
            return told + leaves(source.tree)
        first = torch.arange(min(source.num_data, self.batch_size or 128))
        return told + leaves(source.fetch(first[None]))

    def _seen_of_function(self) -> list[Any]:
        """What tells a loss given as a function from another: its name, and its values beside w*."""
        function = getattr(self.loss, "function", None)
        if function is None:
            return []
        name = getattr(function, "__qualname__", type(function).__name__)
        if isinstance(self.source, StreamSource):
            return [name]
        beside = self.center + torch.linspace(0.1, 0.2, self.center.numel()).to(self.center)
        params = self._named(self.selection.unflatten(beside))
        batch = self.feed(seed=0, num_chains=1, batch_size=self.batch_size)([0], 0)[0]
        batch = entry(batch, 0)
        self.preparation += FORWARD
        with self.ready(), torch.no_grad():
            return [name, self._call(params, "values", batch, self._teacher(batch))]


def _replace_targets(tree: Batch, targets: Tensor) -> Batch:
    if isinstance(tree, dict):
        key = next(k for k in ("labels", "label", "targets", "target") if k in tree)
        return {**tree, key: targets}
    return (tree[0], targets)

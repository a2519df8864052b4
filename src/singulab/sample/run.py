"""The one loop: a kernel, minibatches and chains become a trace.

A :class:`Simulation` holds everything that the next step depends on, so it can be saved at any step and
continued with bitwise the same draws.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.data import leaves, tree_map
from singulab.landscape import ModelLandscape
from singulab.potential import Evaluation, LocalPotential
from singulab.rng import Purpose
from singulab.sample.baoab import BAOAB
from singulab.sample.compiled import CompiledEvaluation, obstacle
from singulab.sample.kernel import Info, Kernel, Target, column
from singulab.sample.precondition import Identity, heat
from singulab.trace import Trace

logger = logging.getLogger(__name__)

FIELDS = (
    "excess_a",
    "excess_b",
    "acceptance",
    "linear_noise",
    "virial",
    "radius_squared",
    "noise_bias",
)

LOOK_EVERY = 4  # steps between looks at what costs passes over all weights: the last three fields


class Simulation:
    """Chains of one kernel on one potential, with their records.

    Args:
        potential: U.
        kernel: how chains move; may be exchanged between :meth:`advance` calls.
        num_chains: chains, numbered from 0.
        seed: all randomness follows from it.
        step: the step at which to begin; streams of different steps never overlap.
        position: start of every chain, shape (chain, dim); default w*.
        stacked: evaluate all chains at once (vmap), one by one, or None to find out which is faster.
        control: take off the noise that gradients have at w*, at twice the cost of a step.
        compiled: evaluate all chains by native code, where that can be; numbers change by rounding.
    """

    def __init__(
        self,
        potential: LocalPotential,
        kernel: Kernel,
        *,
        num_chains: int,
        seed: int,
        step: int = 0,
        position: Float[Tensor, "chain dim"] | None = None,
        stacked: bool | None = None,
        control: bool = False,
        compiled: bool = False,
    ) -> None:
        self.potential, self.kernel, self.control = potential, kernel, control
        self.num_chains, self.seed, self.step = num_chains, seed, step
        center = potential.center
        device = center.device
        self._noise = potential.landscape.noise(seed, Purpose.NOISE)
        self._start = potential.landscape.noise(seed, Purpose.START)
        self.feed = potential.landscape.feed(
            seed=seed, num_chains=num_chains, batch_size=potential.batch_size, purpose=Purpose.BATCH
        )
        self._sizes = [c.size for c in potential.landscape.selection.components]
        whole = np.diff([*potential.landscape.offsets, potential.dim]).tolist()
        self._per_weight = 1 / torch.tensor(whole, dtype=center.dtype, device=device)
        self.cost = 0.0  # gradient units spent by the loop
        self.lost_updates = 0.0  # share of weights that a step left exactly where they were
        one = torch.ones(num_chains, 1, dtype=center.dtype, device=device)
        self._blank = (
            one * torch.nan,
            one * 0.0,
        )  # what is recorded where a kernel has no such number
        self._seen: dict[int, Tensor] = {}  # the last look, by first chain of a group
        self.records: list[Tensor] = []  # (chain, len(FIELDS) + components) per recorded step
        if position is None:
            position = center.expand(num_chains, -1).clone()
        self.groups = self._groups(position, stacked)
        self._obstacle = obstacle(potential, kernel.name) if compiled else None
        self._compiled = None
        if compiled and self._obstacle is None:
            self._compiled = CompiledEvaluation(potential, self.feed)
        self.states = self._init(position)

    def _groups(self, position: Tensor, stacked: bool | None) -> list[list[int]]:
        everyone = list(range(self.num_chains))
        landscape = self.potential.landscape
        if not isinstance(landscape, ModelLandscape):
            return [everyone]
        if stacked and landscape.sharded:
            raise ValueError("chains of sharded weights run in turn; leave stacked out.")
        if stacked is None:
            stacked = landscape.stacked
        if stacked is None:
            stacked = probe_stacking(landscape, self.feed)
        landscape.stacked = stacked
        return [everyone] if stacked else [[c] for c in everyone]

    def _target(self, chains: Sequence[int]) -> Target:
        return Target(
            self.potential,
            chains,
            self.step,
            seed=self.seed,
            noise=self._noise,
            start=self._start,
            batch=self.feed,
            compiled=self._compiled,
            gap=self._looks(chains),
            control=self.control,
        )

    def _looks(self, group: Sequence[int]) -> bool:
        return self.step % LOOK_EVERY == 0 or group[0] not in self._seen

    def _init(self, position: Tensor) -> list[Any]:
        states = []
        for group in self.groups:
            target = self._target(group)
            states.append(self.kernel.init(position[group], target))
            self.cost += target.cost
        return states

    @property
    def uncompiled(self) -> str | None:
        """Why steps are not compiled although that was asked for."""
        return self._obstacle if self._compiled is None else self._compiled.refused

    @property
    def position(self) -> Float[Tensor, "chain dim"]:
        return torch.cat([state.position for state in self.states])

    def restart(self, kernel: Kernel, position: Float[Tensor, "chain dim"]) -> None:
        """Go on with another kernel from given positions; the records start empty."""
        self.kernel = kernel
        self.states = self._init(position)
        self.records, self._seen = [], {}

    def advance(
        self,
        last_step: int,
        *,
        record: bool = True,
        on_step: Callable[["Simulation"], None] | None = None,
    ) -> None:
        """Move every chain up to ``last_step``, one record per step."""
        with self.potential.landscape.ready():
            while self.step < last_step:
                rows, stayed = [], 0.0
                for index, group in enumerate(self.groups):
                    target, state = self._target(group), self.states[index]
                    self.states[index], info = self.kernel.step(state, target)
                    if record:
                        rows.append(self._observe(info, group))
                    if self.step == last_step - 1:
                        moved = self.states[index].position
                        same = torch.count_nonzero(moved == state.position)
                        stayed += float(self.potential.total(same)) / self.potential.dim
                    self.cost += target.cost
                if record:
                    self.records.append(rows[0] if len(rows) == 1 else torch.cat(rows))
                self.lost_updates = stayed / self.num_chains
                self.step += 1
                if on_step is not None:
                    on_step(self)

    def _observe(self, info: Info, group: Sequence[int]) -> Float[Tensor, "chain field"]:
        """The record of one step: energies at every step, the rest at every fourth and held in between."""
        excess = info.evaluation.half_excess
        dtype = info.position.dtype
        if info.acceptance is not None or self._looks(group):
            self._seen[group[0]] = self._look(info, group)
        nothing, zero = self._blank
        acceptance, linear = info.acceptance, info.evaluation.linear_noise
        fields = (
            excess[:, :1],
            excess[:, -1:],
            nothing[: len(group)] if acceptance is None else acceptance.unsqueeze(1),
            zero[: len(group)] if linear is None else linear.unsqueeze(1),
        )
        return torch.cat([*(field.to(dtype) for field in fields), self._seen[group[0]]], 1)

    def _look(self, info: Info, group: Sequence[int]) -> Float[Tensor, "chain field"]:
        """Virial, squared radius and noise bias, then the virial by component."""
        dots = info.evaluation.dots_by_component(self._sizes)
        noise_bias = self._noise_bias(info.evaluation, group).unsqueeze(1)
        summed = self.potential.total(torch.cat([dots, noise_bias], 1))
        by_component, others = summed[:, :-2], summed[:, -2:]
        virial = by_component.sum(1, keepdim=True) / self.potential.dim
        return torch.cat([virial, others, by_component * self._per_weight], 1)

    def _noise_bias(self, evaluation: Evaluation, group: Sequence[int]) -> Float[Tensor, " chain"]:
        """Excess of nβ·L that this step's gradient noise causes, to first order in ε.

        In preconditioned coordinates a direction with curvature k and gradient-noise variance σ² gains the
        variance εσ²/(4k), hence ½·(loss's share of k)·εσ²/4 of energy nβ·L; momentum multiplies it by
        (1 + a)/(1 − a).
        """
        if evaluation.half_gap is None:
            return evaluation.excess.new_zeros(evaluation.gradient.shape[0]).to(
                evaluation.gradient.dtype
            )
        preconditioner = getattr(self.kernel, "preconditioner", None) or Identity()
        hot = heat(preconditioner, evaluation.half_gap)
        memory = self.kernel.memory if isinstance(self.kernel, BAOAB) else 0.0
        step = self.kernel.step_size
        steps = step if isinstance(step, int | float) else column(step, group, hot)
        return steps * (0.125 * self.potential.noise_factor * (1 + memory) / (1 - memory)) * hot

    def recorded(self) -> Float[Tensor, "draw chain field"]:
        """All records so far, on the CPU in float64."""
        if not self.records:
            width = len(FIELDS) + len(self._sizes)
            return torch.zeros(0, self.num_chains, width, dtype=torch.float64)
        return torch.stack(self.records).double().cpu()

    def trace(self) -> Trace:
        """The records as a trace."""
        return trace_of(self.recorded(), self.potential, self.kernel, seed=self.seed)

    def tensors(self) -> dict[str, Tensor]:
        """State and records, for saving."""
        names = type(self.states[0])._fields
        saved = {
            f"state.{name}": torch.cat([getattr(state, name) for state in self.states]).cpu()
            for name in names
        }
        return {**saved, "records": self.recorded()}

    def restore(self, tensors: dict[str, Tensor], *, step: int, cost: float) -> None:
        """Continue from saved tensors."""
        device = self.potential.center.device
        kind = type(self.states[0])
        whole = {name: tensors[f"state.{name}"].to(device) for name in kind._fields}
        self.states = [
            kind(*(whole[name][group] for name in kind._fields)) for group in self.groups
        ]
        records = tensors["records"].to(device, self.potential.center.dtype)
        self.records = list(records.unbind(0))
        if self.records:
            first = FIELDS.index("virial")
            self._seen = {g[0]: self.records[-1][g, first:] for g in self.groups}
        self.step, self.cost = step, cost


def trace_of(
    records: Float[Tensor, "draw chain field"],
    potential: LocalPotential,
    kernel: Kernel,
    *,
    seed: int,
) -> Trace:
    """A trace of the records of a run on a potential."""
    array = records.transpose(0, 1).numpy()
    variables = {name: array[:, :, i] for i, name in enumerate(FIELDS)}
    variables["excess_loss"] = 0.5 * (variables["excess_a"] + variables["excess_b"])
    variables["virial_by_component"] = array[:, :, len(FIELDS) :]
    sizes = np.diff([*potential.landscape.offsets, potential.dim]).tolist()
    step = kernel.step_size
    return Trace.of_arrays(
        variables,
        nbeta=potential.nbeta,
        localization=potential.localization,
        dim=potential.dim,
        center_loss=potential.landscape.center_loss,
        model_norm=potential.model_norm,
        num_data=potential.num_data,
        components=potential.components,
        component_sizes=sizes,
        unit=potential.unit,
        quantity=potential.quantity,
        kernel=kernel.name,
        biased=kernel.biased,
        step_sizes=[float(s) for s in step] if isinstance(step, Sequence) else [float(step)],
        seed=int(seed),
        batch_size=potential.batch_size,
        fingerprints=potential.landscape.fingerprints(),
    )


def probe_stacking(landscape: ModelLandscape, feed: Any) -> bool:
    """Whether evaluating chains at once is worth it: it must work, fit in memory and be faster."""
    position = landscape.center.expand(2, -1).clone()
    batch = feed([0, 1], 0) if feed.num_chains > 1 else None
    if batch is None:
        one = feed([0], 0)
        batch = _twice(one)
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with landscape.ready():
        landscape.stacked = False
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            landscape.slope(position[:1], _first(batch))
        if sum(held.values()) * 8 > 0.25 * free_memory(position.device):
            landscape.notes.append(
                "chains run in turn: their activations together would not fit in memory"
            )
            return False
        if not landscape.try_stacked(position, batch):
            return False
        fastest = {False: math.inf, True: math.inf}
        for stacked in 3 * (False, True):  # by turns, so that both see the same machine
            landscape.stacked = stacked
            took = _seconds(lambda: landscape.slope(position, batch))
            fastest[stacked] = min(fastest[stacked], took)
    return fastest[True] < fastest[False]


def _twice(batch: Any) -> Any:
    data, indices = batch
    return (
        tree_map(lambda leaf: torch.cat([leaf, leaf]), data),
        None if indices is None else torch.cat([indices, indices]),
    )


def _first(batch: Any) -> Any:
    data, indices = batch
    return tree_map(lambda leaf: leaf[:1], data), None if indices is None else indices[:1]


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    result = function()
    if leaves(tuple(result))[0].is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def free_memory(device: torch.device) -> float:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def sample(
    potential: LocalPotential,
    kernel: Kernel | str,
    *,
    num_chains: int = 4,
    num_draws: int = 1000,
    step_size: float | None = None,
    seed: int = 0,
    stacked: bool | None = None,
    compiled: bool = False,
) -> Trace:
    """Run a kernel with frozen settings from w* and keep every draw.

    Chain c is bitwise the same whether it runs alone or beside others. Nothing is discarded and nothing is
    tuned: cut the burn-in off with ``trace.select(first=…)``.

    Args:
        potential: the local posterior.
        kernel: a kernel, or the name of one, which then needs ``step_size``.
        num_chains: independent chains, each with its own minibatches and noise.
        num_draws: steps per chain; each is a draw.
        step_size: ε for a kernel given by name.
        seed: a non-negative integer.
        stacked: all chains at once (True), one after the other (False), or whichever a probe finds faster.
        compiled: move stacked chains by native code (``torch.compile``, a C++ compiler), which takes some
            seconds to make and pays in long runs of small models; numbers change by rounding.

    Returns:
        The trace. Chains that diverged are in it, marked in ``trace.dead_chains``.

    Raises:
        ValueError: a number out of its range, a kernel that is not known.
    """
    from singulab.sample import KERNELS

    if num_chains < 1 or num_draws < 1:
        raise ValueError(
            f"num_chains and num_draws must be at least 1, got {num_chains} and {num_draws}."
        )
    if isinstance(kernel, str):
        if kernel not in KERNELS:
            raise ValueError(f"unknown kernel {kernel!r}; choose from {sorted(KERNELS)}.")
        if step_size is None:
            raise ValueError(f"kernel {kernel!r} given by name needs step_size.")
        chosen: Kernel = KERNELS[kernel](step_size=step_size)
    else:
        if step_size is not None:
            raise ValueError("step_size belongs to the kernel; give one or the other.")
        chosen = kernel
    _check_step_size(chosen.step_size)
    with potential.landscape.ready():
        simulation = Simulation(
            potential,
            chosen,
            num_chains=num_chains,
            seed=seed,
            stacked=stacked,
            compiled=compiled,
        )
        simulation.advance(num_draws)
    if simulation.uncompiled is not None:
        logger.warning("steps are not compiled: %s", simulation.uncompiled)
    return simulation.trace()


def _check_step_size(step_size: float | Sequence[float]) -> None:
    steps: Any = [step_size] if isinstance(step_size, int | float | str) else step_size
    if not all(isinstance(one, int | float) and 0 < one < math.inf for one in steps):
        raise ValueError(f"step_size must be above 0 and finite, got {step_size!r}.")

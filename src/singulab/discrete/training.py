"""Stochastic gradient descent from many starts at once, on a machine's own architecture.

Every run has its own start and its own minibatches, addressed by its number, so that a run gives the same weights
beside any number of others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from singulab.discrete.levels import Levels
from singulab.discrete.machine import Machine
from singulab.discrete.network import Layered
from singulab.discrete.outputs import Argmax, Rounding, Sign, Words
from singulab.rng import Purpose, fill_normal, generator

_TOGETHER = 256  # runs that share a generator; a constant, so that it changes no number


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """SGD, or SGLD where the temperature is above 0."""

    learning_rate: float = 0.1  # η
    batch_size: int = 0  # data of a step, drawn with replacement; 0 = all
    num_steps: int = 2_000  # at most
    temperature: float = (
        0.0  # T: noise √(2ηT) on every weight and step, so that e^{−L/T} is stationary
    )
    until_fit: bool = True  # a run stops when all training data are right for the first time

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be > 0, got {self.learning_rate}.")
        if self.temperature < 0 or not math.isfinite(self.temperature):
            raise ValueError(f"temperature must be ≥ 0, got {self.temperature}.")
        if self.batch_size < 0 or self.num_steps < 1:
            raise ValueError(
                f"batch_size must be ≥ 0 and num_steps ≥ 1, got {self.batch_size} and {self.num_steps}."
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """Where the runs ended."""

    weights: Float[Tensor, "run weight"]
    functions: (
        Words  # on all inputs of the machine; of finite levels after rounding to the nearest one
    )
    fit: Bool[np.ndarray, " run"]  # every training symbol is right
    diverged: Bool[np.ndarray, " run"]  # the weights are no longer finite


def trained(
    machine: Machine,
    targets: Sequence[int] | np.ndarray,
    chosen: Sequence[int] | np.ndarray,
    *,
    num_runs: int,
    optimiser: Optimiser | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train independent runs on some inputs of a machine and see which function each becomes on all.

    The loss of a datum is logistic for signs, cross-entropy for argmax and half a square in meshes² for a rounding.
    Starts are draws of the machine's own measure on settings. Gradients flow through real weights; where the
    machine has finite levels the end is rounded to the nearest ones, which may undo the fit.

    Args:
        machine: one whose network has a gradient; sign units have none.
        targets: the symbols that are wanted on all inputs.
        chosen: the places, among all symbols, that are trained on.
        num_runs: independent runs.
        optimiser: None = ``Optimiser()``.
        seed: of starts, minibatches and noise.
        on_progress: called with the runs done and their number.
    """
    optimiser = optimiser or Optimiser()
    places = np.asarray(chosen, np.int64)
    wanted = np.asarray(targets, np.int64)
    if len(wanted) != machine.num_symbols:
        raise ValueError(f"targets needs {machine.num_symbols} symbols, got {len(wanted)}.")
    if not len(places) or places.min() < 0 or places.max() >= len(wanted):
        raise ValueError(
            f"chosen needs one or more places from 0 to {len(wanted) - 1}, got {list(chosen)}."
        )
    if num_runs < 1:
        raise ValueError(f"num_runs must be at least 1, got {num_runs}.")
    if isinstance(machine.network, Layered) and machine.network.activation == "sign":
        raise ValueError("sign units have no gradient; train a network of relu or tanh units.")
    parts = []
    for first in range(0, num_runs, _TOGETHER):
        parts.append(_group(machine, wanted, places, optimiser, seed, first // _TOGETHER))
        if on_progress is not None:
            on_progress(min(first + _TOGETHER, num_runs), num_runs)
    weights = torch.cat(parts)[:num_runs]
    diverged = ~weights.isfinite().all(dim=1).numpy()
    settled = torch.where(weights.isfinite(), weights, 0.0)
    if isinstance(machine.weights, Levels):
        settled = nearest(settled, machine.weights)
    functions = machine.functions(settled)
    fit = (machine.symbols(functions)[:, places] == wanted[places]).all(axis=1) & ~diverged
    return Trained(weights=weights, functions=functions, fit=fit, diverged=diverged)


def nearest(weights: Float[Tensor, "run weight"], levels: Levels) -> Float[Tensor, "run weight"]:
    """Every weight moved to its nearest level; from the middle of two to the lower one."""
    values = torch.tensor(sorted(set(levels.values)), dtype=weights.dtype)
    middles = (values[1:] + values[:-1]) / 2
    return values[torch.searchsorted(middles, weights.contiguous())]


def _group(
    machine: Machine,
    wanted: np.ndarray,
    places: np.ndarray,
    optimiser: Optimiser,
    seed: int,
    group: int,
) -> Tensor:
    """The last weights of ``_TOGETHER`` runs."""
    weights = _starts(machine, seed, group)
    loss = datum_loss(machine, wanted)
    running = torch.ones(_TOGETHER, dtype=torch.bool)
    for step in range(optimiser.num_steps):
        leaf = weights.detach().requires_grad_()
        outputs = machine.network(leaf, machine.inputs)
        if optimiser.until_fit:
            words = machine.outputs.words(_finite(outputs.detach()))
            right = (machine.symbols(words)[:, places] == wanted[places]).all(axis=1)
            running &= ~torch.from_numpy(right)
            if not running.any():
                break
        losses = loss(outputs)
        if optimiser.batch_size:
            random = generator(seed, Purpose.BATCH, group, step)
            shape = _TOGETHER, optimiser.batch_size
            batch = torch.from_numpy(places[random.integers(0, len(places), shape)])
            mean = losses.gather(1, batch).mean(dim=1)
        else:
            mean = losses[:, torch.from_numpy(places)].mean(dim=1)
        (gradient,) = torch.autograd.grad(mean.sum(), leaf)
        moved = weights - optimiser.learning_rate * gradient
        if optimiser.temperature:
            noise = torch.empty(1, weights.numel(), dtype=weights.dtype)
            fill_normal([generator(seed, Purpose.NOISE, group, step)], noise)
            scale = math.sqrt(2 * optimiser.learning_rate * optimiser.temperature)
            moved += scale * noise.view_as(weights)
        weights = torch.where(running[:, None], moved, weights)
    return weights


def datum_loss(machine: Machine, wanted: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Outputs [run, input, output] → loss [run, symbol] against the wanted symbols, in nats."""
    target = torch.from_numpy(wanted)
    if isinstance(machine.outputs, Sign):
        signs = (2 * target - 1).to(machine.inputs.dtype)
        return lambda outputs: F.softplus(-signs * outputs.flatten(1))
    if isinstance(machine.outputs, Argmax):
        return lambda outputs: F.cross_entropy(
            outputs.transpose(1, 2), target.expand(len(outputs), -1), reduction="none"
        )
    assert isinstance(machine.outputs, Rounding)
    mesh = machine.outputs.mesh
    return lambda outputs: (outputs.flatten(1) / mesh - target) ** 2 / 2


def _starts(machine: Machine, seed: int, group: int) -> Tensor:
    blocks = -(-_TOGETHER // machine.block)
    drawn = [machine.draws(seed, group * blocks + block) for block in range(blocks)]
    return torch.cat(drawn)[:_TOGETHER].clone()


def _finite(outputs: Tensor) -> Tensor:
    return outputs.nan_to_num(0.0, 0.0, 0.0)

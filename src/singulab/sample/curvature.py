"""Curvature at chain points, from minibatches: preconditioners and the largest stable step.

Curvature at w* alone misleads at a singular point: it is zero exactly where the chain will find it. Both
functions here look at where the chains are.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.landscape import ModelLandscape
from singulab.potential import LocalPotential, row_dot
from singulab.rng import Purpose, generator
from singulab.sample.precondition import (
    Diagonal,
    Eigenbasis,
    Identity,
    Preconditioner,
    heat,
)

_PROBE = (
    0.5  # length of the finite difference, in standard deviations of the stiffest direction found
)
_MARGIN = 1.15  # safety on the top curvature
_DEAREST = 1.0  # cost of the rotations, relative to the gradient, above which the diagonal is taken


def choose(potential: LocalPotential, wanted: str = "auto") -> str:
    """Which preconditioner suits a potential: EKFAC where there are matrices and it is not dear."""
    landscape = potential.landscape
    if landscape.sharded and wanted == "ekfac":
        raise ValueError('"ekfac" needs whole matrices; sharded weights take "diagonal" or "none".')
    if wanted != "auto":
        return wanted
    if landscape.sharded:
        return "diagonal"
    if not isinstance(landscape, ModelLandscape):
        return "none"
    shapes = [c.shape for c in landscape.selection.components]
    if not landscape.loss.has_score or not any(len(shape) > 1 for shape in shapes):
        return "diagonal"
    sides = [(s[0], s.numel() // s[0]) for s in shapes if len(s) > 1]
    rotations = sum(
        2 * a * b * ((a if a <= 1024 else 0) + (b if b <= 1024 else 0)) for a, b in sides
    )
    tokens = (potential.batch_size or 1) * landscape.positions_per_datum
    return "ekfac" if 0 < rotations <= _DEAREST * 3 * tokens * potential.dim else "diagonal"


def preconditioner(
    potential: LocalPotential,
    position: Float[Tensor, "chain dim"],
    feed: Callable[..., Any],
    *,
    kind: str,
    seed: int,
    step: int,
    repeats: int,
) -> tuple[Preconditioner, float]:
    """Build S from the Gauss–Newton curvature at chain points.

    Args:
        potential: U.
        position: where the chains are.
        feed: minibatches for curvature.
        kind: "ekfac", "diagonal" or "none".
        seed: the run's seed.
        step: addresses the random numbers.
        repeats: minibatches per chain.

    Returns:
        S, and the gradient units it cost.
    """
    landscape = potential.landscape
    if kind == "none" or not isinstance(landscape, ModelLandscape):
        return Identity(), 0.0
    chains = list(range(position.shape[0]))
    if not landscape.loss.has_score:
        curvature, cost = _hutchinson(
            potential, position, feed, seed=seed, step=step, repeats=repeats
        )
        return _diagonal(potential, curvature), cost
    random = generator(seed, Purpose.SCORE, step)

    def normal(like: Tensor) -> Tensor:
        drawn = torch.from_numpy(random.standard_normal(tuple(like.shape)))
        return drawn.to(like.device, like.dtype)

    samples = (
        landscape.score_gradients(position[chain : chain + 1], feed([chain], step + repeat), normal)
        for repeat in range(repeats)
        for chain in chains
    )
    cost = float(repeats * len(chains))
    if kind == "diagonal":
        curvature = _mean_square(samples)
        finite = bool(potential.landscape.largest(curvature).isfinite())
        return (_diagonal(potential, curvature) if finite else Identity()), cost
    drawn = _stacked(samples, position, repeats)
    if not bool(drawn.square().sum().isfinite()):  # a chain stands where the loss overflows
        return Identity(), cost
    shapes = [c.shape for c in landscape.selection.components]
    return Eigenbasis.of_samples(
        drawn, shapes, nbeta=potential.nbeta, localization=potential.localization
    ), cost


def _stacked(
    samples: Iterable[Float[Tensor, "sample dim"]],
    position: Float[Tensor, "chain dim"],
    repeats: int,
) -> Float[Tensor, "sample dim"]:
    """All samples, at most two of each chain and repeat, put where they stay as they come."""
    found, count = position.new_empty(2 * repeats * position.shape[0], position.shape[1]), 0
    for drawn in samples:
        found[count : count + drawn.shape[0]] = drawn
        count += drawn.shape[0]
    return found[:count]


def _mean_square(samples: Iterable[Float[Tensor, "sample dim"]]) -> Float[Tensor, " dim"]:
    """Second moment of each coordinate; only one batch of samples is held at a time."""
    total, count = torch.zeros(()), 0
    for drawn in samples:
        total, count = total + drawn.square_().sum(0), count + drawn.shape[0]
    return total / count


def _diagonal(potential: LocalPotential, curvature: Float[Tensor, " dim"]) -> Diagonal:
    return Diagonal.of_curvature(
        curvature,
        nbeta=potential.nbeta,
        localization=potential.localization,
        largest=float(potential.landscape.largest(curvature)),
    )


def _hutchinson(
    potential: LocalPotential,
    position: Float[Tensor, "chain dim"],
    feed: Callable[..., Any],
    *,
    seed: int,
    step: int,
    repeats: int,
) -> tuple[Float[Tensor, " dim"], float]:
    """|diag H| by E[v∘Hv] with random signs v, averaged over chains and halfway smoothed within each tensor."""
    landscape, total, cost = potential.landscape, torch.zeros_like(position[0]), 0.0
    assert isinstance(landscape, ModelLandscape)
    noise = landscape.noise(seed, Purpose.SCORE)
    norm = math.sqrt(float(potential.total(row_dot(position[:1], position[:1]))))
    length = 1e-2 * max(norm, 1.0) / math.sqrt(potential.dim)
    for repeat in range(2 * repeats):
        for chain in range(position.shape[0]):
            signs = torch.where(noise.normal([chain], step + repeat) > 0, 1.0, -1.0).to(position)
            here, batch = position[chain : chain + 1], feed([chain], step + repeat)
            there = landscape.slope(here + length * signs, batch, halves=False).gradient[:, 0]
            back = landscape.slope(here - length * signs, batch, halves=False).gradient[:, 0]
            total += (signs * (there - back) / (2 * length))[0]
            cost += 2.0
    curvature = (total / (2 * repeats * position.shape[0])).abs()
    parts = [curvature[c.start : c.start + c.size] for c in landscape.selection.components]
    sums = potential.total(torch.stack([part.sum() for part in parts]))
    ends = (*landscape.offsets[1:], potential.dim)
    for part, whole, begin, end in zip(parts, sums, landscape.offsets, ends, strict=True):
        part.add_(whole / (end - begin)).mul_(0.5)
    return curvature, cost


def top_curvature(
    potential: LocalPotential,
    position: Float[Tensor, "chain dim"],
    scale: Preconditioner,
    feed: Callable[..., Any],
    groups: list[list[int]],
    *,
    seed: int,
    step: int,
    iterations: int = 6,
) -> tuple[float, float]:
    """Largest curvature of U in the coordinates of S, over the chains, with a margin of 15 %.

    Power iteration on finite differences of the gradient over half a standard deviation, on one minibatch
    per chain: no second derivative of the model is needed, and anharmonic walls count.

    Returns:
        The curvature (infinite if a gradient is), and the gradient units it cost.
    """
    largest, cost = 0.0, 0.0
    noise = potential.landscape.noise(seed, Purpose.DIRECTION)

    def norm(rows: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        return potential.total(row_dot(rows, rows)).sqrt()

    for group in groups:
        here, batch = position[group], feed(group, step)
        vector = noise.normal(group, step)
        base = potential.evaluate(here, batch, gap=False).gradient
        growth = torch.ones_like(vector[:, 0])
        for _ in range(iterations):
            length = _PROBE * growth.clamp(min=1.0).rsqrt().unsqueeze(1)
            vector = vector / norm(vector).unsqueeze(1).clamp(min=1e-30)
            moved = potential.evaluate(scale.move(here, length * vector), batch, gap=False).gradient
            vector = scale.transpose(moved - base) / length
            growth = norm(vector)
        cost += len(group) * (iterations + 1) * potential.landscape.cost
        top = float(growth.max())
        largest = max(largest, top if math.isfinite(top) else math.inf)
    return _MARGIN * max(largest, 1e-12), cost


def noise_ratio(
    potential: LocalPotential,
    position: Float[Tensor, "chain dim"],
    scale: Preconditioner,
    feed: Callable[..., Any],
    groups: list[list[int]],
    *,
    step: int,
    repeats: int,
) -> tuple[float, float]:
    """How many times less the gradient noise heats the chains when the noise at w* is taken off it.

    Returns:
        Heat of the plain gradients over that of the controlled ones, and the gradient units it cost.
    """
    plain, controlled, cost = 0.0, 0.0, 0.0
    for group in groups:
        here = position[group]
        for repeat in range(repeats):
            batch = feed(group, step + repeat)
            for control in (False, True):
                gap = potential.evaluate(here, batch, control=control).half_gap
                assert gap is not None
                hot = float(potential.total(heat(scale, gap).sum()))
                plain, controlled = plain + hot * (not control), controlled + hot * control
            cost += 3 * len(group) * potential.landscape.cost
    return plain / max(controlled, 1e-30), cost

"""Regressions whose last layer is linear, with that layer integrated out: free energy, WBIC and n·G_n of each data set.

f(x) = Σ_k v_k φ_k(x; u) with v ~ N(0, 1): given u, everything about v is Gaussian and in closed form,

    ∫ exp(β Σ_i (f y_i − f²/2)) φ(v) dv = det(1 + βA)^{−N/2} exp(β²/2 Σ_o s_o·(1 + βA)^{−1} s_o),

A = Σ_i φφᵀ, s_o = Σ_i φ y_io, for N outputs at the truth f = 0. What is left is a mean over u ~ N(0, 1), of four
weights or fewer, by scrambled Sobol points that reach small u as well as large ones. No particle, no move and no box
of :mod:`singulab.bayes` has a part in it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, ndtri
from scipy.stats import qmc

Features = Callable[[Float[np.ndarray, "point weight"]], Float[np.ndarray, "point input feature"]]
# Points of the unit cube to u, with the log of prior density over the density that u has.
Placed = Callable[
    [Float[np.ndarray, "point weight"]],
    tuple[Float[np.ndarray, "point weight"], Float[np.ndarray, " point"]],
]
_DEEP, _WIDE = 12.0, 3.0  # |b| from e^{−12}·3 to 3 evenly in log |b|, beside the normal law


class Exact(NamedTuple):
    """Of one data set, in excess of the truth; errors are those of the Sobol points."""

    free_energy: float
    wbic: float
    generalisation: float  # n·G_n up to O(1/n)


@dataclass(frozen=True)
class Conjugate:
    """A regression whose last layer has a N(0, 1) prior, at the truth f = 0."""

    features: Features
    placed: Placed
    num_weights: int  # of the first layer
    num_inputs: int  # x takes so many values, all equally often
    num_outputs: int
    num_points: int = 2**15
    seed: int = 0

    @cached_property
    def points(self) -> tuple[Float[np.ndarray, "point weight"], Float[np.ndarray, " point"]]:
        """u, and log weights that turn sums into means over the prior."""
        found, logs = self.placed(
            qmc.Sobol(self.num_weights, seed=self.seed).random(self.num_points)
        )
        return found, logs - math.log(self.num_points)

    @cached_property
    def table(self) -> Float[np.ndarray, "point input feature"]:
        """φ at every point and input."""
        return self.features(self.points[0])

    def population(self, n: float) -> tuple[float, float]:
        """−log ∫ prior·exp(−n·K), and its slope in log n."""
        logs, slopes = self._without_data(n)
        weights = np.exp(logs - logsumexp(logs))
        return -float(logsumexp(logs)), float(weights @ slopes)

    def _without_data(
        self, n: float
    ) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
        values = np.linalg.eigvalsh(n * self._gram(np.full(self.num_inputs, 1 / self.num_inputs)))
        values = np.maximum(values, 0.0)
        half = self.num_outputs / 2
        logs = self.points[1] - half * np.log1p(values).sum(axis=1)
        return logs, half * (values / (1 + values)).sum(axis=1)

    def _gram(
        self, counts: Float[np.ndarray, " input"]
    ) -> Float[np.ndarray, "point feature feature"]:
        return np.einsum("pif,i,pig->pfg", self.table, counts, self.table, optimize=True)

    def learned(self, data: Float[np.ndarray, "datum column"]) -> Exact:
        """What Bayes makes of data: rows of the index of x and the outputs."""
        index = data[:, 0].astype(int)
        counts = np.bincount(index, minlength=self.num_inputs).astype(float)
        sums = np.stack(
            [np.bincount(index, weights=y, minlength=self.num_inputs) for y in data[:, 1:].T],
            axis=1,
        )
        gram = self._gram(counts)
        s = np.einsum("pif,io->pfo", self.table, sums, optimize=True)
        n = len(data)
        cold, middle, _ = self._tempered(gram, s, 1.0)
        weights = np.exp(cold - logsumexp(cold))
        mean = np.einsum("p,pif,pfo->io", weights, self.table, middle, optimize=True)
        hot, _, energies = self._tempered(gram, s, 1 / math.log(n))
        return Exact(
            free_energy=-float(logsumexp(cold)),
            wbic=float(np.exp(hot - logsumexp(hot)) @ energies),
            # E_q log(q/E_w p) = ½(E_w f)² + O(f⁴): the variance of f cancels against the noise.
            generalisation=n * 0.5 * float((mean**2).sum(axis=1).mean()),
        )

    def _tempered(
        self, gram: Any, s: Any, beta: float
    ) -> tuple[Float[np.ndarray, " point"], Any, Float[np.ndarray, " point"]]:
        """Log of the integral over v, E[v], and E[Σ loss − that of the truth], for every u."""
        size = gram.shape[1]
        precision = np.eye(size) + beta * gram
        middle = beta * np.linalg.solve(precision, s)
        explained = (s * middle).sum(axis=(1, 2))
        logs = 0.5 * (beta * explained - self.num_outputs * np.linalg.slogdet(precision)[1])
        logs += self.points[1]
        quadratic = np.einsum("pfo,pfg,pgo->p", middle, gram, middle, optimize=True)
        trace = np.einsum("pff->p", np.linalg.solve(precision, gram))
        return logs, middle, -explained + 0.5 * (quadratic + self.num_outputs * trace)


def tanh_network(num_hidden: int, num_inputs: int = 16, **options: int) -> Conjugate:
    """1-H-1 tanh with biases: u holds b and c of each unit, v the outgoing weights and the bias."""
    inputs = np.linspace(-2.0, 2.0, num_inputs)

    def features(
        points: Float[np.ndarray, "point weight"],
    ) -> Float[np.ndarray, "point input feature"]:
        b, c = points[:, None, :num_hidden], points[:, None, num_hidden:]
        units = np.tanh(b * inputs[:, None] + c)
        return np.concatenate([units, np.ones((*units.shape[:2], 1))], axis=2)

    def placed(
        unit: Float[np.ndarray, "point weight"],
    ) -> tuple[Float[np.ndarray, "point weight"], Float[np.ndarray, " point"]]:
        slopes, thresholds = unit[:, :num_hidden], ndtri(unit[:, num_hidden:])
        # One half of each b is normal, the other even in log |b|; what is left of the unit number says where.
        rest = np.where(slopes < 0.5, 2 * slopes, 2 * slopes - 1)
        small = _WIDE * np.exp(-_DEEP * np.abs(2 * rest - 1)) * np.sign(2 * rest - 1)
        b = np.where(slopes < 0.5, ndtri(rest), small)
        normal = np.exp(-0.5 * b**2) / math.sqrt(2 * math.pi)
        inside = (np.abs(b) < _WIDE) & (np.abs(b) > _WIDE * math.exp(-_DEEP))
        even = np.where(inside, 1 / (2 * _DEEP * np.abs(b)), 0.0)
        logs = np.log(normal / (normal + even) * 2).sum(axis=1)
        return np.concatenate([b, thresholds], axis=1), logs

    return Conjugate(features, placed, 2 * num_hidden, num_inputs, 1, **options)


def reduced_rank(num_hidden: int, num_outputs: int, **options: int) -> Conjugate:
    """y = B A x with two inputs and one or two hidden units: u is A, v is B; x = ± each unit vector times √2."""
    unit = math.sqrt(2) * np.eye(2)
    inputs = np.concatenate([unit, -unit])

    def features(
        points: Float[np.ndarray, "point weight"],
    ) -> Float[np.ndarray, "point input feature"]:
        return np.einsum("phm,im->pih", points.reshape(-1, num_hidden, 2), inputs)

    def placed(
        unit: Float[np.ndarray, "point weight"],
    ) -> tuple[Float[np.ndarray, "point weight"], Float[np.ndarray, " point"]]:
        # A = R(α)·diag(√l)·R(γ) with l even in log l, from e^{−30} to 60: it is singular A that count.
        low, high = -30.0, math.log(60.0)
        logs = low + (high - low) * unit[:, :num_hidden]
        sizes = np.exp(logs)
        angles = 2 * math.pi * unit[:, num_hidden:]
        right = np.stack([np.cos(angles[:, 0]), np.sin(angles[:, 0])], axis=1)
        if num_hidden == 1:
            density = 0.5 * np.exp(-0.5 * sizes[:, 0])  # of l = |A|²
            points = np.sqrt(sizes) * right
        else:
            # Eigenvalues of a 2 × 2 Wishart matrix, in any order.
            apart = np.abs(sizes[:, 0] - sizes[:, 1])
            density = np.exp(-0.5 * sizes.sum(axis=1)) * apart / np.sqrt(sizes.prod(axis=1)) / 8
            left = np.stack([np.cos(angles[:, 1]), np.sin(angles[:, 1])], axis=1)
            turned = np.stack([-right[:, 1], right[:, 0]], axis=1)
            other = np.stack([-left[:, 1], left[:, 0]], axis=1)
            first = np.sqrt(sizes[:, 0, None, None]) * left[:, :, None] * right[:, None]
            second = np.sqrt(sizes[:, 1, None, None]) * other[:, :, None] * turned[:, None]
            points = (first + second).reshape(-1, 4)
        return points, np.log(density) + (logs + math.log(high - low)).sum(axis=1)

    return Conjugate(features, placed, 2 * num_hidden, 4, num_outputs, **options)

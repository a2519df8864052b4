"""Statistical models small enough to be learned completely: their data, their likelihood and their truth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from singulab.bayes.box import Box, Sides

Draws = Float[np.ndarray, "draw dim"]
Data = Float[np.ndarray, "datum column"]
Matrix = Float[np.ndarray, "draw datum"]

_HERMITE = 24  # nodes of a quadrature over Gaussian noise, in one dimension
_LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Model:
    """p(x|w) with a prior, and a true distribution q(x) to draw data from.

    ``nodes`` and ``weights`` are a quadrature of q: Σ weight·g(node) = E_q[g]. They make K(w) and the generalisation
    error exact, without test data.
    """

    name: str
    box: Box  # of the weights
    prior: str | float  # "uniform", "normal", or the deviation of a normal one
    log_likelihood: Callable[[Draws, Data], Matrix]  # log p(x_i|w)
    log_truth: Callable[[Data], Float[np.ndarray, " datum"]]  # log q(x_i)
    simulate: Callable[[np.random.Generator, int], Data]  # n data, one row each
    nodes: Data
    weights: Float[np.ndarray, " node"]
    total: Callable[[Draws, Data], Float[np.ndarray, " draw"]]  # Σ_i log p(x_i|w), in a fast way
    rlct: tuple[Fraction, int] | None = None  # (λ, m) at this truth, if known
    closed: Callable[[Draws], Float[np.ndarray, " draw"]] | None = None  # K(w), if it has a formula

    @property
    def dim(self) -> int:
        """Number of weights."""
        return self.box.dim

    def excess(self, draws: Draws) -> Float[np.ndarray, " draw"]:
        """K(w) = E_q[log q/p], by its formula or by quadrature."""
        if self.closed is not None:
            return self.closed(draws)
        reference = self.log_truth(self.nodes)
        found = np.empty(len(draws))
        for start in range(0, len(draws), 4096):
            part = draws[start : start + 4096]
            found[start : start + 4096] = (reference - self.log_likelihood(part, self.nodes)) @ (
                self.weights
            )
        return found


Function = Callable[[Draws, Float[np.ndarray, "input column"]], Float[np.ndarray, "draw input out"]]


def regression(
    name: str,
    function: Function,
    inputs: Float[np.ndarray, "input column"],
    truth: Float[np.ndarray, "input out"],
    box: "int | Sides | Box",
    *,
    prior: str | float = "normal",
    rlct: tuple[Fraction, int] | None = None,
) -> Model:
    """Regression y = f(x, w) + N(0, 1), x uniform on a few inputs.

    Counts and means of y per input are then all that the data say.

    Args:
        name: what it is called.
        function: f, from draws and inputs to (draw, input, out).
        inputs: the values of x.
        truth: the true f at each of them.
        box: of the weights.
        prior: as in :class:`Model`.
        rlct: (λ, m), if known.
    """
    count, out = truth.shape

    def log_density(values: Float[np.ndarray, "draw input out"], data: Data) -> Matrix:
        index = data[:, 0].astype(int)
        return -0.5 * ((values[:, index] - data[:, 1:]) ** 2).sum(axis=-1) - out / 2 * _LOG_TWO_PI

    def simulate(rng: np.random.Generator, num_data: int) -> Data:
        index = rng.integers(0, count, size=num_data)
        return np.column_stack([index, truth[index] + rng.standard_normal((num_data, out))])

    def total(draws: Draws, data: Data) -> Float[np.ndarray, " draw"]:
        index = data[:, 0].astype(int)
        counts = np.bincount(index, minlength=count)
        sums = np.stack(
            [np.bincount(index, weights=column, minlength=count) for column in data[:, 1:].T],
            axis=1,
        )
        means = sums / np.maximum(counts, 1)[:, None]
        spread = (data[:, 1:] ** 2).sum() - (counts[:, None] * means**2).sum()
        values = function(draws, inputs)
        misfit = ((values - means) ** 2).sum(axis=-1) @ counts
        return -0.5 * (misfit + spread) - len(data) * out / 2 * _LOG_TWO_PI

    noise, weights = np.polynomial.hermite_e.hermegauss(_HERMITE if out == 1 else 10)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[noise] * out, indexing="ij"), axis=-1).reshape(-1, out)
    grid_weights = np.prod(np.stack(np.meshgrid(*[weights] * out, indexing="ij")), axis=0).ravel()
    rows = [
        np.column_stack([np.full(len(grid), index), truth[index] + grid]) for index in range(count)
    ]
    return Model(
        name=name,
        box=Box.of(box),
        prior=prior,
        log_likelihood=lambda draws, data: log_density(function(draws, inputs), data),
        log_truth=lambda data: log_density(truth[None], data)[0],
        simulate=simulate,
        nodes=np.concatenate(rows),
        weights=np.tile(grid_weights, count) / count,
        total=total,
        rlct=rlct,
        closed=lambda draws: (
            0.5 * ((function(draws, inputs) - truth) ** 2).sum(axis=-1).mean(axis=1)
        ),
    )


def tanh_network(
    num_hidden: int = 2,
    truth: Sequence[float] | None = None,
    *,
    num_inputs: int = 16,
    prior: float = 1.0,
    rlct: tuple[Fraction, int] | None = None,
) -> Model:
    """f(x) = Σ_j a_j tanh(b_j x + c_j) + d with one input: three weights per hidden unit and a bias.

    Args:
        num_hidden: H of the model.
        truth: weights (a₁, b₁, c₁, a₂, …, d) of the true network, of any number of units; None is f = 0.
        num_inputs: x takes so many values, evenly spaced on [−2, 2].
        prior: standard deviation of the normal prior.
        rlct: (λ, m), if known.
    """
    inputs = np.linspace(-2.0, 2.0, num_inputs)[:, None]

    def function(
        draws: Draws, x: Float[np.ndarray, "input column"]
    ) -> Float[np.ndarray, "draw input out"]:
        units = draws[:, :-1].reshape(len(draws), -1, 3)
        values = np.repeat(draws[:, -1:], len(x), axis=1)
        for unit in range(units.shape[1]):
            a, b, c = (units[:, unit, k, None] for k in range(3))
            values = values + a * np.tanh(b * x[:, 0] + c)
        return values[:, :, None]

    true = [0.0] if truth is None else list(truth)
    if len(true) % 3 != 1:
        raise ValueError(
            f"A true network has three weights per unit and a bias, got {len(true)} numbers."
        )
    values = function(np.array([true], dtype=float), inputs)[0]
    side = 8 * prior
    return regression(
        f"1-{num_hidden}-1 tanh network",
        function,
        inputs,
        values,
        [(-side, side)] * (3 * num_hidden + 1),
        prior=prior,
        rlct=rlct,
    )


def two_wells(gap: float = 44 / 10_500, distance: float = 9.4) -> Model:
    """One weight, y = g(θ) + N(0, 1) and truth 0, with K(θ) = min(gap + θ², (θ − distance)²) and a N(0, 1) prior.

    Args:
        gap: how much worse the well at 0 is.
        distance: where the better well lies.
    """
    if not (gap > 0 and distance > 0):
        raise ValueError(f"gap and distance are above 0, got {gap} and {distance}.")

    def function(
        draws: Draws, x: Float[np.ndarray, "input column"]
    ) -> Float[np.ndarray, "draw input out"]:
        worse, better = np.sqrt(2 * (gap + draws**2)), math.sqrt(2) * (draws - distance)
        return np.where(worse < np.abs(better), worse, better)[:, :, None]

    return regression(
        "two wells", function, np.zeros((1, 1)), np.zeros((1, 1)), [(-12.0, distance + 3.0)]
    )


def reduced_rank(num_inputs: int, num_hidden: int, num_outputs: int, rank: int = 0) -> Model:
    """Regression y = B A x + N(0, 1) with x = ± each unit vector times √M; λ and m come from the theorem."""
    from singulab.exact.formulas import reduced_rank as formula

    known = formula(num_inputs, num_hidden, num_outputs, rank)
    assert known.value is not None
    assert known.multiplicity is not None
    scale = math.sqrt(num_inputs)
    inputs = scale * np.concatenate([np.eye(num_inputs), -np.eye(num_inputs)])
    true = np.zeros((num_outputs, num_inputs))
    true[range(rank), range(rank)] = 1.0
    split = num_hidden * num_inputs

    def function(
        draws: Draws, x: Float[np.ndarray, "input column"]
    ) -> Float[np.ndarray, "draw input out"]:
        first = draws[:, :split].reshape(-1, num_hidden, num_inputs)
        second = draws[:, split:].reshape(-1, num_outputs, num_hidden)
        return np.einsum("poh,phi,xi->pxo", second, first, x, optimize=True)

    return regression(
        f"reduced rank {num_inputs}-{num_hidden}-{num_outputs}, truth of rank {rank}",
        function,
        inputs,
        inputs @ true.T,
        [(-8.0, 8.0)] * (split + num_outputs * num_hidden),
        rlct=(known.value, known.multiplicity),
    )


def gaussian_mixture(num_components: int = 2) -> Model:
    """Σ a_j N(b_j, 1) with uniform weights and N(0, 1) means, at the truth N(0, 1).

    Weights a_1 … a_{H−1} come first, a_H is what is left; H = 2 and H = 1 only, for others the simplex is no box.
    """
    from singulab.exact.formulas import gaussian_mixture as formula

    if num_components not in (1, 2):
        raise ValueError(f"The mixture has one or two components, got {num_components}.")
    known = formula(num_components)
    assert known.value is not None
    assert known.multiplicity is not None
    sides = [(-8.0, 8.0)] * num_components
    if num_components == 2:
        sides = [(0.0, 1.0), *sides]

    def log_likelihood(draws: Draws, data: Data) -> Matrix:
        means = draws[:, -num_components:, None]
        logs = -0.5 * (data[None, :, 0][:, None] - means) ** 2 - 0.5 * _LOG_TWO_PI
        if num_components == 1:
            return logs[:, 0]
        a = draws[:, :1]
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log(a) + logs[:, 0], np.log1p(-a) + logs[:, 1])

    def simulate(rng: np.random.Generator, num_data: int) -> Data:
        return rng.standard_normal((num_data, 1))

    noise, weights = np.polynomial.hermite_e.hermegauss(40)
    return Model(
        name=f"mixture of {num_components} at one",
        box=Box.of(sides),
        prior="normal" if num_components == 1 else "mixture",
        log_likelihood=log_likelihood,
        log_truth=lambda data: -0.5 * data[:, 0] ** 2 - 0.5 * _LOG_TWO_PI,
        simulate=simulate,
        nodes=noise[:, None],
        weights=weights / weights.sum(),
        total=lambda draws, data: _summed(log_likelihood, draws, data),
        rlct=(known.value, known.multiplicity),
    )


def _summed(
    log_likelihood: Callable[[Draws, Data], Matrix], draws: Draws, data: Data
) -> Float[np.ndarray, " draw"]:
    """Σ_i log p(x_i|w), some draws at a time."""
    size = max(1, 2_000_000 // len(data))
    return np.concatenate(
        [
            log_likelihood(draws[start : start + size], data).sum(axis=1)
            for start in range(0, len(draws), size)
        ]
    )

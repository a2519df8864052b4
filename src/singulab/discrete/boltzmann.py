"""The Boltzmann law over functions, chains that should follow it, and the verdict whether they do.

    P(f) ∝ e^{−βL(f)}·|A⁻¹(f)|,    F(β) = −log Σ_f (|A⁻¹(f)|/|W|)·e^{−βL(f)}

With β = n and L the loss per datum this is Bayes' rule with the uniform prior on settings; other β temper it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt64

from singulab.discrete.fibres import Fibres
from singulab.discrete.machine import Machine
from singulab.discrete.outputs import Symbols, Words
from singulab.discrete.tally import Counts, Tally
from singulab.rng import Purpose, generator

Losses = Float[np.ndarray, " function"]
Draws = UInt64[np.ndarray, "draw word"]
LossOfSymbols = Callable[[Symbols], Losses]

_LEAST_EXPECTED = 5.0  # of a class of the χ² test


def law(found: Fibres, losses: Losses, beta: float) -> Float[np.ndarray, " function"]:
    """P(f) ∝ e^{−βL(f)}·|A⁻¹(f)|, exactly if the fibres are exact.

    Args:
        found: the fibres of a machine.
        losses: L(f) of every function of ``found``.
        beta: β ≥ 0.
    """
    logarithm = _log_weights(found, losses, beta)
    return np.exp(logarithm - _log_sum(logarithm))


def free_energy(found: Fibres, losses: Losses, beta: float) -> float:
    """F(β) in nats. Its growth per datum is the Bayes code length of that datum."""
    return -float(_log_sum(_log_weights(found, losses, beta)))


def learning_coefficient(found: Fibres, losses: Losses, beta: float) -> float:
    """β(E[L] − min L): λ_eff of the machine at inverse temperature β.

    In the continuum it tends to λ. Of a finite machine it follows λ as long as the settings resolve the
    temperature, and falls to 0 like e^{−β·gap} beyond: its second-best fits vanish.
    """
    return float(beta * (law(found, losses, beta) @ (losses - losses.min())))


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A range of β in which one function has the largest probability of all."""

    function: int  # its place in the fibres
    start: float
    stop: float  # infinity for the last


def phases(found: Fibres, losses: Losses) -> tuple[Phase, ...]:
    """The macrostates that lead as β, or the number of data, grows.

    log P(f) + const = log|A⁻¹(f)| − βL(f) is a line in β for every f, so the leaders are the upper envelope of
    lines, and two neighbours change places at β = Δlog|A⁻¹|/ΔL.
    """
    height = np.log(found.counts)
    lead = int(np.lexsort((losses, -height))[0])
    beta, result = 0.0, []
    while True:
        better = losses < losses[lead]
        if not better.any():
            result.append(Phase(function=lead, start=beta, stop=math.inf))
            return tuple(result)
        cross = np.full(len(losses), np.inf)
        cross[better] = (height[lead] - height[better]) / (losses[lead] - losses[better])
        stop = float(cross.min())
        tied = np.flatnonzero(cross == cross.min())
        follower = int(tied[np.argmin(losses[tied])])
        if stop > beta or not result:
            result.append(Phase(function=lead, start=beta, stop=stop))
        beta, lead = stop, follower


def vanishing_beta(found: Fibres, losses: Losses, mass: float = 0.01) -> float:
    """The least β beyond which all but the best fits have less than ``mass`` together.

    Their mass falls steadily with β, so this is found by bisection; it is 0 if they never had as much.
    """
    if not 0 < mass < 1:
        raise ValueError(f"mass must lie between 0 and 1, got {mass}.")
    worse = losses > losses.min()

    def rest(beta: float) -> float:
        return float(law(found, losses, beta)[worse].sum())

    if rest(0.0) < mass:
        return 0.0
    high = 1.0
    while rest(high) >= mass:
        high *= 2
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rest(middle) >= mass else (low, middle)
    return high


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether independent draws of functions follow a law."""

    chi_square: float
    degrees: int
    p_value: float  # of χ²; uniform if the law holds
    total_variation: float  # ½Σ|share − law|
    expected_total_variation: float  # what as many draws of the law itself show
    total_variation_se: float  # spread of that
    passed: bool  # p_value ≥ level

    def to_dict(self) -> dict[str, float | int | bool]:
        return dict(vars(self))


def agreement(
    functions: Draws,
    found: Fibres,
    expected: Float[np.ndarray, " function"],
    *,
    level: float = 0.001,
) -> Agreement:
    """Compare independent draws with a law by χ² and by total variation.

    Functions expected fewer than 5 times are put into one class. Draws of one chain are not independent: take the
    last state of many chains.

    Args:
        functions: the words of the drawn functions.
        found: the fibres, which name the functions.
        expected: P(f) of every function of ``found``.
        level: false alarms that are accepted.
    """
    counts, strangers = tallied(functions, found)
    num_draws = len(functions)
    mean = num_draws * expected
    large = mean >= _LEAST_EXPECTED
    observed = np.append(counts[large], counts[~large].sum())
    wanted = np.append(mean[large], mean[~large].sum())
    if wanted[-1] < _LEAST_EXPECTED:  # too small for a class of its own: joins the smallest
        order = np.argsort(wanted)
        smallest = order[1] if len(order) > 1 else order[0]
        if smallest != len(wanted) - 1:
            observed[smallest] += observed[-1]
            wanted[smallest] += wanted[-1]
            observed, wanted = observed[:-1], wanted[:-1]
    chi_square = float((((observed - wanted) ** 2) / wanted).sum()) if strangers == 0 else math.inf
    degrees = len(wanted) - 1
    p_value = _chi_square_tail(chi_square, degrees)
    deviation = _mean_deviation(expected, num_draws)
    variance = expected * (1 - expected) / num_draws - deviation**2
    return Agreement(
        chi_square=chi_square,
        degrees=degrees,
        p_value=p_value,
        total_variation=float(
            (np.abs(counts / num_draws - expected).sum() + strangers / num_draws) / 2
        ),
        expected_total_variation=float(deviation.sum() / 2),
        total_variation_se=float(np.sqrt(np.maximum(variance, 0).sum()) / 2),
        passed=p_value >= level,
    )


def tallied(functions: Draws, found: Fibres) -> tuple[Counts, int]:
    """How often each function of ``found`` was drawn, and how many draws are of none of them."""
    drawn = Tally.empty(functions.shape[1]).with_words(functions).merged()
    place = {row.tobytes(): index for index, row in enumerate(found.functions)}
    counts, strangers = np.zeros(len(found), np.int64), 0
    for row, times in zip(drawn.functions, drawn.counts, strict=True):
        index = place.get(row.tobytes())
        if index is None:
            strangers += int(times)
        else:
            counts[index] += times
    return counts, strangers


def metropolis(
    machine: Machine,
    loss: LossOfSymbols,
    beta: float,
    *,
    num_chains: int,
    num_steps: int,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Words:
    """The functions that independent chains have come to.

    A step gives one weight, drawn uniformly, another level, drawn uniformly, and is taken with probability
    min(1, e^{−βΔL}). The proposal is symmetric, so e^{−βL} on settings is stationary.

    Args:
        machine: with finite levels.
        loss: symbols [function, symbol] → L of every function.
        beta: β ≥ 0.
        num_chains: chains; each begins at a uniform setting.
        num_steps: steps of each.
        seed: of starts and steps.
        on_progress: called with the steps done and their number.
    """
    _usable(beta)
    if machine.num_settings is None:
        raise ValueError("a Metropolis chain needs weights on finite levels, got Gaussian ones.")
    base = len(machine.levels)
    if base < 2:
        raise ValueError("a Metropolis chain needs at least 2 levels, got one.")
    digits = generator(seed, Purpose.START).integers(0, base, (num_chains, machine.num_weights))
    words = machine.functions(machine.values(digits))
    losses = loss(machine.symbols(words))
    chains = np.arange(num_chains)
    for step in range(num_steps):
        random = generator(seed, Purpose.ACCEPT, step)
        weight = random.integers(0, machine.num_weights, num_chains)
        shift = random.integers(1, base, num_chains)
        proposed = digits.copy()
        proposed[chains, weight] = (digits[chains, weight] + shift) % base
        new_words = machine.functions(machine.values(proposed))
        new_losses = loss(machine.symbols(new_words))
        taken = np.log(random.random(num_chains)) < -beta * (new_losses - losses)
        digits[taken], words[taken], losses[taken] = (
            proposed[taken],
            new_words[taken],
            new_losses[taken],
        )
        if on_progress is not None:
            on_progress(step + 1, num_steps)
    return words


def mismatches(
    targets: Sequence[int] | Int64[np.ndarray, " symbol"], chosen: Sequence[int] | None = None
) -> LossOfSymbols:
    """The loss that counts wrong symbols, on the chosen inputs or on all: the thread's 0–1 loss."""
    wanted = np.asarray(targets, np.int64)
    places = np.arange(len(wanted)) if chosen is None else np.asarray(chosen, np.int64)

    def loss(symbols: Symbols) -> Losses:
        return (symbols[:, places] != wanted[places]).sum(axis=1).astype(float)

    return loss


def _log_weights(found: Fibres, losses: Losses, beta: float) -> Float[np.ndarray, " function"]:
    _usable(beta)
    if len(losses) != len(found):
        raise ValueError(f"{len(found)} functions need as many losses, got {len(losses)}.")
    return -found.complexity - beta * losses


def _usable(beta: float) -> None:
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number ≥ 0, got {beta}.")


def _log_sum(logarithms: Float[np.ndarray, " function"]) -> float:
    top = logarithms.max()
    return float(top + np.log(np.exp(logarithms - top).sum()))


def _chi_square_tail(value: float, degrees: int) -> float:
    if degrees == 0:
        return 1.0 if value == 0 else 0.0
    if not math.isfinite(value):
        return 0.0
    half = torch.tensor([degrees / 2, value / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def _mean_deviation(p: Float[np.ndarray, " function"], n: int) -> Float[np.ndarray, " function"]:
    """E|share − p| of a binomial count: 2(1 − p)·(m/n)·C(n, m)p^m(1−p)^{n−m} with m = ⌊np⌋ + 1 (De Moivre)."""
    result = np.zeros_like(p)
    inside = (p > 0) & (p < 1)
    q = torch.from_numpy(p[inside])
    m = torch.floor(n * q) + 1
    whole = torch.tensor(float(n), dtype=torch.float64)
    log_mass = (
        torch.lgamma(whole + 1)
        - torch.lgamma(m + 1)
        - torch.lgamma(whole - m + 1)
        + m * q.log()
        + (whole - m) * torch.log1p(-q)
    )
    result[inside] = (2 * (1 - q) * m / n * log_mass.exp()).numpy()
    return result

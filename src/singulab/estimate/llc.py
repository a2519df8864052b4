"""The local learning coefficient from a trace: by the mean energy, by its variance, by its slope."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from singulab.errors import DivergedError
from singulab.estimate.diagnostics import mcse
from singulab.trace import Trace

# The first-order prediction of the noise bias is taken as right to within this relative error, unless the
# two step sizes of a run say better.
PREDICTION_ERROR = 0.25
PREDICTION_ERROR_CONTROLLED = 0.3  # what is left of the noise then grows with the distance from w*
SURPRISING = 0.02  # probability that the prediction is no better than to within …
SURPRISE = 1.5  # … this relative error: noise so large that its effect is not of first order
LEAST_FACTOR = 0.4  # of the true noise bias to the predicted one
DISEQUILIBRIUM = 0.25  # error of λ̂ per unit of |1 − virial|
LOCAL = 1.0  # reach of chains that miss no part of the posterior; beyond it they may …
WIDEST = 4.0  # … and make the error as many times larger, at most so many


@dataclass(frozen=True)
class Estimate:
    """A number with its errors; dimensionless for learning coefficients."""

    value: float
    mcse: float  # standard error from finite sampling
    bias_se: float = 0.0  # of the corrections, and of chains that have not spread or are not local
    per_chain: tuple[float, ...] = ()

    @property
    def se(self) -> float:
        """Standard error, hypot(mcse, bias_se)."""
        return math.hypot(self.mcse, self.bias_se)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Normal interval of the given level around the value."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}.")
        width = NormalDist().inv_cdf(0.5 + level / 2) * self.se
        return self.value - width, self.value + width

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval()
        return {
            **asdict(self),
            "per_chain": list(self.per_chain),
            "se": self.se,
            "interval95": [low, high],
        }

    def __str__(self) -> str:
        if not math.isfinite(self.se) or self.se <= 0:
            return f"{self.value:.4g} ± {self.se:.2g}"
        digits = max(0, 1 - math.floor(math.log10(self.se)))
        return f"{self.value:.{digits}f} ± {self.se:.{digits}f}"


NOTHING = Estimate(math.nan, math.nan, math.nan)


def _cut(trace: Trace, burn_in: int) -> Trace:
    if burn_in < 0 or burn_in >= trace.num_draws:
        raise ValueError(
            f"burn_in={burn_in} leaves no draws: the trace has {trace.num_draws} per chain."
        )
    part = trace.select(first=burn_in)
    dead = part.dead_chains
    if dead:
        raise DivergedError(
            f"Chains {list(dead)} have non-finite losses. Lower step_size, or leave them out with "
            "trace.select(chains=…).",
            chains=dead,
        )
    return part


def llc(trace: Trace, *, burn_in: int = 0) -> Estimate:
    """Local learning coefficient by the mean energy, λ̂ = nβ(E[L_n(w)] − L_n(w*)).

    nβ and L_n(w*) are the trace's own. The error counts autocorrelation and the spread between chains,
    which draw their own minibatches. What the sampler itself gets wrong (step size, gradient noise, chains that
    have not spread or are not local) is not in it; see :func:`llc_extrapolated`.

    Args:
        trace: at least 2 chains.
        burn_in: draws to drop from the start of every chain.

    Returns:
        λ̂ with its Monte Carlo error and the mean of every chain. A value clearly below zero means that the
        chains found a lower loss than L_n(w*): w* is not a minimum.

    Raises:
        ValueError: fewer than 2 chains, or nothing left after ``burn_in``.
        DivergedError: some chain has a non-finite loss; ``error.chains`` says which.

    Source: Lau et al. (2023), arXiv:2308.12108.
    """
    if trace.num_chains < 2:
        raise ValueError(
            f"llc needs at least 2 chains to estimate its error, got {trace.num_chains}."
        )
    return of_draws(_cut(trace, burn_in).energy)


def of_draws(draws: NDArray[np.floating]) -> Estimate:
    """Mean of (chain, draw) numbers with its Monte Carlo error."""
    return Estimate(float(draws.mean()), mcse(draws), 0.0, tuple(float(m) for m in draws.mean(1)))


@dataclass(frozen=True)
class Extrapolation:
    """λ̂ with the bias of gradient noise taken off, and what it was made of."""

    llc: Estimate
    raw: Estimate
    factor: float  # fitted ratio of the true noise bias to the predicted one
    noise_share: float  # predicted bias of the larger step, relative to λ̂
    halving: float  # difference of the corrected values at the two steps, relative to λ̂
    halving_se: float
    used_smaller_step_only: bool
    corrected: NDArray[np.floating]  # energies with the predicted bias taken off, (chain, draw)


def llc_extrapolated(trace: Trace, *, burn_in: int = 0) -> Extrapolation:
    """Mean energy extrapolated to zero gradient noise, from chains at two step sizes.

    Gradient noise raises the energy in proportion to the step. The size of the effect is measured on every
    step from the difference of two half-batch gradients (the trace's ``noise_bias`` n). With chains at ε
    and others at ε/2,

        a_i = m_i − θ n_i,    θ ~ 0.98·N(1, σ²) + 0.02·N(1, 1.5²), combined with (m₁ − m₂)/(n₁ − n₂),

    σ = 0.25, or 0.3 where the noise at w* was taken off, and λ̂ is the mean of the a_i weighted by precision.
    The second law is for noise beyond first order: where the steps contradict the prediction, they decide.
    Where the corrected values of the two steps still differ by more than 3 errors and 8 %, the smaller step
    alone is used. ``bias_se`` joins the error of θ with a quarter of |1 − virial|, for chains that have not
    spread as far as the posterior. Where chains go ρ > 1 times as far from w* as all weights of the model are
    long, it also makes the whole error min(ρ, 4) times as large; of a loss given as a function it never does.

    Args:
        trace: a trace whose attribute ``step_sizes`` gives the step of every chain (or one for all).
        burn_in: draws to drop from the start of every chain.
    """
    if trace.num_chains < 2:
        raise ValueError(
            f"llc needs at least 2 chains to estimate its error, got {trace.num_chains}."
        )
    part = _cut(trace, burn_in)
    energy, noise = controlled_energy(part), part["noise_bias"].astype(np.float64)
    groups = _groups(part)
    means = np.array([energy[g].mean() for g in groups])
    biases = np.array([noise[g].mean() for g in groups])
    errors = np.array([mcse(energy[g]) for g in groups])
    controlled = "linear_noise" in part.dataset and bool(part["linear_noise"].any())
    distrust = PREDICTION_ERROR_CONTROLLED if controlled else PREDICTION_ERROR
    factor, factor_se = _fit_factor(means, biases, errors, distrust)
    values = means - factor * biases
    corrected = energy - factor * noise.mean(1, keepdims=True)
    raw = of_draws(energy)
    halving, halving_se = 0.0, math.inf
    weights = 1 / np.maximum(errors, 1e-150) ** 2
    smaller_only = False
    if len(groups) == 2:
        halving, halving_se = float(values[0] - values[1]), float(np.hypot(*errors))
        size = max(abs(float(np.average(values, weights=weights))), 1e-300)
        if abs(halving) > 3 * halving_se and abs(halving) > 0.08 * size:
            smaller_only = True
            weights = np.array([0.0, 1.0])
        halving, halving_se = halving / size, halving_se / size
    used = corrected[groups[-1]] if smaller_only else corrected
    value = float(np.average(values, weights=weights))
    bias = float(np.average(biases, weights=weights))
    mean_error = mcse(used)
    distance = disequilibrium(part)
    bias_se = math.hypot(factor_se * bias, DISEQUILIBRIUM * distance * value)
    wider = widening(part)
    bias_se = math.hypot(bias_se, math.sqrt(wider**2 - 1) * math.hypot(mean_error, bias_se))
    estimate = Estimate(value, mean_error, bias_se, tuple(float(m) for m in corrected.mean(1)))
    share = float(biases.max() / max(abs(value), 1e-300))
    return Extrapolation(estimate, raw, factor, share, halving, halving_se, smaller_only, corrected)


def controlled_energy(trace: Trace) -> NDArray[np.floating]:
    """The energies with that multiple of the known ``linear_noise`` taken off that leaves least variance.

    The noise has mean 0 at every w, so the mean of the energies stays what it was.
    """
    energy = trace.energy
    if "linear_noise" not in trace.dataset:
        return energy
    known = trace.nbeta * trace["linear_noise"].astype(np.float64)
    spread = float(known.var())
    if spread == 0:
        return energy
    return energy - float(np.cov(energy.ravel(), known.ravel())[0, 1]) / spread * known


def disequilibrium(trace: Trace) -> float:
    """How far E[δ·∇U]/d is from the 1 of the posterior, beyond its own Monte Carlo error."""
    virial = trace["virial"].astype(np.float64)
    return max(abs(1 - float(virial.mean())) - mcse(virial), 0.0)


def widening(trace: Trace) -> float:
    """How many times larger the error is made because chains are not local: their reach ρ, from 1 to 4.

    What only the tether holds relaxes at a rate ∝ γ ∝ 1/ρ², and a part of the posterior that is left still more
    seldom makes no chain disagree with the others, since all of them start at w*. 1 for functions and where the
    weights are 0.
    """
    return min(max((trace.reach or 0.0) / LOCAL, 1.0), WIDEST)


def _groups(trace: Trace) -> list[list[int]]:
    """Chains by step size, the larger step first."""
    steps = trace.dataset.attrs.get("step_sizes", [])
    chains = trace.dataset["chain"].values
    if len(steps) <= 1:
        return [list(range(trace.num_chains))]
    mine = [steps[int(c)] for c in chains]
    return [
        [i for i, s in enumerate(mine) if s == size] for size in sorted(set(mine), reverse=True)
    ]


def _fit_factor(
    means: NDArray, biases: NDArray, errors: NDArray, distrust: float
) -> tuple[float, float]:
    """Mean and standard deviation of θ, the mixture's two normal laws weighed by how well they foresaw it."""
    if len(means) != 2 or biases[0] <= biases[1]:
        return 1.0, distrust
    gap = biases[0] - biases[1]
    seen, variance = (means[0] - means[1]) / gap, (errors**2).sum() / gap**2
    if not (math.isfinite(seen) and variance > 0 and math.isfinite(variance)):
        return 1.0, distrust
    prior = np.array([distrust, SURPRISE]) ** 2
    evidence = -0.5 * ((seen - 1) ** 2 / (prior + variance) + np.log(prior + variance))
    weights = np.array([1 - SURPRISING, SURPRISING]) * np.exp(evidence - evidence.max())
    weights /= weights.sum()
    centers = 1 + (seen - 1) * prior / (prior + variance)
    mean = float(weights @ centers)
    spread = weights @ (prior * variance / (prior + variance) + (centers - mean) ** 2)
    return max(mean, LEAST_FACTOR), math.sqrt(spread)


def heat_capacity(trace: Trace, *, burn_in: int = 0) -> Estimate:
    """Local learning coefficient by the variance of the energy, λ̂ = (nβ)² Var_w(L_n).

    It does not need L_n(w*). Minibatch noise drops out because the covariance of the two halves of a batch
    is taken; for a Gamma-distributed energy it equals λ̂, and a strong tether makes it smaller.

    Args:
        trace: at least 2 chains.
        burn_in: draws to drop from the start of every chain.

    Raises:
        ValueError: fewer than 2 chains, or nothing left after ``burn_in``.
        DivergedError: some chain has a non-finite loss.
    """
    if trace.num_chains < 2:
        raise ValueError(f"heat_capacity needs at least 2 chains, got {trace.num_chains}.")
    part = _cut(trace, burn_in)
    a, b = (trace.nbeta * part[name].astype(np.float64) for name in ("excess_a", "excess_b"))
    return of_draws((a - a.mean()) * (b - b.mean()))


def llc_slope(traces: Sequence[Trace], *, burn_in: int = 0) -> Estimate:
    """Local learning coefficient by temperatures, λ̂ = d E[L_n]/d(1/nβ), a weighted least-squares slope.

    Independent of L_n(w*). Use traces of one landscape and one γ at different nβ.

    Args:
        traces: at least two, with different nβ.
        burn_in: draws to drop from the start of every chain.

    Raises:
        TypeError: a single trace.
        ValueError: fewer than two temperatures, or another γ or w*.
        DivergedError: some chain has a non-finite loss.
    """
    if isinstance(traces, Trace):
        raise TypeError("llc_slope needs several traces, got one; see llc for a single trace.")
    if len({trace.nbeta for trace in traces}) < 2:
        raise ValueError("llc_slope needs traces at two or more different nβ.")
    if len({trace.localization for trace in traces}) > 1:
        raise ValueError("llc_slope needs one γ; these traces differ in it.")
    if len({str(t.dataset.attrs.get("fingerprints")) for t in traces}) > 1:
        raise ValueError(
            "llc_slope needs one landscape; these traces have other weights, data or loss."
        )
    x = np.array([1 / trace.nbeta for trace in traces])
    parts = [of_draws(_cut(trace, burn_in)["excess_loss"].astype(np.float64)) for trace in traces]
    y, errors = np.array([p.value for p in parts]), np.array([p.mcse for p in parts])
    weights = 1 / errors**2
    center = np.average(x, weights=weights)
    spread = float((weights * (x - center) ** 2).sum())
    value = float((weights * (x - center) * y).sum() / spread)
    return Estimate(value, spread**-0.5)

"""SGD on a ring: its exact law at finite learning rate, and replicas beside it.

x ← x − ηL'(x) + √(2ηT(x))·ξ modulo the length. Its transition density is a wrapped normal, so its stationary law
follows from one matrix, at every rate. It tends to the law of the diffusion as η → 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import chi2
from torch import Tensor

from singulab.dynamics.chain import ProgressCallback, simulate
from singulab.dynamics.diffusion import Diffusion, Masses, Values
from singulab.dynamics.mean import Mean, mean
from singulab.dynamics.problem import Problem, Weights
from singulab.dynamics.replicas import Draws

_WRAPS = 3  # turns to each side that a step may take


@dataclass(frozen=True)
class RingChain(Problem):
    """SGD at rate η whose diffusion is given.

    Raises:
        ValueError: the diffusion has walls, the rate is not positive, or cells are wider than half a noise step.
    """

    diffusion: Diffusion
    rate: float  # η
    num_weights = 1

    def __post_init__(self) -> None:
        if not self.diffusion.periodic:
            raise ValueError("RingChain needs a periodic diffusion.")
        if not self.rate > 0:
            raise ValueError(f"A learning rate must be positive, got {self.rate:g}.")
        least = float(self._deviation(self.diffusion.centers).min())
        if least < 1.5 * self.diffusion.cell:
            raise ValueError(
                f"Cells of {self.diffusion.cell:.3g} are too wide for noise steps of {least:.3g}: take at least "
                f"{math.ceil(1.5 * self.diffusion.length / least)} cells or a larger rate."
            )

    def _deviation(self, x: Values) -> Values:
        return np.sqrt(2 * self.rate * self.diffusion.temperature(x))

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        x = w[:, 0].numpy()
        noise = self._deviation(x) / self.rate * draws.normal(step, 1)[:, 0].numpy()
        return torch.from_numpy(self.diffusion.slope(x) - noise)[:, None]

    def mean_gradient(self, w: Weights) -> Weights:
        return torch.from_numpy(self.diffusion.slope(w[:, 0].numpy()))[:, None]

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        """Not known from its slope alone: NaN."""
        return torch.full((len(w),), math.nan, dtype=torch.float64)

    @cached_property
    def transition(self) -> Float[np.ndarray, "cell cell"]:
        """Probability of going from a centre (column) to another (row)."""
        x, length = self.diffusion.centers, self.diffusion.length
        aim, deviation = x - self.rate * self.diffusion.slope(x), self._deviation(x)
        gap = x[:, None] - aim[None, :]
        density = np.zeros_like(gap)
        for turn in range(-_WRAPS, _WRAPS + 1):
            density += np.exp(-(((gap + turn * length) / deviation) ** 2) / 2)
        return density / density.sum(axis=0)

    def stationary(self) -> Masses:
        """Probability of each cell under the law of the chain itself: nothing here is to first order in η.

        The trapezoidal rule on smooth periodic densities errs by less than e^{−2π²·1.5²}, and cell masses are
        taken as density at the centre times width.
        """
        n = self.diffusion.num_cells
        system = self.transition - np.eye(n)
        system[0] = 1.0
        right = np.zeros(n)
        right[0] = 1.0
        return np.linalg.solve(system, right)

    def relaxation_time(self) -> float:
        """−η/log|λ₂|, in the units of time of the diffusion."""
        sizes = np.sort(np.abs(np.linalg.eigvals(self.transition)))
        return float(-self.rate / math.log(sizes[-2]))


@dataclass(frozen=True, kw_only=True)
class RingRun:
    """Replicas on a ring after some steps, beside the exact law at that step."""

    masses: Float[np.ndarray, " bin"]  # shares of the replicas
    exact: Float[np.ndarray, " bin"]  # of the chain at this rate after as many steps
    diffusion: Float[np.ndarray, " bin"]  # equilibrium at rate 0
    p_value: float  # χ² of the replicas against the exact law
    inside: Mean  # share of replicas where ``region`` says so
    exact_inside: float
    num_replicas: int
    num_steps: int
    seed: int


def ring_run(
    chain: RingChain,
    *,
    region: Callable[[Values], Values],
    num_replicas: int = 8192,
    start: float = 0.0,
    relaxations: float = 12.0,
    num_bins: int = 40,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> RingRun:
    """Run replicas from one place, and compare where they are with the exact law after as many steps.

    After a dozen relaxation times that is the equilibrium; after one it shows whether the way there is right. Only
    the last position of each replica is used: these are independent draws.

    Args:
        chain: SGD on a ring.
        region: positions → 1 where they count, else 0.
        num_replicas: independent runs.
        start: where all begin; the nearest centre of a cell is taken.
        relaxations: length of a run in relaxation times of the chain.
        num_bins: a divisor of the number of cells.
        seed: of all random numbers.
        on_progress: told what is under way and which share is done.

    Raises:
        ValueError: bins do not divide the cells, the start is outside, or the run has no length.
    """
    d = chain.diffusion
    if not d.low <= start <= d.high or not relaxations > 0:
        raise ValueError(
            f"ring_run needs a start in [{d.low:g}, {d.high:g}] and relaxations > 0, got {start:g} and "
            f"{relaxations:g}."
        )
    if d.num_cells % num_bins:
        raise ValueError(f"num_bins must divide {d.num_cells}, got {num_bins}.")
    num_steps = math.ceil(relaxations * chain.relaxation_time() / chain.rate)
    cell = min(int((start - d.low) / d.cell), d.num_cells - 1)
    chains = simulate(
        chain,
        rate=chain.rate,
        num_steps=num_steps,
        num_replicas=num_replicas,
        start=torch.tensor([d.centers[cell]], dtype=torch.float64),
        seed=seed,
        on_progress=on_progress,
    )
    x = (chains.w[:, 0].numpy() - d.low) % d.length + d.low
    counts, _ = np.histogram(x, bins=num_bins, range=(d.low, d.high))
    law = np.linalg.matrix_power(chain.transition, num_steps)[:, cell]
    exact = law.reshape(num_bins, -1).sum(axis=1)
    return RingRun(
        masses=counts / num_replicas,
        exact=exact,
        diffusion=d.stationary().reshape(num_bins, -1).sum(axis=1),
        p_value=_chi2(counts, exact),
        inside=mean(region(x).astype(float)),
        exact_inside=float(law @ region(d.centers)),
        num_replicas=num_replicas,
        num_steps=num_steps,
        seed=seed,
    )


def _chi2(counts: Int[np.ndarray, " bin"], law: Float[np.ndarray, " bin"]) -> float:
    """p-value of counts under a law; bins that expect fewer than 5 are put together."""
    wanted = law * counts.sum()
    rare = wanted < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(wanted[~rare], wanted[rare].sum())
    keep = wanted > 0
    distance = float((((seen - wanted) ** 2)[keep] / wanted[keep]).sum())
    return float(chi2.sf(distance, keep.sum() - 1))

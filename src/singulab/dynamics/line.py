"""A well on the line whose pull fades: where noise of one temperature has no equilibrium at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.chain import simulate
from singulab.dynamics.diffusion import Diffusion, Values
from singulab.dynamics.mean import Mean, mean
from singulab.dynamics.problem import Problem, Weights
from singulab.dynamics.replicas import Draws


@dataclass(frozen=True, kw_only=True)
class Saturating:
    """L = ½ log(1 + x²) on the line: a well whose pull fades, as for a loss that is bounded far out or nearly so.

    With the same temperature T everywhere p ∝ (1 + x²)^{−1/(2T)}, which has no norm on ℝ for T ≥ 1. With noise that
    fades too, T(x) = T·(floor + (1 − floor)/(1 + x²)), it has one for floor·T < 1.
    """

    temperature: float = 1.5  # T at the minimum
    floor: float = 0.1  # share of it that is left far out

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self.floor <= 1):
            raise ValueError(
                f"Saturating needs temperature > 0 and 0 < floor ≤ 1, got {self.temperature:g} and {self.floor:g}."
            )

    def temperatures(self, x: Values, *, fading: bool) -> Values:
        """T at every place."""
        share = self.floor + (1 - self.floor) / (1 + x**2) if fading else np.ones_like(x)
        return self.temperature * share

    def diffusion(
        self, reach: float, *, fading: bool, periodic: bool, num_cells: int = 400
    ) -> Diffusion:
        """The same well on [−reach, reach], ends joined or walls.

        On a ring the slope is brought to 0 within the last tenth, so that the ends fit.
        """

        def slope(x: Values) -> Values:
            pull = x / (1 + x**2)
            if not periodic:
                return pull
            edge = np.clip((reach - np.abs(x)) / (0.1 * reach), 0.0, 1.0)
            return pull * edge * edge * (3 - 2 * edge)

        return Diffusion(
            slope=slope,
            temperature=lambda x: self.temperatures(x, fading=fading),
            low=-reach,
            high=reach,
            periodic=periodic,
            num_cells=num_cells,
        )


class LineChain(Problem):
    """SGD on the whole line at rate η in a :class:`Saturating` well.

    Args:
        well: loss and temperature.
        rate: η > 0.
        fading: whether the noise fades with the pull.

    Raises:
        ValueError: the rate is not positive.
    """

    num_weights = 1

    def __init__(self, well: Saturating, *, rate: float, fading: bool) -> None:
        if not rate > 0:
            raise ValueError(f"A learning rate must be positive, got {rate:g}.")
        self.well, self.rate, self.fading = well, rate, fading

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        temperature = self.well.temperatures(w[:, 0].numpy(), fading=self.fading)
        scale = torch.from_numpy(np.sqrt(2 * temperature / self.rate))
        return self.mean_gradient(w) - scale[:, None] * draws.normal(step, 1)

    def mean_gradient(self, w: Weights) -> Weights:
        return w / (1 + w**2)

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        return torch.log1p(w[:, 0] ** 2) / 2


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far replicas that began at the minimum have got, time after time."""

    times: tuple[float, ...]  # t = η·steps
    inside: tuple[Mean, ...]  # share of replicas within the window
    window: float
    num_replicas: int
    rate: float
    seed: int

    def exponent(self) -> Mean:
        """Slope of log(inside) against log t between the last two times: 0 at equilibrium."""
        (t0, a), (t1, b) = list(zip(self.times, self.inside, strict=True))[-2:]
        step = math.log(t1 / t0)
        se = math.hypot(a.se / a.value, b.se / b.value) / step
        return Mean(math.log(b.value / a.value) / step, se)


def spread(
    well: Saturating,
    *,
    fading: bool,
    rate: float = 0.1,
    times: Sequence[float] = (100.0, 400.0, 1600.0),
    window: float = 5.0,
    num_replicas: int = 4096,
    seed: int = 0,
) -> Spread:
    """Start replicas at the minimum and count how many are within a window at each time.

    Each time has replicas of its own, so that the counts are independent.

    Args:
        well: loss and temperature.
        fading: whether the noise fades with the pull.
        rate: η.
        times: ascending, in units in which a step advances η.
        window: |x| below it counts.
        num_replicas: independent runs per time.
        seed: of all random numbers.

    Raises:
        ValueError: fewer than 2 times, or times that do not ascend.
    """
    if len(times) < 2 or list(times) != sorted(set(times)) or times[0] < rate:
        raise ValueError(
            f"times must be at least 2 ascending numbers ≥ {rate:g}, got {list(times)}."
        )
    inside = []
    for index, time in enumerate(times):
        chains = simulate(
            LineChain(well, rate=rate, fading=fading),
            rate=rate,
            num_steps=round(time / rate),
            num_replicas=num_replicas,
            start=torch.zeros(1, dtype=torch.float64),
            seed=seed + 1000 * index,
        )
        inside.append(mean((chains.w[:, 0].abs() < window).double().numpy()))
    return Spread(
        times=tuple(times),
        inside=tuple(inside),
        window=window,
        num_replicas=num_replicas,
        rate=rate,
        seed=seed,
    )

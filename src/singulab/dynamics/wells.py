"""Two wells on a ring: the same loss under noise that is the same everywhere and under noise that is not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from singulab.dynamics.diffusion import Diffusion, Values, total_variation


@dataclass(frozen=True, kw_only=True)
class TwoWells:
    """Two minima of equal depth on a ring of length 2π, a sharp one at 0 and a flat one at π.

    L = depth·sin² g, g(x) = x + a·sin x. As L = ½f² with f = √(2·depth)·sin g, label noise on f has a variance
    proportional to f'², which at the minima is the curvature of L.
    """

    depth: float = 1.0
    asymmetry: float = 0.5  # a; curvatures are 2·depth·(1 ± a)²
    mean_temperature: float = 0.3  # of T over the ring
    floor: float = 0.2  # share of the temperature that is the same everywhere

    def __post_init__(self) -> None:
        if not (self.depth > 0 and self.mean_temperature > 0):
            raise ValueError("depth and mean_temperature must be positive.")
        if not (0 <= self.asymmetry < 1 and 0 < self.floor <= 1):
            raise ValueError(
                f"TwoWells needs 0 ≤ asymmetry < 1 and 0 < floor ≤ 1, got {self.asymmetry:g} and {self.floor:g}."
            )

    def slope(self, x: Values) -> Values:
        """L'."""
        return self.depth * np.sin(2 * self._g(x)) * self._dg(x)

    def homoskedastic(self, *, num_cells: int = 400) -> Diffusion:
        """Temperature the same everywhere."""
        return self._diffusion(lambda x: np.full_like(x, self.mean_temperature), num_cells)

    def state_dependent(self, *, num_cells: int = 400) -> Diffusion:
        """Temperature that grows with f'² and has the same mean over the ring."""
        nodes = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
        scale = float(self._square(nodes).mean())

        def temperature(x: Values) -> Values:
            return self.mean_temperature * (self.floor + (1 - self.floor) * self._square(x) / scale)

        return self._diffusion(temperature, num_cells)

    def flat(self, x: Values) -> Values:
        """1 in the basin of the flat minimum, else 0."""
        return (np.cos(self._g(x)) < 0).astype(float)

    def _diffusion(self, temperature: Callable[[Values], Values], num_cells: int) -> Diffusion:
        return Diffusion(
            slope=self.slope,
            temperature=temperature,
            low=-np.pi,
            high=np.pi,
            num_cells=num_cells,
        )

    def _g(self, x: Values) -> Values:
        return x + self.asymmetry * np.sin(x)

    def _dg(self, x: Values) -> Values:
        return 1 + self.asymmetry * np.cos(x)

    def _square(self, x: Values) -> Values:
        return (np.cos(self._g(x)) * self._dg(x)) ** 2


def equilibria_apart(wells: TwoWells) -> float:
    """Total-variation distance of the equilibria under homoskedastic and state-dependent noise, exact."""
    return total_variation(wells.homoskedastic().stationary(), wells.state_dependent().stationary())

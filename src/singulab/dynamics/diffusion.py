"""A weight on a ring or between walls: dx = −L'(x)dt + √(2T(x)) dW in the sense of Itô, solved exactly.

SGD with learning rate η and gradient noise C(x) has T = ηC/2 and advances t by η per step. With a(x) = L'(x)/T(x)
and u = T·p, the Fokker–Planck equation ∂_t p = −∂_x J has the current J = −(u' + a·u). Between walls the stationary
current is 0 and p ∝ (1/T) exp(−∫L'/T). On a ring it need not be: with Φ(x) = ∫a over one turn from x = 0 and its
gain ΔΦ in a full turn,

    T(x)·p(x) ∝ e^{−Φ(x)} ∫_x^{x+length} e^{Φ(y)} dy,     J ∝ 1 − e^{ΔΦ}.

p ∝ e^{−βL} only if T is constant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import eig

Values = Float[np.ndarray, " x"]
Masses = Float[np.ndarray, " cell"]
Function = Callable[[Values], Values]
_FINE = 16  # nodes of the quadrature per cell


class _Curves(NamedTuple):
    x: Values  # nodes, the last one length beyond the first
    phi: Values  # Φ
    u: Values  # T·p, not normalised
    p: Values  # not normalised
    current: float  # in the same units


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """A loss and a temperature on an interval whose ends are joined or are walls.

    Raises:
        ValueError: the interval is empty, there are fewer than 8 cells, T is not positive, or L' does not have the
            same value at both ends of a ring.
    """

    slope: Function  # L'
    temperature: Function  # T > 0
    low: float
    high: float
    periodic: bool = True  # joined ends; False = walls
    num_cells: int = 400  # of everything that is returned per cell

    def __post_init__(self) -> None:
        if not self.low < self.high or self.num_cells < 8:
            raise ValueError(
                f"A diffusion needs low < high and at least 8 cells, got {self.low:g}, {self.high:g} and "
                f"{self.num_cells}."
            )
        nodes = np.linspace(self.low, self.high, 4 * self.num_cells + 1)
        temperature, slope = self.temperature(nodes), self.slope(nodes)
        if not (np.isfinite(slope).all() and np.isfinite(temperature).all()):
            raise ValueError("slope and temperature must be finite everywhere.")
        if not (temperature > 0).all():
            raise ValueError(
                f"The temperature must be positive, its least is {temperature.min():.3g}."
            )
        ends = np.array([slope[[0, -1]], temperature[[0, -1]]])
        if self.periodic and not np.allclose(ends[:, 0], ends[:, 1], atol=1e-8):
            raise ValueError("On a ring slope and temperature must be the same at both ends.")

    @property
    def length(self) -> float:
        return self.high - self.low

    @property
    def cell(self) -> float:
        """Length of a cell."""
        return self.length / self.num_cells

    @property
    def centers(self) -> Values:
        """Midpoints of the cells."""
        return self.low + (np.arange(self.num_cells) + 0.5) * self.cell

    @cached_property
    def _curves(self) -> _Curves:
        x = np.linspace(self.low, self.high, _FINE * self.num_cells + 1)
        temperature = self.temperature(x)
        phi = _cumulative(_pieces(self.slope(x) / temperature, x[1] - x[0]))
        if self.periodic:
            gain = float(phi[-1])
            top = max(float(phi.max()), 0.0) + max(gain, 0.0)
            pieces = _pieces(np.exp(phi - top), x[1] - x[0])
            passed, rest = _cumulative(pieces), _cumulative(pieces[::-1])[::-1]
            # Sums of positive numbers: no digits are lost, however unlikely a place is.
            log_u = np.log(np.maximum(rest + np.exp(gain) * passed, 1e-300)) + top - phi
            current = (1 - np.exp(gain)) * np.exp(-log_u.max())
        else:
            log_u, current = -phi, 0.0
        u = np.exp(log_u - log_u.max())
        return _Curves(x, phi, u, u / temperature, float(current))

    def stationary(self) -> Masses:
        """Probability of each cell at equilibrium, by quadrature of the closed form."""
        return self._masses(self._curves.p)

    def current(self) -> float:
        """Probability that passes any point per unit of time at equilibrium, positive upwards."""
        curves = self._curves
        return curves.current / float(_pieces(curves.p, curves.x[1] - curves.x[0]).sum())

    def gibbs(self) -> Masses:
        """The law ∝ e^{−L/T̄} with T̄ the mean of T over the interval, for a loss that is the same at both ends."""
        x = self._curves.x
        mean = float(np.trapezoid(self.temperature(x), x)) / self.length
        loss = _cumulative(_pieces(self.slope(x), x[1] - x[0]))
        return self._masses(np.exp(-(loss - loss.min()) / mean))

    def _masses(self, density: Values) -> Masses:
        pieces = _pieces(density, self.cell / _FINE).reshape(self.num_cells, _FINE).sum(axis=1)
        return pieces / pieces.sum()

    @cached_property
    def generator(self) -> Float[np.ndarray, "cell cell"]:
        """d/dt of the cell masses: jumps between neighbours that conserve mass and are never negative.

        Between two centres a is taken as constant with its exact integral z, which gives the current
        (B(z)u_i − B(−z)u_{i+1})/h with B(z) = z/(e^z − 1). The error of a rate is second order in h.

        Source: Scharfetter & Gummel (1969), IEEE Trans. Electron Devices 16.
        """
        n, h = self.num_cells, self.cell
        phi = self._curves.phi[_FINE // 2 :: _FINE][:n]
        gain = float(self._curves.phi[-1])
        z = np.append(np.diff(phi), phi[0] + gain - phi[-1])
        temperature = self.temperature(self.centers)
        up = _bernoulli(z) * temperature / h**2
        down = _bernoulli(-z) * np.roll(temperature, -1) / h**2
        if not self.periodic:
            up[-1] = down[-1] = 0.0
        here, there = np.arange(n), (np.arange(n) + 1) % n
        rates = np.zeros((n, n))
        np.add.at(rates, (there, here), up)
        np.add.at(rates, (here, here), -up)
        np.add.at(rates, (here, there), down)
        np.add.at(rates, (there, there), -down)
        return rates

    @cached_property
    def _modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Scaling by the root of the equilibrium makes the matrix symmetric without a current, and tame with one.
        root = np.sqrt(np.maximum(self.stationary(), 1e-250))
        values, vectors = eig(self.generator * root[None, :] / root[:, None])
        return values, vectors, root

    def relaxation_time(self) -> float:
        """1/gap: the longest time after which a deviation from equilibrium has shrunk e-fold."""
        decays = np.sort(-self._modes[0].real)
        return float(1 / decays[1])

    def evolve(self, masses: Masses, time: float) -> Masses:
        """Cell masses after some time.

        Raises:
            ValueError: the time is negative or the masses do not fit.
        """
        if time < 0 or masses.shape != (self.num_cells,):
            raise ValueError(
                f"evolve needs time ≥ 0 and {self.num_cells} masses, got {time:g} and {masses.shape}."
            )
        values, vectors, root = self._modes
        parts = np.linalg.solve(vectors, (masses / root).astype(complex))
        return (vectors @ (np.exp(values * time) * parts)).real * root

    def time_to_reach(self, start: float, distance: float = 0.05) -> float:
        """When a law that began at one point is within a total-variation distance of equilibrium.

        The distance never grows, so there is one such time; it is found to 0.1 %.

        Args:
            start: the point.
            distance: between 0 and 1.

        Raises:
            ValueError: the distance is out of range or the point outside.
        """
        if not 0 < distance < 1 or not self.low <= start <= self.high:
            raise ValueError(
                f"time_to_reach needs 0 < distance < 1 and a start in [{self.low:g}, {self.high:g}], got "
                f"{distance:g} and {start:g}."
            )
        values, vectors, root = self._modes
        begin = np.zeros(self.num_cells)
        begin[min(int((start - self.low) / self.cell), self.num_cells - 1)] = 1.0
        parts = np.linalg.solve(vectors, (begin / root).astype(complex))
        end = self.stationary()

        def far(time: float) -> bool:
            now = (vectors @ (np.exp(values * time) * parts)).real * root
            return total_variation(now, end) > distance

        low = high = self.relaxation_time()
        while far(high):
            low, high = high, 2 * high
        while not far(low):
            low /= 2
        while high / low > 1.001:
            middle = np.sqrt(low * high)
            low, high = (middle, high) if far(middle) else (low, middle)
        return float(high)

    def tail_exponent(self, x: float) -> float:
        """α = −d log p/d log|x| at x for p ∝ (1/T)e^{−Φ}: on the whole line p can be normalised if α > 1 far out."""
        near = x * np.array([1 - 1e-4, 1 + 1e-4])
        log_temperature = np.log(self.temperature(near))
        here = np.array([x])
        pull = x * float(self.slope(here)[0] / self.temperature(here)[0])
        return pull + float(log_temperature[1] - log_temperature[0]) / 2e-4


def total_variation(first: Masses, second: Masses) -> float:
    """½ Σ |p_i − q_i|."""
    return float(np.abs(first - second).sum()) / 2


def _pieces(values: Values, width: float) -> Float[np.ndarray, " interval"]:
    """Integrals between neighbouring nodes, in pairs Simpson's rule; each is local, so small ones keep their digits."""
    left, middle, right = values[:-2:2], values[1:-1:2], values[2::2]
    pairs = [5 * left + 8 * middle - right, 5 * right + 8 * middle - left]
    return np.stack(pairs, axis=1).ravel() * (width / 12)


def _cumulative(pieces: Float[np.ndarray, " interval"]) -> Values:
    return np.concatenate([[0.0], np.cumsum(pieces)])


def _bernoulli(z: Values) -> Values:
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, z)
    return np.where(small, 1 - z / 2, safe / np.expm1(safe))

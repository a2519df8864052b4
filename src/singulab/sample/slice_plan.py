"""The plan for a loss of a few weights: elliptical slice sampling, which has nothing to tune."""

import math

from singulab.sample.elliptical_slice import EllipticalSlice
from singulab.sample.kernel import Kernel
from singulab.sample.plan import Plan
from singulab.sample.run import FIELDS

_RADIUS = FIELDS.index("radius_squared")


class SlicePlan(Plan):
    """Many chains from w*, until the judge is content and they have spread, or the budget is spent.

    All chains start at w*, and their energies agree long before they have gone down the valleys. So the log of the
    radius has to agree between the chains too.
    """

    FEW = 4  # weights up to which ``auto`` takes it: with more HMC is cheaper on round wells
    FIRST = 10  # draws, to see what they cost
    LEAST = 200  # draws, before there may be enough of them
    SPREAD = 1.05  # R-hat of log |w − w*|², at most

    @property
    def num_chains(self) -> int:
        return self.settings.num_chains or min(512, max(8, 4096 // self.potential.dim))

    def kernel(self) -> Kernel:
        return EllipticalSlice()

    def begin(self) -> None:
        self.facts["phase"] = "production"
        self.facts["end"] = self.FIRST

    def turn(self) -> bool:
        step = self.simulation.step
        affordable = int((self.budget - self.spent) / (self.spent / step))
        more = min(affordable, max(self.LEAST - step, step // 2))
        enough, spread = self._judged().enough, self._spread()
        if step >= self.LEAST and enough and spread <= self.SPREAD:
            return False
        if more < 1:
            if spread > self.SPREAD:
                self.note(
                    f"the chains still spread along the valleys: R-hat of log radius {spread:.3g}"
                )
            return False
        self.facts["end"] = step + more
        return True

    def _spread(self) -> float:
        """Split R-hat √(1 + between/within) of log |w − w*|² after burn-in."""
        records = self.simulation.recorded()
        radius = records[int(self.settings.burn_in * len(records)) :, :, _RADIUS]
        half = len(radius) // 2
        halves = radius[: 2 * half].reshape(2, half, -1).clamp(min=1e-300).log()
        within, between = halves.var(1).mean(), halves.mean(1).var()
        return math.sqrt(1 + float(between / within))

    def found(self) -> dict[str, float | str]:
        draws = len(self.simulation.records)
        return {
            "kernel": "elliptical_slice",
            "num_chains": float(self.num_chains),
            "num_draws": float(draws),
            "evaluations_per_draw": self.spent / max(draws, 1) / self.num_chains,
        }

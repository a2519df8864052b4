"""The plan for a kernel with given knobs."""

import math
from typing import Any

import torch

from singulab.sample.kernel import Kernel
from singulab.sample.plan import Plan


class FixedPlan(Plan):
    """A kernel with given knobs: no warm-up, no tuning, nothing rescued."""

    @property
    def num_chains(self) -> int:
        return self.settings.num_chains or 4

    def kernel(self) -> Kernel:
        from singulab.sample import KERNELS

        settings = self.settings
        knobs: dict[str, Any] = {"step_size": settings.step_size}
        if settings.kernel == "baoab" and settings.memory is not None:
            knobs["memory"] = settings.memory
        if settings.kernel == "hmc" and settings.num_leapfrog is not None:
            knobs["num_leapfrog"] = settings.num_leapfrog
        return KERNELS[settings.kernel](**knobs)

    def begin(self) -> None:
        self.facts["phase"] = "production"
        self.facts["end"] = self._next_end()

    def _next_end(self) -> int:
        step = self.simulation.step
        if self.settings.num_draws is not None:
            return min(self.settings.num_draws, step + max(1, self.settings.num_draws // 10))
        per_step = max(self.spent / step, self.num_chains) if step else float(self.num_chains)
        return step + max(0, min(int((self.budget - self.spent) / per_step), max(200, step // 2)))

    def turn(self) -> bool:
        verdict = self._judged()
        end = self._next_end()
        dead = bool((~torch.isfinite(self._energies()).all(0)).all())
        if (
            end <= self.simulation.step
            or dead
            or (verdict.enough and self.settings.num_draws is None)
        ):
            return False
        self.facts["end"] = end
        return True

    def found(self) -> dict[str, float | str]:
        return {
            "kernel": self.settings.kernel,
            "step_size": float(self.settings.step_size or math.nan),
            "num_chains": float(self.num_chains),
            "num_draws": float(len(self.simulation.records)),
        }
